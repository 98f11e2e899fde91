import { expect } from "bun:test";
import { join } from "node:path";
import type { Recording, Track } from "../../src/contract/recordings.ts";
import type { StreamKind } from "../../src/contract/marks.ts";
import type { Gap, TrackTimeline } from "../../src/contract/timeline.ts";
import { type Beep, type DecodedSound, beepsIn, decodeSound } from "./beep-judge.ts";
import { type ClockPicture, decodeClockPictures } from "./clock-judge.ts";
import type { ClockPage } from "./clock-page.ts";
import { complaintsAbout } from "./judge-ffmpeg.ts";
import { type RecordingsApi, trackOf, type TrackName } from "./recordings-api.ts";
import { onlyStream, streamsOf } from "./media-streams.ts";
import {
  type FlashAndBeep,
  type PlacedMoment,
  firstShown,
  flashesAndBeeps,
  placeBeeps,
  placePictures,
  worstErrorMs,
} from "./timeline-judge.ts";

/** The product's promise for every picture, every sound and the distance between them. */
export const PLACE_TOLERANCE_MS = 40;

/** At 30 frames per second, drawn in the browser's own rhythm of 60. */
const FRAME_MS = 1000 / 30;

/** As far from a segment's begin its first picture can be: that of before its recorder's start. */
const FIRST_PICTURE_MS = 60;

/** A track's MP4 with all that its decoded pictures and sound tell. */
export interface JudgedTrack {
  readonly track: Track;
  readonly timeline: TrackTimeline;
  readonly path: string;
  /** The recording's zero and the MP4's, in milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly zeroMs: number;
  readonly pictures: readonly ClockPicture[];
  /** Undefined when the MP4 has none. */
  readonly sound: DecodedSound | undefined;
  readonly beeps: readonly Beep[];
}

/** What is to be judged, and with what. */
export interface JudgeOptions {
  readonly api: RecordingsApi;
  /** For downloads. */
  readonly directory: string;
  /** A page that plays the MP4 to its end. */
  readonly player: ClockPage["clock"];
  /** By default 1,000. */
  readonly beepHz?: number;
}

/**
 * Downloads a track's MP4 and decodes all of it. Expects that ffmpeg has no word of complaint, that
 * Chromium plays it to its end, that its length is what the server tells, and that every picture shows
 * a clock. One that lacks what it is made from shows rubbish: then the ledger must call it damaged.
 */
export async function judgeTrack(
  recording: Recording,
  name: TrackName,
  { api, directory, player, beepHz = 1_000 }: JudgeOptions,
): Promise<JudgedTrack> {
  const track = trackOf(recording, name);
  const { media, timeline } = track;
  if (media === null || timeline === null) {
    throw new Error(`There is no MP4: ${JSON.stringify(track, null, 2)}`);
  }
  const path = join(directory, `${Bun.randomUUIDv7()}.mp4`);
  await api.download(api.trackUrl(name, "media.mp4"), path);
  expect(await complaintsAbout(path)).toEqual([]);
  const played = await player.playWhole(api.trackUrl(name, "media.mp4"));
  expect(Math.abs(played.endedAtMs - media.durationMs)).toBeLessThan(PLACE_TOLERANCE_MS);
  expect(Math.abs(timeline.durationMs - media.durationMs)).toBeLessThan(PLACE_TOLERANCE_MS);

  // Of recorders that ran at the same time, one is shown at each moment.
  const isAllShown = track.verdict === "complete" && timeline.overlaps === undefined;
  if (isAllShown && media.videoPackets > 0) {
    expect(media.videoPackets).toBe(await recordedPictures(track, name, { api, directory }));
  }

  const startedAtMs = Date.parse(recording.startedAt);
  const zeroMs = startedAtMs + timeline.offsetMs;
  const pictures =
    media.videoPackets === 0 ? [] : await decodeClockPictures(path, { nearMs: zeroMs });
  const unusable = timeline.gaps.filter(
    ({ cause, streams }) => cause === "damaged" && streams.includes("video"),
  );
  const rubbish = pictures.filter(({ drawnAtMs, timeMs }) => {
    const atMs = timeline.offsetMs + timeMs;
    const isTold = unusable.some(
      ({ fromMs, toMs }) =>
        fromMs - PLACE_TOLERANCE_MS <= atMs && atMs <= toMs + PLACE_TOLERANCE_MS,
    );
    return drawnAtMs === null && !isTold;
  });
  expect(rubbish).toEqual([]);
  const sound = media.audioPackets === 0 ? undefined : await decodeSound(path);
  const beeps = sound === undefined ? [] : beepsIn(sound, beepHz);
  return { track, timeline, path, startedAtMs, zeroMs, pictures, sound, beeps };
}

/**
 * How many pictures the recorder gave: those of all segments. What a busy browser never recorded is in
 * none of them, so that this count does not depend on how fast the machine is.
 */
