import type { SegmentSummary } from "../contract/recordings.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";

/** What must be known of a track to decide whether it is to be finalized. */
export interface TrackSituation {
  /** State of its job; undefined when it never had one. */
  readonly job: "queued" | "running" | "done" | "failed" | undefined;
  /** All its segments as they are now. */
  readonly segments: readonly SegmentSummary[];
  /** `fingerprintOf` the segments that the last run was made of; empty when that is not known. */
  readonly takenFingerprints: readonly string[];
  readonly stoppedAtMs: number;
  /** When chunks that the last run did not have were first seen; undefined when none were. */
  readonly lateSinceMs: number | undefined;
}

/** What is to be done with a track now. */
export type TrackDecision =
  /** Its job is queued or running. */
  | { readonly next: "under-way" }
  /** The last run took all that is there, or it failed and nothing has changed. */
  | { readonly next: "settled" }
  /** Ask for a run at once. */
  | { readonly next: "finalize" }
  /** Look again at this time; `isLate` when there was a run already, which this does not undo. */
  | { readonly next: "wait"; readonly untilMs: number; readonly isLate: boolean };

/** What a run would be made of: equal fingerprints give equal MP4s. */
export function fingerprintOf(segments: readonly SegmentSummary[]): string {
  return segments
    .map(({ segmentId, chunks, chunkCount }) => `${segmentId}:${chunks}:${chunkCount}`)
    .toSorted()
    .join(" ");
}

/**
 * Decides whether a track of a stopped recording is to be finalized. Pure.
 *
 * A track whose segments are all whole is finalized at once. For others, chunks may still be on
 * their way: it is waited until `stopGraceMs` after the last of them, and at most
 * `stopWaitMsMax` after the stop, or `lateWaitMsMax` after the first late chunk.
 */
export function decideTrack(
  track: TrackSituation,
  nowMs: number,
  limits: Pick<FinalizeLimits, "stopGraceMs" | "stopWaitMsMax" | "lateWaitMsMax">,
): TrackDecision {
  const { job, segments, stoppedAtMs, lateSinceMs } = track;
  if (job === "queued" || job === "running") return { next: "under-way" };
  const isLate = job !== undefined;
  if (isLate) {
    // Of a run that failed before this process began it is not known what it took.
    const taken = track.takenFingerprints;
    if (taken.length === 0 || taken.includes(fingerprintOf(segments))) return { next: "settled" };
  }
  if (segments.length > 0 && segments.every(isWhole)) return { next: "finalize" };
  const lastActivityMs = Math.max(stoppedAtMs, ...segments.map(lastActivityOf));
  const boundMs = isLate
    ? (lateSinceMs ?? nowMs) + limits.lateWaitMsMax
    : stoppedAtMs + limits.stopWaitMsMax;
  const untilMs = Math.min(lastActivityMs + limits.stopGraceMs, boundMs);
  return nowMs >= untilMs ? { next: "finalize" } : { next: "wait", untilMs, isLate };
}

function isWhole({ ended, missing }: SegmentSummary): boolean {
  return ended && missing.length === 0;
}

function lastActivityOf({ openedAt, lastChunkAt }: SegmentSummary): number {
  return Date.parse(lastChunkAt ?? openedAt);
}
