import type { MediaAmount, RecorderProgress } from "../recorder/recorder.d.ts";
import type { Amount, Amounts } from "./describe-safety.ts";

/** The figures of one recorder. */
type TrackProgress = Omit<RecorderProgress, "isDurable">;

/**
 * The figures of several recorders that run side by side as one: chunks and bytes add up, time does
 * not. Pending time is that of the track that is furthest behind; of the saved time, what every
 * track has saved, counted from the longest.
 */
export function sumAmounts(recorders: readonly TrackProgress[]): Amounts {
  const longest = (of: (progress: TrackProgress) => MediaAmount) =>
    Math.max(0, ...recorders.map((progress) => of(progress).seconds * 1000));
  const recordedMs = longest((progress) => progress.recorded);
  const pendingMs = longest((progress) => progress.pending);
  const sum = (of: (progress: TrackProgress) => MediaAmount, durationMs: number): Amount => ({
    chunks: recorders.reduce((total, progress) => total + of(progress).chunks, 0),
    bytes: recorders.reduce((total, progress) => total + of(progress).bytes, 0),
    durationMs,
  });
  return {
    recorded: sum((progress) => progress.recorded, recordedMs),
    acknowledged: sum((progress) => progress.acknowledged, Math.max(0, recordedMs - pendingMs)),
    pending: sum((progress) => progress.pending, pendingMs),
  };
}
