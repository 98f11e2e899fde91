import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { batchesOf } from "../../src/finalize/segment-batch.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { FinalizerBed, type SentSegment, testFfmpeg } from "./finalizer-bed.ts";

const SEGMENTS = 20;
const BEGAN_AT_MS = Date.UTC(2026, 0, 1);

let directory: TemporaryDirectory;
let whole: Uint8Array<ArrayBuffer>[];
let vp8: Uint8Array<ArrayBuffer>[];

beforeAll(async () => {
  directory = await temporaryDirectory();
  whole = await payloadsOf("vp9-opus");
  vp8 = await payloadsOf("vp8-opus");
});

afterAll(() => directory[Symbol.asyncDispose]());

async function payloadsOf(name: "vp9-opus" | "vp8-opus"): Promise<Uint8Array<ArrayBuffer>[]> {
  return (await recordedSegment(name)).chunks.slice(0, 2).map(({ payload }) => payload);
}

/** The machine's ffmpeg behind a script that writes a line for each of its starts. */
async function counted(name: string, before = ""): Promise<{ ffmpeg: FfmpegBinary; log: string }> {
  const ffmpeg = await testFfmpeg();
  const path = join(directory.path, name);
  const log = `${path}.log`;
  await Bun.write(path, `#!/bin/sh\necho start >> ${log}\n${before}\nexec ${ffmpeg.path} "$@"\n`);
  await chmod(path, 0o755);
  return { ffmpeg: { ...ffmpeg, path }, log };
}

/** Segments of two chunks, three seconds apart, with others in the place of some. */
function segments(others: Readonly<Record<number, readonly Uint8Array[]>> = {}): SentSegment[] {
  return Array.from({ length: SEGMENTS }, (_, i) => ({
    chunks: others[i] ?? whole,
    capturedAtMs: [0, 1_000].map((ms) => BEGAN_AT_MS + i * 3_000 + ms),
  }));
}

/** The finished track, and how often ffmpeg was started for it. */
async function finalized(
  sent: readonly SentSegment[],
  { ffmpeg, log }: { ffmpeg: FfmpegBinary; log: string },
) {
  await using bed = await FinalizerBed.open(ffmpeg);
  const { recordingId } = await bed.finalize(...sent);
  const { result, job } = await bed.track(recordingId);
  const starts = (await Bun.file(log).text()).trim().split("\n").length;
  return { result, job, starts };
}

test("short segments are made together by few runs of ffmpeg", async () => {
  const { result, starts } = await finalized(segments(), await counted("together"));
  const single = await finalized(segments().slice(0, 1), await counted("single"));
  const { videoPackets = 0, audioPackets = 0 } = single.result?.media ?? {};
  expect(videoPackets).toBeGreaterThan(0);
  expect(result).toMatchObject({
    verdict: "complete",
    media: { action: "copy", videoPackets: videoPackets * SEGMENTS },
  });
  // Silence fills what is between them.
  expect(result?.media?.audioPackets).toBeGreaterThan(audioPackets * SEGMENTS);
  expect(starts).toBe(2);
});

test("where they cannot be made together, each is made by itself, to the same end", async () => {
  // One input is the pipe of a segment that is made alone.
  const alone = await counted("alone", 'case "$*" in *pipe:0*) ;; *) exit 1 ;; esac');
  const apart = await finalized(segments(), alone);
  const together = await finalized(segments(), await counted("again"));
  const publishedAtMs = expect.any(Number);
  expect(apart.starts).toBe(2 + SEGMENTS);
  expect(apart.result).toMatchObject({
    verdict: "complete",
    media: { ...together.result?.media, publishedAtMs },
  });
});

test("one that cannot be used, and one that must be encoded, cost the others nothing", async () => {
  const [header = new Uint8Array()] = whole;
  const broken = [header.slice(0, 200), crypto.getRandomValues(new Uint8Array(5_000))];
  const sent = segments({ 3: broken, 7: vp8 });
  const { result, job } = await finalized(sent, await counted("mixed"));
  expect(job).toMatchObject({ state: "done" });
  expect(result).toMatchObject({
    verdict: "degraded",
    media: { action: "transcode", videoCodec: "h264" },
  });
  expect(result?.reason).toContain(result?.segments[3]?.segmentId ?? "no segment");
});

test("large segments are made by themselves, in no batch", () => {
  const [small, large] = [1_000, 100 * 1024 * 1024];
  expect(batchesOf([small, large, undefined, small])).toEqual([[1], [2], [0, 3]]);
  expect(batchesOf(Array.from({ length: 17 }, () => small)).map(({ length }) => length)).toEqual([
    16, 1,
  ]);
  expect(batchesOf([])).toEqual([]);
});
