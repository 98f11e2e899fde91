import type { Mark } from "../contract/marks.ts";
import type { Pause } from "./segment-timeline.ts";
import { loneMarks, markedPauses, type SliceLag } from "./slice-lags.ts";

/** Of less, how far chunks lag behind tells nothing. */
const LOST_PAUSE_MS_MIN = 300;

/** For each, all chunks are looked at; each lost its other mark with a chunk. */
const LONE_MARKS_MAX = 100;

/** Encoders of a computer that became slow for good do not fall further behind than this. */
const STANDSTILL_MS_MIN = 2_000;

/** So many chunks before and behind tell of a standstill, and the latter as much media. */
const STANDSTILL_CHUNKS = 3;
const STANDSTILL_MEDIA_MS = 2_000;

/** A time on the server's clock in which media time did not go on. */
interface StoppedSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly isStandstill?: true;
}

/**
 * The pauses of a segment, each with the media time at which it stands.
 *
 * @param marks in order of time
 * @param beginMs when media time 0 was
 * @param rate milliseconds of the server's clock in one of media time
 * @param lags in order of sequence
 */
export function pausesOf(
  marks: readonly Mark[],
  beginMs: number,
  rate: number,
  lags: readonly SliceLag[],
): Pause[] {
  const told = withoutEarly(lags);
  const halfMarked = halfMarkedPauses(marks, told);
  const spans: readonly StoppedSpan[] = [
    ...markedPauses(marks),
    ...halfMarked,
    ...standstills(withoutPauses(told, halfMarked), beginMs),
  ];
  const pauses: Pause[] = [];
  let pausedMs = 0;
  for (const span of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    // Neither before the begin nor within the pause before.
    const fromMs = Math.max(span.fromMs, pauses.at(-1)?.toMs ?? beginMs);
    if (span.toMs <= fromMs) continue;
    pauses.push({ ...span, mediaMs: (fromMs - beginMs - pausedMs) / rate, fromMs });
    pausedMs += span.toMs - fromMs;
  }
  return pauses;
}

/**
 * Without chunks that are stamped earlier than those before and behind them tell alike: no chunk can be
 * recorded before its time. One is so stamped when its computer's clock is set forward while it is being
 * recorded, and its neighbours would seem to come after a standstill.
 */
function withoutEarly(lags: readonly SliceLag[]): SliceLag[] {
  const kept: SliceLag[] = [];
  for (const [i, lag] of lags.entries()) {
    const before = kept.slice(-STANDSTILL_CHUNKS);
    const behind = lags.slice(i + 1, i + 1 + STANDSTILL_CHUNKS);
    const isEarly = [before, behind].every(
      (near) => near.length > 0 && median(near) - lag.beginMs > STANDSTILL_MS_MIN,
    );
    if (!isEarly) kept.push(lag);
  }
  return kept;
}

function median(lags: readonly SliceLag[]): number {
  const inOrder = lags.map(({ beginMs }) => beginMs).toSorted((a, b) => a - b);
  return inOrder[Math.floor(inOrder.length / 2)] ?? 0;
}

/**
 * Where media time stood still without a mark: the media of all chunks from there on lag further behind
 * than those before. So does a laptop that sleeps where its browser's clock sleeps with it. A page that
 * froze is none: what it recorded comes late, and what it did not is a hole in its media.
 */
function standstills(lags: readonly SliceLag[], beginMs: number): StoppedSpan[] {
  const lastMediaMs = lags.at(-1)?.mediaEndMs ?? 0;
  const leastFrom = leastOfRest(lags);
  const found: StoppedSpan[] = [];
  let foundMs = 0;
  let i = STANDSTILL_CHUNKS;
  while (i + STANDSTILL_CHUNKS <= lags.length) {
    const before = lags.slice(i - STANDSTILL_CHUNKS, i);
    const last = before.at(-1);
    // A picture that nothing changes lags behind more and more: that is no standstill either.
    if (last === undefined || lastMediaMs - last.mediaEndMs < STANDSTILL_MEDIA_MS) break;
    const lengthMs = (leastFrom[i] ?? 0) - lowest(before);
    if (lengthMs < STANDSTILL_MS_MIN) {
      i += 1;
      continue;
    }
    const fromMs = beginMs + last.atMs - last.beginMs + foundMs;
    found.push({ fromMs, toMs: fromMs + lengthMs, isStandstill: true });
    foundMs += lengthMs;
    // The next one is looked for among the chunks behind this one.
    i += STANDSTILL_CHUNKS;
  }
  return found;
}

/** Of each chunk and those behind it, the least that one lags. */
function leastOfRest(lags: readonly SliceLag[]): Float64Array {
  const least = new Float64Array(lags.length);
  let soFar = Infinity;
  for (let i = lags.length - 1; i >= 0; i -= 1) {
    soFar = Math.min(soFar, lags[i]?.beginMs ?? Infinity);
    least[i] = soFar;
  }
  return least;
}

function withoutPauses(lags: readonly SliceLag[], pauses: readonly StoppedSpan[]): SliceLag[] {
  return lags.map(({ mediaEndMs, atMs, beginMs }) => ({
    mediaEndMs,
    atMs,
    beginMs: pauses.reduce(
      (shiftedMs, { fromMs, toMs }) => (toMs <= atMs ? shiftedMs - (toMs - fromMs) : shiftedMs),
      beginMs,
    ),
  }));
}

/**
 * Pauses of which one mark is lost with its chunk. The chunks behind the other one lag further behind
 * than those before by what the pause was long. A pause behind which nothing comes is none: the page
 * was closed while it lasted.
 */
function halfMarkedPauses(marks: readonly Mark[], lags: readonly SliceLag[]): StoppedSpan[] {
  const lone = loneMarks(marks).slice(0, LONE_MARKS_MAX);
  return lone.flatMap(({ type, atMs, beforeMs, afterMs }) => {
    const lengthMs = lagStepMs(lags, atMs, beforeMs, afterMs);
    if (lengthMs < LOST_PAUSE_MS_MIN) return [];
    return type === "paused"
      ? [{ fromMs: atMs, toMs: atMs + lengthMs }]
      : [{ fromMs: atMs - lengthMs, toMs: atMs }];
  });
}

/** How much further the chunks from `atMs` on lag behind than those before. */
function lagStepMs(
  lags: readonly SliceLag[],
  atMs: number,
  fromMs = -Infinity,
  toMs = Infinity,
): number {
  const before = lags.filter((lag) => lag.atMs > fromMs && lag.atMs <= atMs);
  const after = lags.filter((lag) => lag.atMs > atMs && lag.atMs <= toMs);
  if (before.length === 0 || after.length === 0) return 0;
  return lowest(after) - lowest(before);
}

function lowest(lags: readonly SliceLag[]): number {
  return lags.reduce((least, { beginMs }) => Math.min(least, beginMs), Infinity);
}
