import type { TrackTimeline } from "../../contract/timeline.ts";

/** A stretch of a track's MP4 and where it stands in the recording. */
export interface ClockedStretch {
  /** From the recording's zero; `toMs` is exclusive. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Time of the MP4 that stands at `fromMs`. */
  readonly mediaFromMs: number;
  /** Milliseconds of the recording in one of the MP4. */
  readonly rate: number;
}

/** A device's clock that is off by less over a whole segment is taken for right: half a picture. */
const DRIFT_MS_MIN = 20;

/**
 * The track's MP4 in stretches of one rate each, in order of time. Most tracks are one stretch of rate
 * 1; a segment whose device's clock was fast or slow is a stretch of its own, cut where its media is at
 * its end or where the next one begins.
 */
export function clockedStretches({
  offsetMs,
  durationMs,
  segments,
}: TrackTimeline): readonly ClockedStretch[] {
  const endMs = offsetMs + durationMs;
  const stretches: ClockedStretch[] = [];
  let fromMs = offsetMs;
  const straightTo = (toMs: number): void => {
    if (toMs <= fromMs) return;
    stretches.push({ fromMs, toMs, mediaFromMs: fromMs - offsetMs, rate: 1 });
    fromMs = toMs;
  };
  for (const [i, segment] of segments.entries()) {
    if (Math.abs(segment.rate - 1) * segment.durationMs < DRIFT_MS_MIN) continue;
    straightTo(segment.offsetMs);
    const nextMs = segments[i + 1]?.offsetMs ?? Infinity;
    const toMs = Math.min(nextMs, segment.offsetMs + segment.durationMs * segment.rate);
    if (toMs <= fromMs) continue;
    const mediaFromMs = segment.offsetMs - offsetMs + (fromMs - segment.offsetMs) / segment.rate;
    stretches.push({ fromMs, toMs, mediaFromMs, rate: segment.rate });
    fromMs = toMs;
  }
  straightTo(endMs);
  return stretches;
}
