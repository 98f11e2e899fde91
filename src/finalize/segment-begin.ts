import type { Mark } from "../contract/marks.ts";
import type { ChunkStamp, SegmentReader } from "../recording/ports.ts";
import { placeSegment } from "../timeline/segment-place.ts";
import type { SegmentTimeline } from "../timeline/segment-timeline.ts";
import type { ChunkEnd } from "./chunk-ends.ts";

/** What a segment's chunks tell of the times at which they were recorded. */
export interface SegmentWitness {
  /** Of all stored chunks, in order of sequence. */
  readonly stamps: readonly ChunkStamp[];
  readonly marks: readonly Mark[];
}

/** Reads what a segment's chunks tell of their times, without reading a payload. */
export async function witnessOf(reader: SegmentReader): Promise<SegmentWitness> {
  const stamps: ChunkStamp[] = [];
  for await (const stamp of reader.stamps()) stamps.push(stamp);
  return { stamps, marks: await reader.marks() };
}

/**
 * Where a segment's media stand on the server's clock.
 *
 * @param chunkEnds how far the media reach at the end of each chunk; without them it is less exact
 */
export function segmentTimelineOf(
  { description: { segmentId, openedAtMs } }: SegmentReader,
  { stamps, marks }: SegmentWitness,
  chunkEnds: Iterable<ChunkEnd>,
): SegmentTimeline {
  return placeSegment({ segmentId, openedAtMs, stamps, marks, chunkEnds: [...chunkEnds] });
}

/** The same readers in the order in which their recordings began, as far as is known without media. */
export async function inOrderOfBegin(readers: readonly SegmentReader[]): Promise<SegmentReader[]> {
  const begun = await Promise.all(
    readers.map(async (reader) => {
      const { beginMs } = segmentTimelineOf(reader, await witnessOf(reader), []);
      return { reader, beginMs };
    }),
  );
  return begun.toSorted((a, b) => a.beginMs - b.beginMs).map(({ reader }) => reader);
}
