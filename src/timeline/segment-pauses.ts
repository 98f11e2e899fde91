import type { Mark } from "../contract/marks.ts";
import type { Pause } from "./segment-timeline.ts";
import { markedPauses, type SliceLag } from "./slice-lags.ts";

/** Of less, how far chunks lag behind tells nothing. */
const LOST_PAUSE_MS_MIN = 300;

/**
 * The pauses of a segment, each with the media time at which it stands.
 *
 * @param marks in order of time
 * @param beginMs when media time 0 was
 * @param rate milliseconds of the server's clock in one of media time
 */
export function pausesOf(
  marks: readonly Mark[],
  beginMs: number,
  rate: number,
  lags: readonly SliceLag[],
): Pause[] {
  const walls = [...markedPauses(marks), ...halfMarkedPauses(marks, lags)];
  const pauses: Pause[] = [];
  let pausedMs = 0;
  for (const { fromMs, toMs } of walls.toSorted((a, b) => a.fromMs - b.fromMs)) {
    // Neither before the begin nor within the pause before.
    const earliestMs = pauses.at(-1)?.toMs ?? beginMs;
    const begunMs = Math.max(fromMs, earliestMs);
    if (toMs <= begunMs) continue;
    pauses.push({ mediaMs: (begunMs - beginMs - pausedMs) / rate, fromMs: begunMs, toMs });
    pausedMs += toMs - begunMs;
  }
  return pauses;
}

/**
 * Pauses of which one mark is lost with its chunk. The chunks behind the other one lag further behind
 * than those before by what the pause was long. A pause behind which nothing comes is none: the page
 * was closed while it lasted.
 */
function halfMarkedPauses(
  marks: readonly Mark[],
  lags: readonly SliceLag[],
): { readonly fromMs: number; readonly toMs: number }[] {
  const changes = marks.filter(({ type }) => type === "paused" || type === "resumed");
  return changes.flatMap((mark, i) => {
    const before = changes[i - 1];
    const after = changes[i + 1];
    const isPaired = mark.type === "paused" ? after?.type === "resumed" : before?.type === "paused";
    if (isPaired) return [];
    const lengthMs = lagStepMs(lags, mark.atMs, before?.atMs, after?.atMs);
    if (lengthMs < LOST_PAUSE_MS_MIN) return [];
    return mark.type === "paused"
      ? [{ fromMs: mark.atMs, toMs: mark.atMs + lengthMs }]
      : [{ fromMs: mark.atMs - lengthMs, toMs: mark.atMs }];
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
