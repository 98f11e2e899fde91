import type { SegmentView } from "../recording/segment-view.ts";

/** A recorder that has sent nothing for so long is paused or gone; most send a chunk each second. */
export const SILENT_MS = 15_000;

/**
 * The segment of a track that is being recorded now: the newest that is not complete. When that one sends
 * nothing, or the newest is complete, an older one that runs beside it and still sends chunks, as of a
 * second tab. One that a reload of the page left behind got its last chunk before the newest began, and
 * is not taken for running. Pure.
 *
 * @param segments of the track that have chunks, in the order in which they were opened
 * @returns undefined when none is being recorded
 */
export function runningSegment(
  segments: readonly SegmentView[],
  nowMs: number,
): SegmentView | undefined {
  const newest = segments.at(-1);
  if (newest === undefined) return undefined;
  const newestBeganMs = Date.parse(newest.summary.openedAt);
  const sending = segments.findLast((segment) => {
    const lastChunkMs = lastChunkMsOf(segment);
    return (
      !isComplete(segment) &&
      nowMs - lastChunkMs < SILENT_MS &&
      (segment === newest || lastChunkMs > newestBeganMs)
    );
  });
  return sending ?? (isComplete(newest) ? undefined : newest);
}

function lastChunkMsOf({ summary: { lastChunkAt } }: SegmentView): number {
  return lastChunkAt === null ? -Infinity : Date.parse(lastChunkAt);
}

function isComplete({ summary: { chunkCount, nextSequence } }: SegmentView): boolean {
  return chunkCount !== null && nextSequence >= chunkCount;
}
