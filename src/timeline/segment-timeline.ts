import type { SegmentId } from "../contract/ids.ts";

/** A pause: media time stands still at `mediaMs` while the server's clock goes on. */
export interface Pause {
  readonly mediaMs: number;
  /** Whether nobody asked for it: the computer slept, or the browser stood still. */
  readonly isStandstill?: true;
  /** Server's clock, milliseconds since the epoch. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where the media time of a segment stands on the server's clock. */
export interface SegmentTimeline {
  readonly segmentId: SegmentId;
  /** When its media time 0 was captured, in milliseconds since the epoch. */
  readonly beginMs: number;
  /** Milliseconds of the server's clock in one of media time; see `timelineSegmentSchema`. */
  readonly rate: number;
  /** In order of time. */
  readonly pauses: readonly Pause[];
}

/**
 * When what stands at `mediaMs` was captured, on the server's clock. What begins exactly where a
 * pause was comes after it. The rate is left out: it is for exports alone.
 */
export function wallMsOf({ beginMs, pauses }: SegmentTimeline, mediaMs: number): number {
  return beginMs + mediaMs + pausedMsUntil(pauses, ({ mediaMs: atMs }) => atMs <= mediaMs);
}

/**
 * The same for what ends at `mediaMs`: what ends exactly where a pause was is over before it.
 */
export function wallEndMsOf({ beginMs, pauses }: SegmentTimeline, mediaMs: number): number {
  return beginMs + mediaMs + pausedMsUntil(pauses, ({ mediaMs: atMs }) => atMs < mediaMs);
}

/** How long the pauses up to each are together: it is asked for each packet of hours. */
const pausedMs = new WeakMap<readonly Pause[], Float64Array>();

function pausedMsUntil(pauses: readonly Pause[], isBefore: (pause: Pause) => boolean): number {
  if (pauses.length === 0) return 0;
  const sums = pausedMs.get(pauses) ?? sumsOf(pauses);
  let [low, high] = [0, pauses.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const pause = pauses[middle];
    if (pause !== undefined && isBefore(pause)) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? 0 : (sums[low - 1] ?? 0);
}

function sumsOf(pauses: readonly Pause[]): Float64Array {
  let sumMs = 0;
  const sums = Float64Array.from(pauses, ({ fromMs, toMs }) => (sumMs += toMs - fromMs));
  pausedMs.set(pauses, sums);
  return sums;
}
