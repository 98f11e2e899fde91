import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { presentedMs, readSampleTables } from "../../src/finalize/mp4-sample-tables.ts";
import { GAP_MS_MAX } from "../../src/finalize/timeline-places.ts";
import type { TrackResult } from "../../src/recording/ports.ts";
import { complaintsAbout } from "../support/judge-ffmpeg.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { numberedSource } from "../support/numbered-source.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { type RetimedContainer, type Retiming, retimedMedia } from "../support/retimed-media.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "./finalizer-bed.ts";

/** More than 12 hours, and more than 2^31 ticks of sound at 48 kHz. */
const FAR_MS = 50_000_000;

const STEP_MS = 100;
const PICTURES = 20;

const CONTAINERS: readonly RetimedContainer[] = ["matroska", "mp4", "fragmented mp4"];

let directory: TemporaryDirectory;
let sourcePath: string;

beforeAll(async () => {
  directory = await temporaryDirectory();
  sourcePath = await numberedSource(directory.path, "source", {
    durationMs: PICTURES * STEP_MS,
    picture: { width: 320, height: 180, firstNumber: 0, codec: "h264", stepMs: STEP_MS },
    toneHz: 440,
  });
});

afterAll(() => directory[Symbol.asyncDispose]());

/** A track's result with its MP4, which outlives its bed. */
interface Made {
  readonly result: TrackResult;
  readonly path: string;
}

async function make(bytes: Uint8Array, mimeType: string): Promise<Made> {
  await using bed = await FinalizerBed.open(await testFfmpeg());
  const { recordingId, state } = await bed.finalize({ chunks: [bytes], mimeType });
  expect(state).toBe("ready");
  const { result } = await bed.track(recordingId);
  if (result === null) throw new Error("There is no result");
  const path = join(directory.path, `${crypto.randomUUID()}.mp4`);
  await Bun.write(path, Bun.file(bed.layout.mediaPath(trackKey(recordingId))));
  return { result, path };
}

describe.each(CONTAINERS)("a segment in %s whose times jump by 14 hours", (container) => {
  const cases: readonly (readonly [what: string, retime: Retiming, firstBehind: number])[] = [
    ["where its sound begins", (kind, atMs) => atMs + (kind === "audio" ? FAR_MS : 0), PICTURES],
    ["where its pictures begin", (kind, atMs) => atMs + (kind === "video" ? FAR_MS : 0), 0],
    [
      "in its sound",
      (kind, atMs) => atMs + (kind === "audio" && atMs > 990 ? FAR_MS : 0),
      PICTURES,
    ],
    ["in its pictures", (kind, atMs) => atMs + (kind === "video" && atMs > 990 ? FAR_MS : 0), 10],
    ["in both", (_, atMs) => atMs + (atMs > 990 ? FAR_MS : 0), 10],
  ];

  test.each(cases)(
    "%s has 12 hours there, says so, and loses nothing",
    async (_, retime, firstBehind) => {
      const bytes = await retimedMedia(sourcePath, container, retime);
      const type = container === "matroska" ? "video/x-matroska" : "video/mp4";
      const { result, path } = await make(bytes, type);
      expect(result.verdict).toBe("degraded");
      expect(result.reason).toContain("moved nearer");
      const { durationMs = 0, videoPackets } = result.media ?? {};
      expect(videoPackets).toBe(PICTURES);
      expect(durationMs).toBeGreaterThan(GAP_MS_MAX);
      expect(durationMs).toBeLessThan(GAP_MS_MAX + 2 * PICTURES * STEP_MS + 100);

      // By the index alone: other readers go through the two million packets of silence.
      const video = (await readSampleTables(path))?.video;
      const timesMs = Array.from({ length: video?.count ?? 0 }, (_packet, i) =>
        video === undefined ? Number.NaN : presentedMs(video, i),
      );
      expect(timesMs.length).toBe(PICTURES);
      // On either side pictures are as far from each other as they were.
      for (const [i, timeMs] of timesMs.entries()) {
        if (i === 0 || i === firstBehind) continue;
        // Matroska counts in milliseconds.
        expect(Math.abs(timeMs - (timesMs[i - 1] ?? 0) - STEP_MS)).toBeLessThan(1.5);
      }
    },
    60_000,
  );
});

/** Where a recording's first Cluster begins (RFC 8794, 11.1; Matroska's ID 0x1F43B675). */
function clustersAt(bytes: Uint8Array): number {
  return Buffer.from(bytes).indexOf(Buffer.of(0x1f, 0x43, 0xb6, 0x75));
}

test.each(["vp9-opus", "h264-opus", "vp8-opus"] as const)(
  "%s whose times begin again is delivered whole, one behind the other, and says so",
  async (name) => {
    const { mimeType, chunks } = await recordedSegment(name);
    const once = joinChunks(chunks);
    const twice = Buffer.concat([once, once.subarray(clustersAt(once))]);
    const [single, double] = [await make(once, mimeType), await make(twice, mimeType)];
    expect(single.result.verdict).toBe("complete");
    expect(double.result.verdict).toBe("degraded");
    expect(double.result.reason).toContain("go back");
    expect(await complaintsAbout(double.path)).toEqual([]);
    const [numbers, both] = [
      await decodeFrameNumbers(single.path),
      await decodeFrameNumbers(double.path),
    ].map((frames) => frames.map(({ number }) => number));
    expect(both).toEqual([...(numbers ?? []), ...(numbers ?? [])]);
  },
  60_000,
);