async function recordedPictures(
  { timeline }: Track,
  name: TrackName,
  { api, directory }: Pick<JudgeOptions, "api" | "directory">,
): Promise<number> {
  let pictures = 0;
  for (const { segmentId } of timeline?.segments ?? []) {
    const path = join(directory, `${Bun.randomUUIDv7()}.source`);
    await api.download(`${api.trackUrl(name, "source")}?segmentId=${segmentId}`, path);
    const streams = await streamsOf(path);
    if (streams.some(({ kind }) => kind === "video"))
      pictures += onlyStream(streams, "video").packets;
  }
  return pictures;
}

/** What was measured, for the line that a test prints. */
export interface SyncFigures {
  readonly pictureMs: number;
  readonly soundMs: number;
  readonly skewMs: number;
}

/**
 * Expects every picture and every beep at its place on the recording's timeline, and every beep with
 * its flash. What was before a segment's begin is left out: a recorder begins with the picture that
 * was drawn last before its start and, on a busy machine, with sound that still waited then.
 */
export function expectInPlace(judged: JudgedTrack): SyncFigures {
  const pictures = picturesInPlace(judged);
  const sounds = (["countedMs", "timeMs"] as const).flatMap((by) => beepsInPlace(judged, by));
  const skews = skewsOf(judged);
  const figures = {
    pictureMs: judged.pictures.length === 0 ? 0 : worstErrorMs(pictures),
    soundMs: judged.sound === undefined ? 0 : worstErrorMs(sounds),
    skewMs: skews.reduce(
      (most, { skewMs }) => (Math.abs(skewMs) > Math.abs(most) ? skewMs : most),
      0,
    ),
  };
  for (const ms of Object.values(figures)) {
    if (Math.abs(ms) > PLACE_TOLERANCE_MS) process.stderr.write(`${describe(judged)}\n`);
    expect(Math.abs(ms)).toBeLessThanOrEqual(PLACE_TOLERANCE_MS);
  }
  return figures;
}

function picturesInPlace({ pictures, zeroMs, timeline }: JudgedTrack): PlacedMoment[] {
  const begins = segmentBegins(timeline);
  const isFirst = (timeMs: number): boolean =>
    begins.some((beginMs) => Math.abs(timeMs - beginMs) < FIRST_PICTURE_MS);
  return placePictures(pictures, zeroMs).filter(({ timeMs }) => !isFirst(timeMs));
}

function beepsInPlace({ beeps, zeroMs, timeline }: JudgedTrack, by: keyof Beep): PlacedMoment[] {
  const begins = segmentBegins(timeline);
  const isFromBefore = ({ timeMs, trueMs }: PlacedMoment): boolean =>
    begins.some((beginMs) => trueMs < zeroMs + beginMs && beginMs <= timeMs);
  const places = placeBeeps(beeps, zeroMs, by);
  const own = beeps.filter((_, i) => places[i] !== undefined && !isFromBefore(places[i]));
  return placeBeeps(own, zeroMs, by);
}

/** In milliseconds from the MP4's zero. */
function segmentBegins(timeline: TrackTimeline): number[] {
  return timeline.segments.map(({ offsetMs }) => offsetMs - timeline.offsetMs);
}

/** By counting samples, as players do. */
export function skewsOf({ pictures, beeps }: JudgedTrack): FlashAndBeep[] {
  return flashesAndBeeps(pictures, beeps);
}

function short(moments: readonly PlacedMoment[]): string {
  return moments
    .map(({ timeMs, errorMs }) => `${timeMs.toFixed(0)}:${errorMs.toFixed(0)}`)
    .join(" ");
}

/** All that was measured, for a test that fails. */
function describe(judged: JudgedTrack): string {
  const { timeline, zeroMs, pictures, beeps, startedAtMs } = judged;
  const placed = picturesInPlace(judged);
  const bad = placed.filter(({ errorMs }) => Math.abs(errorMs) > PLACE_TOLERANCE_MS);
  return [
    `timeline ${JSON.stringify(timeline)}`,
    `zero ${zeroMs - startedAtMs}, ${pictures.length} pictures, ${bad.length} out of place`,
    `pictures ${short(bad.slice(0, 20))} ... ${short(placed.filter((_, i) => i % 15 === 0))}`,
    `beeps counted ${short(placeBeeps(beeps, zeroMs))}`,
    `beeps timed ${short(placeBeeps(beeps, zeroMs, "timeMs"))}`,
    `skews ${skewsOf(judged)
      .map(({ timeMs, skewMs }) => `${timeMs.toFixed(0)}:${skewMs.toFixed(0)}`)
      .join(" ")}`,
  ].join("\n");
}

/**
 * By so much a busy machine is late with what a test asks for: a browser pauses, hides a page or takes
 * a track away later than it was told, and its encoder takes the better part of a second to begin.
 * Where a gap truly is, its pictures tell (`expectWholeWallClock`).
 */
