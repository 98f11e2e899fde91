import { afterEach, beforeEach, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RecordingId } from "../../src/contract/ids.ts";
import type { TrackResult } from "../../src/recording/ports.ts";
import { complaintsAbout } from "../support/judge-ffmpeg.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { onlyStream, streamsOf, totalDurationMs } from "../support/media-streams.ts";
import { type RecordedName, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import {
  FinalizerBed,
  type SentSegment,
  newSegmentId,
  testFfmpeg,
  trackKey,
} from "./finalizer-bed.ts";

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
  readonly isTimed?: boolean;
  /** The only chunk that never comes. */
  readonly lost?: number;
}

/** What is shown of a run, up to the begin of the next one that is shown. */
interface Shown {
  readonly run: number;
  /** In its media time; by default from its begin. */
  readonly fromMs?: number;
}

/** Recorded media have keyframes at 0 and behind this. */
const SECOND_KEYFRAME_MS = 3_345;

const STARTED_AT_MS = new ManualClock().nowMs();

let bed: FinalizerBed;
beforeEach(async () => {
  bed = await FinalizerBed.open(await testFfmpeg());
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

/** A run's chunks as its client sends them. */
async function sentBy({ name, atMs, chunks, isTimed = true, lost }: Run): Promise<SentSegment> {
  const recorded = await recordedSegment(name);
  const sent = recorded.chunks.slice(0, chunks);
  const zeroMs = STARTED_AT_MS + atMs;
  // A slice begins when the one before was handed over.
  const capturedAtMs = sent.map((_, i) => zeroMs + (sent[i - 1]?.atMs ?? 0));
  return {
    chunks: sent.map(({ payload }, i) => (i === lost ? undefined : payload)),
    mimeType: recorded.mimeType,
    capturedAtMs: isTimed ? capturedAtMs : [],
  };
}

async function startRecording(): Promise<RecordingId> {
  const { recordingId } = await bed.engine.startRecording({});
  bed.clock.advance(60_000);
  return recordingId;
}

async function finalized(runs: readonly Run[]): Promise<{ result: TrackResult; path: string }> {
  const recordingId = await startRecording();
  for (const run of runs) await bed.send(recordingId, await sentBy(run));
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
  for (const { cause, fromMs, toMs } of result.timeline?.gaps ?? []) {
    const isOwn = cause === "muted" || cause === "missing-chunks" || cause === "damaged";
    if (!isOwn) expect(toMs - fromMs).toBeLessThanOrEqual(SOUND_STEP_MS_MAX);
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

test.each([
  [
    "another codec that is not shown leaves H.264 as it is",
    [
      { name: "h264-opus", atMs: 500 },
      { name: "vp9-opus", atMs: 700, chunks: 5 },
    ],
    [{ run: 0 }],
    { action: "copy", videoCodec: "h264" },
  ],
  [
    "H.264 that is not shown has nothing transcoded for its sake",
    [
      { name: "vp9-opus", atMs: 500 },
      { name: "h264-opus", atMs: 700, chunks: 5 },
    ],
    [{ run: 0 }],
    { action: "copy", videoCodec: "vp9" },
  ],
  [
    "VP9, and H.264 that takes over",
    [
      { name: "vp9-opus", atMs: 500 },
      { name: "h264-opus", atMs: 2_500 },
    ],
    [{ run: 0 }, { run: 1, fromMs: SECOND_KEYFRAME_MS }],
    { action: "transcode", videoCodec: "h264" },
  ],
  [
    "H.264, and VP8 whose keyframes are those of the encoder",
    [
      { name: "h264-opus", atMs: 500 },
      { name: "vp8-opus", atMs: 2_500 },
    ],
    [{ run: 0 }, { run: 1 }],
    { action: "transcode", videoCodec: "h264" },
  ],
  [
    "sound alone, and picture and sound that last longer",
    [
      { name: "audio-opus", atMs: 500 },
      { name: "h264-opus", atMs: 2_500 },
    ],
    [{ run: 1 }],
    { action: "copy", videoCodec: "h264", audioCodec: "opus" },
  ],
  [
    "picture and sound within a time of sound alone",
    [
      { name: "audio-opus", atMs: 500 },
      { name: "h264-opus", atMs: 1_500, chunks: 3 },
    ],
    [{ run: 1 }],
    { action: "copy", videoCodec: "h264", audioCodec: "opus" },
  ],
] satisfies [string, Run[], Shown[], object][])(
  "%s",
  async (_, runs, shown, media) => {
    const { result, path } = await finalized(runs);
    await expectMedia(path, { result, runs }, shown);
    expect(result).toMatchObject({ verdict: "complete", media });
    expect(result.reason).toMatch(AT_ONCE);
  },
  MEDIA_TIMEOUT_MS,
);

test(
  "the first is shown to its end where the one that takes over has lost as much",
  async () => {
    const runs: Run[] = [
      { name: "vp9-opus", atMs: 500, chunks: 5 },
      { name: "vp9-opus", atMs: 2_700, lost: 2 },
    ];
    const recordingId = await startRecording();
    for (const run of runs) await bed.send(recordingId, await sentBy(run));
    await bed.engine.stopRecording(recordingId);
    await bed.untilWaiting();
    bed.clock.advance(10_000);
    await bed.untilState(recordingId, "ready");
    const { result } = await bed.track(recordingId);
    if (result === null) throw new Error("There is no result");
    const path = bed.layout.mediaPath(trackKey(recordingId));
    await expectMedia(path, { result, runs }, [{ run: 0 }, { run: 1, fromMs: SECOND_KEYFRAME_MS }]);
    expect(result.verdict).toBe("degraded");
    // Only what neither has: from the end of the first to the keyframe of the second.
    const lost = (result.timeline?.gaps ?? []).filter(
      ({ cause, streams }) => cause !== "between-segments" && streams.includes("video"),
    );
    expect(lost.map(({ cause }) => cause)).toEqual(["missing-chunks", "damaged"]);
    expect(Math.abs((lost[0]?.fromMs ?? 0) - 5_590)).toBeLessThan(100);
    expect(Math.abs((lost[1]?.toMs ?? 0) - 6_069)).toBeLessThan(PLACE_TOLERANCE_MS);
  },
  MEDIA_TIMEOUT_MS,
);

test(
  "runs whose times nobody told follow each other",
  async () => {
    const name = "h264-opus";
    const { result, path } = await finalized([
      { name, atMs: 0, isTimed: false },
      { name, atMs: 10, isTimed: false },
    ]);
    const numbers = (await picturesOf({ name, atMs: 0 })).map(({ number }) => number);
    const frames = await decodeFrameNumbers(path);
    expect(frames.map(({ number }) => number)).toEqual([...numbers, ...numbers]);
    expect(result).toMatchObject({ verdict: "complete", reason: null });
    expect(result.timeline?.overlaps).toBeUndefined();
  },
  MEDIA_TIMEOUT_MS,
);

test(
  "the end of the first that comes late is shown instead of what stood in for it",
  async () => {
    const runs: Run[] = [
      { name: "h264-opus", atMs: 500 },
      { name: "h264-opus", atMs: 1_500 },
    ];
    const [first, second] = await Promise.all(runs.map((run) => sentBy(run)));
    if (first === undefined || second === undefined) throw new RangeError("There are two runs");
    const recordingId = await startRecording();
    const segmentId = newSegmentId();
    const early = first.chunks.map((chunk, i) => (i < 3 ? chunk : undefined));
    await bed.send(recordingId, { ...first, segmentId, chunks: early });
    await bed.send(recordingId, second);
    await bed.engine.stopRecording(recordingId);
    await bed.untilWaiting();
    bed.clock.advance(10_000);
    await bed.untilState(recordingId, "ready");
    const path = bed.layout.mediaPath(trackKey(recordingId));
    const { result } = await bed.track(recordingId);
    if (result === null) throw new Error("There is no result");
    expect(result.verdict).toBe("degraded");
    await expectMedia(path, { result, runs }, [{ run: 0 }, { run: 1 }]);
    // What the first lacks the second has.
    const causes = result.timeline?.gaps.map(({ cause }) => cause) ?? [];
    expect(causes.filter((cause) => cause !== "between-segments")).toEqual([]);

    const rest = first.chunks.map((chunk, i) => (i < 3 ? undefined : chunk));
    await bed.send(recordingId, { ...first, segmentId, chunks: rest, ends: false });
    bed.clock.advance(60_000);
    const late = await bed.untilTrack(
      recordingId,
      "it is whole",
      (track) => track.job?.state === "done" && track.result?.verdict === "complete",
    );
    if (late.result === null) throw new Error("There is no result");
    await expectMedia(path, { result: late.result, runs }, [
      { run: 0 },
      { run: 1, fromMs: SECOND_KEYFRAME_MS },
    ]);
  },
  MEDIA_TIMEOUT_MS,
);
