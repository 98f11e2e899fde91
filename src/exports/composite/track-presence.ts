import type { StreamKind } from "../../contract/marks.ts";
import type { TrackTimeline } from "../../contract/timeline.ts";

/** A stretch of the recording, in milliseconds from its zero; `toMs` is exclusive. */
export interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A track of which nothing is there for this long has left; a shorter gap shows its last picture. */
export const ABSENCE_MS_MIN = 10_000;

/** What a participant did on purpose, and a page that stood still, take nobody out of the call. */
const ABSENCE_CAUSES: ReadonlySet<string> = new Set(["between-segments", "missing-chunks"]);

/**
 * When a track's picture or its sound is there, in order of time: from the track's begin to its end
 * without long gaps.
 */
export function presenceOf(
  { offsetMs, durationMs, gaps }: TrackTimeline,
  stream: StreamKind,
): readonly Stretch[] {
  const absences = gaps.filter(
    ({ cause, streams, fromMs, toMs }) =>
      streams.includes(stream) && ABSENCE_CAUSES.has(cause) && toMs - fromMs >= ABSENCE_MS_MIN,
  );
  const present: Stretch[] = [];
  let fromMs = offsetMs;
  for (const absence of absences) {
    if (absence.fromMs > fromMs) present.push({ fromMs, toMs: absence.fromMs });
    fromMs = Math.max(fromMs, absence.toMs);
  }
  const endMs = offsetMs + durationMs;
  if (endMs > fromMs) present.push({ fromMs, toMs: endMs });
  return present;
}
