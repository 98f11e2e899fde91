import { expect, test } from "bun:test";
import { join } from "node:path";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ClockCall } from "../support/clock-call.ts";
import { decodeClockPictures } from "../support/clock-judge.ts";
import { clockReaches } from "../support/clock-page.ts";
import { exportedFiles } from "../support/exported-files.ts";
import {
  BUSY_MS,
  PLACE_TOLERANCE_MS,
  expectGaps,
  expectInPlace,
  expectWholeWallClock,
  figuresInWords,
  judgeTrack,
  type JudgedTrack,
} from "../support/judged-track.ts";
import type { CallRequest } from "../support/clock-call.ts";
import { openTestBed, type TestBed } from "../support/test-bed.ts";
import { firstShown, placePictures, worstErrorMs } from "../support/timeline-judge.ts";

/** How long each part of a call lasts. */
const PART_MS = campaign({ short: 3_000, long: 10_000 });

const partOver = () => clockReaches(Date.now() + PART_MS);

interface Scenario {
  readonly what: string;
  readonly request?: Partial<CallRequest>;
  /** From the first picture or sound to the last. */
  readonly play: (call: ClockCall) => Promise<void>;
  /** What must be true of the MP4 beside its places. */
  readonly judge: (judged: JudgedTrack) => void;
}

/** Sources in the order in which they are shown. */
function sourcesOf({ pictures }: JudgedTrack): number[] {
  const sources = firstShown(pictures).map(({ source }) => source);
  return sources.filter((source, i) => source !== sources[i - 1]);
}

/** Expects so many segments, and nothing missing between them but what a change takes. */
function expectShortGaps(judged: JudgedTrack, segments: number): void {
  expect(judged.timeline.segments.length).toBe(segments);
  expectGaps(judged, []);
}

const SCENARIOS: readonly Scenario[] = [
  {
    what: "a picture that becomes smaller and larger",
    play: async (call) => {
      await partOver();
      await call.clock.resize({ streamName: "camera", width: 320, height: 180 });
      await partOver();
      await call.clock.resize({ streamName: "camera", width: 1280, height: 720 });
      await partOver();
    },
    judge: (judged) => expectShortGaps(judged, 1),
  },
  {
    what: "another camera, which gives larger pictures",
    play: async (call) => {
      await partOver();
      await call.clock.putTracks({
        ...call.stream,
        source: 2,
        picture: { width: 960, height: 540, framesPerSecond: 30 },
        beepHz: null,
      });
      await partOver();
    },
    judge: (judged) => {
      expectShortGaps(judged, 2);
      expect(sourcesOf(judged)).toEqual([1, 2]);
    },
  },
  {
    what: "sound alone, and pictures later",
    request: { picture: null },
    play: async (call) => {
      await partOver();
      await call.clock.putTracks({
        ...call.stream,
        picture: { width: 640, height: 360, framesPerSecond: 30 },
        beepHz: null,
      });
      await partOver();
    },
    judge: (judged) => {
      expect(judged.timeline.segments.length).toBe(2);
      const { zeroMs, timeline } = judged;
      const changedAtMs = judged.startedAtMs + (timeline.segments[1]?.offsetMs ?? 0);
      // Until then the camera is off.
      expectGaps(judged, [
        { cause: "muted", streams: ["video"], fromMs: zeroMs, toMs: changedAtMs },
      ]);
      const [first] = firstShown(judged.pictures);
      expect(first?.timeMs).toBeGreaterThan(PART_MS / 2);
      expect(judged.beeps[0]?.timeMs).toBeLessThan(1_500 + BUSY_MS);
    },
  },
  {
    what: "H.264, and VP8 afterwards",
    request: { mimeTypes: ["video/x-matroska;codecs=avc1,opus"] },
    play: async (call) => {
      await partOver();
      await call.stop();
      await call.record(["video/webm;codecs=vp8,opus"]);
      await partOver();
    },
    judge: ({ track, timeline }) => {
      expect(timeline.segments.length).toBe(2);
      expect(track.segments.map(({ mimeType }) => mimeType.includes("vp8"))).toEqual([false, true]);
      expect(track.media).toMatchObject({ action: "transcode", videoCodec: "h264" });
      expect(track.media?.actionReason).toMatch(/VP8/);
    },
  },
];