export const BUSY_MS = 1_000;

/** A gap that a test has made, on the common clock. */
export interface ExpectedGap {
  readonly cause: Gap["cause"];
  readonly streams: readonly StreamKind[];
  readonly fromMs: number;
  readonly toMs: number;
  /** How exact its ends are known; `BUSY_MS` by default. */
  readonly toleranceMs?: number;
}

/**
 * The gaps of one stream that are longer than `longerThanMs`, in milliseconds since the epoch. Picture
 * and sound of a recorder do not begin and end in the same moment, so each has its own.
 */
export function gapsOf(
  { timeline, startedAtMs }: JudgedTrack,
  stream: StreamKind,
  longerThanMs: number,
): Pick<Gap, "cause" | "fromMs" | "toMs">[] {
  return timeline.gaps
    .filter(({ streams, fromMs, toMs }) => streams.includes(stream) && toMs - fromMs > longerThanMs)
    .map(({ cause, fromMs, toMs }) => ({
      cause,
      fromMs: startedAtMs + fromMs,
      toMs: startedAtMs + toMs,
    }));
}

/** Expects exactly these gaps on the ledger, in order of time, beside such as a busy browser makes. */
export function expectGaps(judged: JudgedTrack, expected: readonly ExpectedGap[]): void {
  for (const stream of ["video", "audio"] as const) {
    const found = gapsOf(judged, stream, BUSY_MS);
    const wanted = expected.filter(({ streams }) => streams.includes(stream));
    expect(found.map(({ cause }) => cause)).toEqual(wanted.map(({ cause }) => cause));
    for (const [i, { fromMs, toMs, toleranceMs = BUSY_MS }] of wanted.entries()) {
      const gap = found[i] ?? { fromMs: 0, toMs: 0 };
      expect(Math.abs(gap.fromMs - fromMs)).toBeLessThanOrEqual(toleranceMs);
      expect(Math.abs(gap.toMs - toMs)).toBeLessThanOrEqual(toleranceMs);
    }
  }
}

/**
 * A camera that gives nothing for a second has stalled, says the ledger; less is not told of. From one
 * picture to the next there is the time of the picture besides, which on a busy machine is longer.
 */
const STILL_MS_MAX = 1_200;

/**
 * Expects that the pictures that the decoder gave and what the ledger calls missing are together the
 * track's time on the wall clock: by the times at which they were drawn, so that a standing one is not
 * taken for media, and a picture where none should be counts too much. The ends of a hole are known to
 * within the time from one picture to the next, which is longer on a busy machine.
 */
export function expectWholeWallClock(judged: JudgedTrack): void {
  const { timeline, pictures, zeroMs } = judged;
  const shown = firstShown(pictures);
  const gaps = gapsOf(judged, "video", 0);
  const steps = shown.map(({ drawnAtMs }, i) => ({
    // The first one was drawn before there was a recorder.
    fromMs: Math.max(drawnAtMs, zeroMs),
    toMs: shown[i + 1]?.drawnAtMs ?? zeroMs + timeline.durationMs,
  }));
  const isHole = ({ fromMs, toMs }: (typeof steps)[number]): boolean =>
    toMs - fromMs > STILL_MS_MAX || gaps.some((gap) => gap.fromMs < toMs && gap.toMs > fromMs);
  const holes = steps.filter(isHole);
  const usualMs = steps
    .filter((step) => !isHole(step))
    .map(({ fromMs, toMs }) => toMs - fromMs)
    .toSorted((x, y) => x - y);
  // The last picture before a hole was there for its own time.
  const mediaMs = usualMs.reduce((sum, ms) => sum + ms, 0) + holes.length * FRAME_MS;
  const gapsMs = gaps.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  const stepMs = usualMs[Math.floor(usualMs.length * 0.99)] ?? FRAME_MS;
  const errorMs = mediaMs + gapsMs - timeline.durationMs;
  const toleranceMs = PLACE_TOLERANCE_MS + holes.length * stepMs;
  if (Math.abs(errorMs) > toleranceMs) {
    const words = holes.map(({ fromMs, toMs }) => `${fromMs - zeroMs} to ${toMs - zeroMs}`);
    process.stderr.write(`holes ${words.join(", ")}; step ${stepMs}; ${describe(judged)}\n`);
  }
  expect(Math.abs(errorMs)).toBeLessThanOrEqual(toleranceMs);
}

/** The figures in a line for people. */
export function figuresInWords({ pictureMs, soundMs, skewMs }: SyncFigures): string {
  const [picture, sound, skew] = [pictureMs, soundMs, skewMs].map((ms) => ms.toFixed(0));
  return `pictures within ${picture} ms of their place, beeps ${sound} ms, from each other ${skew} ms`;
}
