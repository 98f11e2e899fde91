import type { SegmentStatus } from "../contract/chunks.ts";
import type { SegmentSummary } from "../contract/recordings.ts";
import type { SegmentDescription, SegmentKey, SegmentState, TrackKey } from "./ports.ts";

/** A segment with where it belongs. */
export interface SegmentView extends SegmentKey {
  readonly summary: SegmentSummary;
}

/** Whether something that names a track names this one. */
export function isOfTrack(one: TrackKey, other: TrackKey): boolean {
  return (
    one.recordingId === other.recordingId &&
    one.participantId === other.participantId &&
    one.trackId === other.trackId
  );
}

/** A segment as an operator sees it. */
export function summaryOf(description: SegmentDescription, state: SegmentState): SegmentSummary {
  const { sequences, bytes, chunkCount, lastChunkAtMs } = state;
  return {
    segmentId: description.segmentId,
    mimeType: description.mimeType,
    chunks: sequences.count,
    bytes,
    nextSequence: sequences.next,
    missing: sequences.missing(chunkCount ?? sequences.end),
    ended: chunkCount !== null,
    chunkCount,
    openedAt: new Date(description.openedAtMs).toISOString(),
    lastChunkAt: lastChunkAtMs === null ? null : new Date(lastChunkAtMs).toISOString(),
  };
}

/** The resume point of a segment. */
export function statusOf(segmentId: SegmentKey["segmentId"], state: SegmentState): SegmentStatus {
  const { sequences, bytes, chunkCount } = state;
  return {
    segmentId,
    nextSequence: sequences.next,
    missing: sequences.missing(chunkCount ?? sequences.end),
    bytes,
    ended: chunkCount !== null,
  };
}
