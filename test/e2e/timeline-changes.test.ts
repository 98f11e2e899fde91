import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ClockCall } from "../support/clock-call.ts";
import { clockReaches } from "../support/clock-page.ts";
import {
  expectGaps,
  expectInPlace,
  expectWholeWallClock,
  figuresInWords,
  judgeTrack,
  type JudgedTrack,
} from "../support/judged-track.ts";
import type { CallRequest } from "../support/clock-call.ts";
import { openTestBed, type TestBed } from "../support/test-bed.ts";
import { firstShown } from "../support/timeline-judge.ts";

/** How long each part of a call lasts. */
const PART_MS = campaign({ short: 3_000, long: 10_000 });

/** The product's promise for a change of tracks within a page. */
const CHANGE_GAP_MS_MAX = 300;

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

/** Expects so many segments, and nothing missing between them but what a change may take. */
function expectShortGaps(judged: JudgedTrack, segments: number): void {
  expect(judged.timeline.segments.length).toBe(segments);
  expectGaps(judged, [], CHANGE_GAP_MS_MAX);
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
      const off = {
        cause: "muted",
        streams: ["video"],
        fromMs: zeroMs,
        toMs: changedAtMs,
      } as const;
      expectGaps(judged, [{ ...off, toleranceMs: CHANGE_GAP_MS_MAX }], CHANGE_GAP_MS_MAX);
      const [first] = firstShown(judged.pictures);
      expect(first?.timeMs).toBeGreaterThan(PART_MS / 2);
      expect(judged.beeps[0]?.timeMs).toBeLessThan(1_500);
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
    const { sharedAtMs, unsharedAtMs } = await shareScreen(bed, recordingId);
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
    expect(Math.abs(beginMs - sharedAtMs)).toBeLessThan(1_000);
    expect(Math.abs(beginMs + timeline.durationMs - unsharedAtMs)).toBeLessThan(1_000);
  },
  CAMPAIGN_TIMEOUT_MS,
);

/** In a tab of its own; a shared screen seldom has sound. */
async function shareScreen(
  bed: TestBed,
  recordingId: string,
): Promise<{ sharedAtMs: number; unsharedAtMs: number }> {
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
  return { sharedAtMs, unsharedAtMs };
}
