import type { ExportTrack } from "./export-maker.ts";

/** A device's clock that is off by less over a whole segment is left as it is: half a picture. */
const DRIFT_MS_MAX = 20;

/** A stretch of a track's MP4 within which its time runs evenly on the recording's timeline. */
export interface Stretch {
  /** In the MP4, where it begins; the first one reaches from the begin, the last one to the end. */
  readonly fromMs: number;
  /** On the timeline. */
  readonly atMs: number;
  /** Milliseconds of the timeline in one of the MP4. */
  readonly rate: number;
}

/**
 * Where a track's MP4 stands on the timeline; at least one stretch. All of them have the rate 1 where
 * the device's clock was right.
 */
export function stretchesOf({ timeline }: Pick<ExportTrack, "timeline">): readonly Stretch[] {
  const { offsetMs, segments } = timeline;
  const isDrifting = segments.some(
    ({ rate, durationMs }) => Math.abs(rate - 1) * durationMs > DRIFT_MS_MAX,
  );
  if (!isDrifting) return [{ fromMs: 0, atMs: offsetMs, rate: 1 }];
  return segments
    .toSorted((a, b) => a.offsetMs - b.offsetMs)
    .map((segment) => ({
      fromMs: segment.offsetMs - offsetMs,
      atMs: segment.offsetMs,
      rate: segment.rate,
    }));
}

/** The place on the timeline of what stands at `mediaMs` in the MP4. */
export function placedMs(stretches: readonly Stretch[], mediaMs: number): number {
  const stretch = stretches.findLast(({ fromMs }) => fromMs <= mediaMs) ?? stretches[0];
  if (stretch === undefined) throw new RangeError("A track has no place on the timeline");
  return stretch.atMs + (mediaMs - stretch.fromMs) * stretch.rate;
}

/** Whether its time runs as that of the recording. */
export function isSteady(stretches: readonly Stretch[]): boolean {
  return stretches.every(({ rate }) => rate === 1);
}