test.each(SCENARIOS)(
  "one right MP4 comes of $what",
  async ({ what, request, play, judge }) => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "camera" };
    await using call = await ClockCall.open(bed, { ...name, source: 1, ...request });
    await play(call);
    await call.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);
    const judged = await judgeTrack(recording, name, { api, directory, player: call.clock });
    expect(judged.track).toMatchObject({ verdict: "complete", reason: null });
    const figures = expectInPlace(judged);
    if (request?.picture === undefined) expectWholeWallClock(judged);
    judge(judged);
    process.stderr.write(`${what}: ${figuresInWords(figures)}\n`);
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "a screen that is shared for a while is a track of its own, at its place beside the camera",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "camera" };
    await using camera = await ClockCall.open(bed, { ...name, source: 1 });
    await partOver();
    const { openedAtMs, sharedAtMs, unsharedAtMs } = await shareScreen(bed, recordingId);
    await partOver();
    await camera.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);

    const options = { api, directory, player: camera.clock };
    const judgedCamera = await judgeTrack(recording, name, options);
    const judgedScreen = await judgeTrack(recording, { ...name, trackId: "screen" }, options);
    for (const judged of [judgedCamera, judgedScreen]) {
      expect(judged.track).toMatchObject({ verdict: "complete", reason: null });
      expect(judged.timeline.segments.length).toBe(1);
      process.stderr.write(`${judged.track.trackId}: ${figuresInWords(expectInPlace(judged))}\n`);
      expectWholeWallClock(judged);
    }
    const { timeline, startedAtMs } = judgedScreen;
    const beginMs = startedAtMs + timeline.offsetMs;
    expect(beginMs).toBeWithin(openedAtMs, sharedAtMs + BUSY_MS);
    expect(Math.abs(beginMs + timeline.durationMs - unsharedAtMs)).toBeLessThan(BUSY_MS);
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "of two tabs that record one track at the same time the MP4 and its exports show one at each moment",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "camera" };
    await using first = await ClockCall.open(bed, { ...name, source: 1 });
    await partOver();
    await using second = await ClockCall.open(bed, { ...name, source: 2 });
    await partOver();
    // It begins and ends within the time of the second one.
    await using third = await ClockCall.open(bed, { ...name, source: 3 });
    await first.stop();
    await third.stop();
    await partOver();
    await second.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);
    const judged = await judgeTrack(recording, name, { api, directory, player: first.clock });
    const { track, timeline, zeroMs } = judged;
    expect(track.verdict).toBe("complete");
    expect(track.reason).toMatch(/^More than one recorder ran at the same time/);
    process.stderr.write(`two tabs: ${figuresInWords(expectInPlace(judged))}\n`);
    expectWholeWallClock(judged);
    expectShortGaps(judged, 2);
    expect(sourcesOf(judged)).toEqual([1, 2]);

    const segmentIds = track.segments.map(({ segmentId }) => segmentId);
    expect(timeline.segments.map(({ segmentId }) => segmentId)).toEqual(segmentIds.slice(0, 2));
    expect(timeline.overlaps?.map(({ segmentId }) => segmentId)).toEqual(segmentIds);
    expect(timeline.overlaps?.map(({ shown }) => shown.length)).toEqual([2, 2, 0]);
    // What is not shown is there as its recorder gave it.
    const source = join(directory, "third.webm");
    await api.download(`${api.trackUrl(name, "source")}?segmentId=${segmentIds[2]}`, source);
    expect(Bun.file(source).size).toBe(track.segments[2]?.bytes ?? 0);

    const options = { directory, timeoutMs: CAMPAIGN_TIMEOUT_MS };
    const request = { kind: "aligned", padding: "media" };
    const [file] = await exportedFiles(api, recordingId, request, options);
    if (file === undefined) throw new Error("There is no aligned file");
    const { startedAtMs } = judged;
    const pictures = await decodeClockPictures(file.path, { nearMs: zeroMs });
    const placed = placePictures(pictures, startedAtMs).slice(1);
    expect(Math.abs(worstErrorMs(placed))).toBeLessThanOrEqual(PLACE_TOLERANCE_MS);
    expect(sourcesOf({ ...judged, pictures })).toEqual([1, 2]);
  },
  CAMPAIGN_TIMEOUT_MS,
);

/** In a tab of its own; a shared screen seldom has sound. */
async function shareScreen(
  bed: TestBed,
  recordingId: string,
): Promise<{ openedAtMs: number; sharedAtMs: number; unsharedAtMs: number }> {
  const openedAtMs = Date.now();
  await using screen = await ClockCall.open(bed, {
    recordingId,
    participantId: "ann",
    trackId: "screen",
    source: 2,
    picture: { width: 1280, height: 720, framesPerSecond: 15 },
    beepHz: null,
  });
  const sharedAtMs = Date.now();
  await partOver();
  const unsharedAtMs = Date.now();
  await screen.stop();
  return { openedAtMs, sharedAtMs, unsharedAtMs };
}
