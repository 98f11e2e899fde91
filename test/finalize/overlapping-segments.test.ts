import { afterEach, beforeEach, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RecordingId } from "../../src/contract/ids.ts";
import type { TrackResult } from "../../src/recording/ports.ts";
import { complaintsAbout } from "../support/judge-ffmpeg.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { onlyStream, streamsOf, totalDurationMs } from "../support/media-streams.ts";
import { type RecordedName, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const MEDIA_TIMEOUT_MS = 120_000;

/** When a picture was captured its number does not tell exactly; that of the clock is far less. */
const PLACE_TOLERANCE_MS = 40;

/** Sound changes between whole packets: those of Chromium have 60 ms. */
const SOUND_STEP_MS_MAX = 60 + 60;

/** One run of a recorder whose media are known. */
interface Run {
  readonly name: RecordedName;
  /** From the recording's zero. */
  readonly atMs: number;
  /** By default all. */
  readonly chunks?: number;
  readonly isTimed?: false;
}

/** What is shown of a run, up to the begin of the next one that is shown. */
interface Shown {
  readonly run: number;
  /** In its media time; by default from its begin. */
  readonly fromMs?: number;
}

/** Recorded media have keyframes at 0 and behind this. */
const SECOND_KEYFRAME_MS = 3_345;

let bed: FinalizerBed;
beforeEach(async () => {
  bed = await FinalizerBed.open(await testFfmpeg());
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

async function record(runs: readonly Run[]): Promise<RecordingId> {
  const { recordingId } = await bed.engine.startRecording({});
  const startedAtMs = bed.clock.nowMs();
  bed.clock.advance(60_000);
  for (const { name, atMs, chunks, isTimed = true } of runs) {
    const recorded = await recordedSegment(name);
    const sent = recorded.chunks.slice(0, chunks);
    // A slice begins when the one before was handed over.
    const capturedAtMs = sent.map((_, i) => startedAtMs + atMs + (sent[i - 1]?.atMs ?? 0));
    await bed.send(recordingId, {
      chunks: sent.map(({ payload }) => payload),
      mimeType: recorded.mimeType,
      ...(isTimed && { capturedAtMs }),
    });
  }
  return recordingId;
}

async function finalized(runs: readonly Run[]): Promise<{ result: TrackResult; path: string }> {
  const recordingId = await record(runs);
  await bed.engine.stopRecording(recordingId);
  await bed.untilState(recordingId, "ready", "failed");
  const { result, job } = await bed.track(recordingId);
  if (result === null) throw new Error(`The track failed: ${job?.error}`);
  return { result, path: bed.layout.mediaPath(trackKey(recordingId)) };
}

/** The pictures of a run with the time at which each was recorded, from the recording's zero. */
async function picturesOf({
  name,
  atMs,
  chunks,
}: Run): Promise<{ number: number; atMs: number }[]> {
  const path = join(bed.scratchDirectory, `${name}.source`);
  await writeFile(path, joinChunks((await recordedSegment(name)).chunks.slice(0, chunks)));
  const frames = await decodeFrameNumbers(path);
  const firstMs = frames[0]?.timeMs ?? 0;
  return frames.map(({ number, timeMs }) => ({ number, atMs: atMs + timeMs - firstMs }));
}

/** Expects exactly these pictures at their time on the wall clock, and sound without a hole or a double. */
async function expectMedia(
  path: string,
  { result, runs }: { readonly result: TrackResult; readonly runs: readonly Run[] },
  shown: readonly Shown[],
): Promise<void> {
  expect(await complaintsAbout(path)).toEqual([]);
  const frames = await decodeFrameNumbers(path);
  const wanted: { number: number; atMs: number }[] = [];
  for (const { run, fromMs = 0 } of shown) {
    const own = runs[run];
    if (own === undefined) throw new RangeError(`There is no run ${run}`);
    const pictures = (await picturesOf(own)).filter(({ atMs }) => atMs >= own.atMs + fromMs);
    const [first] = pictures;
    while ((wanted.at(-1)?.atMs ?? -Infinity) >= (first?.atMs ?? 0)) wanted.pop();
    wanted.push(...pictures);
  }
  expect(frames.map(({ number }) => number)).toEqual(wanted.map(({ number }) => number));
  const zeroMs = result.timeline?.offsetMs ?? 0;
  for (const [i, { timeMs }] of frames.entries()) {
    expect(Math.abs(zeroMs + timeMs - (wanted[i]?.atMs ?? 0))).toBeLessThan(PLACE_TOLERANCE_MS);
  }
  const streams = await streamsOf(path);
  const { timesMs, payloads } = onlyStream(streams, "audio");
  const stepsMs = timesMs.slice(1).map((timeMs, i) => timeMs - (timesMs[i] ?? 0));
  expect(Math.max(...stepsMs)).toBeLessThanOrEqual(SOUND_STEP_MS_MAX);
  expect(Math.min(...stepsMs)).toBeGreaterThan(0);
  expect(payloads.length).toBe(result.media?.audioPackets ?? 0);
  expect(Math.abs(totalDurationMs(streams) - (result.timeline?.durationMs ?? 0))).toBeLessThan(40);
  expect(
    Math.abs((result.media?.durationMs ?? 0) - (result.timeline?.durationMs ?? 0)),
  ).toBeLessThan(40);
  // What is called missing is no longer than the step from one recorder's packets to the other's.
  for (const { fromMs, toMs } of result.timeline?.gaps ?? []) {
    expect(toMs - fromMs).toBeLessThanOrEqual(SOUND_STEP_MS_MAX);
  }
}

const AT_ONCE = /^More than one recorder ran at the same time \(0:0\d\.\d to 0:0\d\.\d\)/;

test(
  "a recorder that a page started twice is in the MP4 once, and both are kept as source",
  async () => {
    const runs: Run[] = [
      { name: "h264-opus", atMs: 500 },
      { name: "h264-opus", atMs: 512 },
    ];
    const { result, path } = await finalized(runs);
    await expectMedia(path, { result, runs }, [{ run: 0 }]);
    expect(result).toMatchObject({ verdict: "complete", media: { action: "copy" } });
    expect(result.reason).toMatch(AT_ONCE);
    expect(result.timeline?.gaps).toEqual([]);
    expect(result.timeline?.segments).toHaveLength(1);
    const [first, second] = result.segments;
    expect(result.timeline?.overlaps).toMatchObject([
      { segmentId: first?.segmentId, shown: [{ streams: ["video"] }, { streams: ["audio"] }] },
      { segmentId: second?.segmentId, shown: [] },
    ]);
    expect(result.segments.map(({ chunks }) => chunks)).toEqual([6, 6]);
  },
  MEDIA_TIMEOUT_MS,
);

test.each([
  [
    "one that lasts longer takes over at its last keyframe",
    [
      { name: "h264-opus", atMs: 500 },
      { name: "h264-opus", atMs: 2_500 },
    ],
    [{ run: 0 }, { run: 1, fromMs: SECOND_KEYFRAME_MS }],
  ],
  [
    "one whose next keyframe is seconds away takes over where it began",
    [
      { name: "h264-opus", atMs: 500 },
      { name: "h264-opus", atMs: 4_500 },
    ],
    [{ run: 0 }, { run: 1 }],
  ],
  [
    "a short one inside a long one is not shown",
    [
      { name: "vp9-opus", atMs: 500 },
      { name: "vp9-opus", atMs: 2_000, chunks: 2 },
    ],
    [{ run: 0 }],
  ],
  [
    "three at once",
    [
      { name: "vp9-opus", atMs: 500 },
      { name: "vp9-opus", atMs: 2_500 },
      { name: "vp9-opus", atMs: 7_200 },
    ],
    [{ run: 0 }, { run: 1, fromMs: SECOND_KEYFRAME_MS }, { run: 2 }],
  ],
  [
    "a recorder that ends a little behind the begin of the next one is shown whole",
    [
      { name: "h264-opus", atMs: 500 },
      { name: "h264-opus", atMs: 6_480 },
    ],
    [{ run: 0 }, { run: 1 }],
  ],
  [
    "fragmented MP4 and Matroska",
    [
      { name: "mp4-vp9-opus", atMs: 500 },
      { name: "vp9-opus", atMs: 2_500 },
    ],
    [{ run: 0 }, { run: 1, fromMs: SECOND_KEYFRAME_MS }],
  ],
  [
    "Matroska and fragmented MP4",
    [
      { name: "vp9-opus", atMs: 500 },
      { name: "mp4-vp9-opus", atMs: 2_500 },
    ],
    [{ run: 0 }, { run: 1, fromMs: SECOND_KEYFRAME_MS }],
  ],
] satisfies [string, Run[], Shown[]][])(
  "%s",
  async (_, runs, shown) => {
    const { result, path } = await finalized(runs);
    await expectMedia(path, { result, runs }, shown);
    expect(result).toMatchObject({ verdict: "complete", media: { action: "copy" } });
  },
  MEDIA_TIMEOUT_MS,
);
