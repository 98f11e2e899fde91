import type { Mark } from "../contract/marks.ts";
import type { ChunkStamp } from "../recording/ports.ts";
import type { SliceLag } from "./slice-lags.ts";

/**
 * Oldest capture time, counted from the chunk's arrival, that is believed: a browser can be offline
 * for days, but a clock of another decade would make an MP4 as long.
 */
const CAPTURE_AGE_MS_MAX = 30 * 24 * 3_600_000;

/**
 * A camera's first frame comes between none and one frame's time after the recorder's start: half of
 * the time of one at 30 frames a second.
 */
const FIRST_CAMERA_FRAME_MS = 16;

/** The `start` event, from which some clients take the first stamp, can be as late as a busy page. */
const START_EVENT_MS_MAX = 60_000;

/** What an encoder holds when a chunk is handed over: 10 to 100 ms in Chromium, idle or busy. */
const ENCODER_MS = 50;

/** As far the stated begin may be after what the chunks tell, by the clock's error alone. */
const STATED_LATE_MS_MAX = 50;

/** As far before: of three chunks one at least was encoded sooner, also on a busy computer. */
const STATED_EARLY_MS_MAX = 400;

/** Chunks that agree within this tell when the segment began. */
const AGREEMENT_MS = 100;

/** So much of a segment's begin is looked at: its device's clock has not drifted much by then. */
const BEGIN_SPAN_MS = 120_000;

/** Whether a chunk's capture time can be true: not after its arrival, and not absurdly long before. */
export function isCredible({ capturedAtMs, receivedAtMs }: ChunkStamp): boolean {
  if (capturedAtMs === null) return false;
  const ageMs = receivedAtMs - capturedAtMs;
  return ageMs >= 0 && ageMs <= CAPTURE_AGE_MS_MAX;
}

/**
 * When media time 0 was, in the client's words; undefined when it said nothing, or chunk 0 with the
 * word is missing.
 *
 * Measured with Chromium 153 and 156 (H.264, VP8, VP9, Opus; idle, and at a load of 10): media time 0
 * is the call of MediaRecorder's `start()`, -7 to +10 ms for a canvas (median -1) and +1 for sound
 * alone, and the first frame after it for a camera (+10 to +37 ms at 30 frames a second). The `start`
 * event comes 18 to 730 ms later.
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
  const [earliest, , third] = begins;
  if (earliest === undefined) return statedMs;
  if (statedMs === undefined) return earliest - ENCODER_MS;
  if (third === undefined || third - earliest > AGREEMENT_MS) return statedMs;
  const isPossible =
    statedMs <= earliest + STATED_LATE_MS_MAX && statedMs >= earliest - STATED_EARLY_MS_MAX;
  return isPossible ? statedMs : earliest - ENCODER_MS;
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
