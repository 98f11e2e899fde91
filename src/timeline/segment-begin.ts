import type { Mark } from "../contract/marks.ts";
import type { ChunkStamp } from "../recording/ports.ts";
import type { SliceLag } from "./slice-lags.ts";

/**
 * Oldest capture time, counted from the chunk's arrival, that is believed: a browser can be offline
 * for days, but a clock of another decade would make an MP4 as long.
 */
const CAPTURE_AGE_MS_MAX = 30 * 24 * 3_600_000;

/** A client's estimate of the server's clock can be off by a little, and its chunk come at once. */
const CAPTURE_AHEAD_MS_MAX = 100;

/**
 * A camera's first frame comes between none and one frame's time after the recorder's start: half of
 * the time of one at 30 frames a second.
 */
const FIRST_CAMERA_FRAME_MS = 16;

/** The `start` event, from which some clients take the first stamp, can be as late as a busy page. */
const START_EVENT_MS_MAX = 60_000;

/**
 * What the encoders held of the third soonest chunk when it was handed over: 1 to 25 ms in Chromium of
 * pictures alone, 30 to 70 with sound and of sound alone, idle or busy.
 */
const ENCODER_MS = 40;

/** As far the stated begin may be after what the chunks tell, by the clock's error alone. */
const STATED_LATE_MS_MAX = 50;

/** As far before: also on a busy computer three chunks are encoded sooner. */
const STATED_EARLY_MS_MAX = 400;

/**
 * Chunks that agree within this tell when the segment began. Chromium stamps sound 50 ms late, and
 * hands the last chunk over without delay: that one can be 100 ms ahead of the others.
 */
const AGREEMENT_MS = 150;

/** So much of a segment's begin is looked at: its device's clock has not drifted much by then. */
const BEGIN_SPAN_MS = 120_000;

/** Whether a chunk's capture time can be true: not after its arrival, and not absurdly long before. */
export function isCredible({ capturedAtMs, receivedAtMs }: ChunkStamp): boolean {
  if (capturedAtMs === null) return false;
  const ageMs = receivedAtMs - capturedAtMs;
  return ageMs >= -CAPTURE_AHEAD_MS_MAX && ageMs <= CAPTURE_AGE_MS_MAX;
}

/** A clock may be wrong for a while within a segment; a mark that is further ahead is none. */
const MARK_AHEAD_MS_MAX = 60_000;

/**
 * The marks that can be true, as `isCredible` says of stamps: a pause that ends in ten years, or began
 * decades ago, would move all that is recorded by as much.
 */
export function credibleMarks(stamps: readonly ChunkStamp[], marks: readonly Mark[]): Mark[] {
  let [oldestMs, newestMs] = [Infinity, -Infinity];
  for (const { receivedAtMs } of stamps) {
    oldestMs = Math.min(oldestMs, receivedAtMs);
    newestMs = Math.max(newestMs, receivedAtMs);
  }
  return marks.filter(
    ({ atMs }) => atMs >= oldestMs - CAPTURE_AGE_MS_MAX && atMs <= newestMs + MARK_AHEAD_MS_MAX,
  );
}

/**
 * When media time 0 was, in the client's words; undefined when it said nothing, or chunk 0 with the
 * word is missing.
 *
 * Measured with Chromium 153 and 156 in 18 recordings with pauses (H.264, VP8, VP9, Opus), media time 0
 * after the call of MediaRecorder's `start()`, in ms:
 *
 * | source                        | idle           | load of 10     | `start` event |
 * | ----------------------------- | -------------- | -------------- | ------------- |
 * | canvas, with sound or without | -1 to 1        | -8 to -2       | 32 to 730     |
 * | camera, 30 frames a second    | 12, 13, 19, 37 | 10             | 18 to 85      |
 * | microphone alone              | 1              |                | 59            |
 *
 * With both, picture and sound share that zero. The spread within a recording was below 1 ms for a
 * camera; the stretches before and behind a pause differed by 0 to 1 ms idle, 3 under load.
 *
 * @param stamps in order of sequence
 */
export function statedBeginMs(
  stamps: readonly ChunkStamp[],
  marks: readonly Mark[],
): number | undefined {
  const [first] = stamps;
  if (first === undefined || first.sequence > 0 || first.capturedAtMs === null) return undefined;
  const began = marks.find((mark) => mark.type === "began");
  if (began === undefined) return first.capturedAtMs;
  const aheadMs = first.capturedAtMs - began.atMs;
  if (Math.abs(aheadMs) > START_EVENT_MS_MAX) return first.capturedAtMs;
  const startMs = Math.min(first.capturedAtMs, began.atMs);
  return startMs + (began.pictures === "continuous" ? FIRST_CAMERA_FRAME_MS : 0);
}

/**
 * The stated begin, unless three chunks agree that it is wrong: it was stamped before the client knew
 * the server's clock well, or the first frame came long after the start. Undefined when nothing tells.
 */
export function beginByStamps(
  statedMs: number | undefined,
  lags: readonly SliceLag[],
): number | undefined {
  const begins = lags
    .filter(({ mediaEndMs }, i) => mediaEndMs <= BEGIN_SPAN_MS || i < 3)
    .map(({ beginMs }) => beginMs)
    .toSorted((a, b) => a - b);
  const [first, , third] = begins;
  if (first === undefined) return statedMs;
  if (statedMs === undefined) return (third ?? first) - ENCODER_MS;
  if (third === undefined || third - first > AGREEMENT_MS) return statedMs;
  const isPossible =
    statedMs <= third + STATED_LATE_MS_MAX && statedMs >= third - STATED_EARLY_MS_MAX;
  return isPossible ? statedMs : third - ENCODER_MS;
}

/**
 * When a segment began whose client stamps nothing: no later than the media of each chunk before its
 * arrival, where chunks arrived as they were recorded; when the first one arrived, where they came all
 * at once, as of a file.
 */
export function beginByArrival(
  openedAtMs: number,
  stamps: readonly ChunkStamp[],
  ends: readonly { readonly sequence: number; readonly mediaEndMs: number }[],
): number {
  const receivedMs = new Map(stamps.map(({ sequence, receivedAtMs }) => [sequence, receivedAtMs]));
  const arrivals = ends.flatMap(({ sequence, mediaEndMs }) => {
    const atMs = receivedMs.get(sequence);
    return atMs === undefined ? [] : [{ atMs, mediaEndMs }];
  });
  const first = arrivals[0];
  const last = arrivals.at(-1);
  if (first === undefined || last === undefined) return openedAtMs;
  const mediaMs = last.mediaEndMs - first.mediaEndMs;
  const isLive = mediaMs > 0 && last.atMs - first.atMs >= mediaMs / 2;
  if (!isLive) return openedAtMs;
  return arrivals.reduce(
    (leastMs, { atMs, mediaEndMs }) => Math.min(leastMs, atMs - mediaEndMs),
    openedAtMs,
  );
}
