import type { Mark } from "../contract/marks.ts";
import type { ChunkStamp, SegmentReader } from "../recording/ports.ts";
import { placeSegment } from "../timeline/segment-place.ts";
import type { SegmentTimeline } from "../timeline/segment-timeline.ts";
import type { ChunkEnd } from "./chunk-ends.ts";

/** A segment, and what its chunks tell of the times at which they were recorded. */
export interface WitnessedSegment {
  readonly reader: SegmentReader;
  /** Of all stored chunks, in order of sequence. */
  readonly stamps: readonly ChunkStamp[];
  readonly marks: readonly Mark[];
}

/**
 * Beyond it nothing that happened in a segment is told: a mark for every second of five hours. Each can
 * make a gap of its own, and each chunk may bring dozens.
 */
const MARKS_MAX = 20_000;

/** Reads what a segment's chunks tell of their times, without reading a payload. */
export async function witnessed(reader: SegmentReader): Promise<WitnessedSegment> {
  const stamps: ChunkStamp[] = [];
  for await (const stamp of reader.stamps()) stamps.push(stamp);
  return { reader, stamps, marks: await reader.marks(MARKS_MAX) };
}

/**
 * Where a segment's media stand on the server's clock.
 *
 * @param chunkEnds how far the media reach at the end of each chunk; without them it is less exact
 */
export function segmentTimelineOf(
  { reader, stamps, marks }: WitnessedSegment,
  chunkEnds: readonly ChunkEnd[],
): SegmentTimeline {
  const { segmentId, openedAtMs } = reader.description;
  return placeSegment({ segmentId, openedAtMs, stamps, marks, chunkEnds });
}

/** The segments in the order in which their recordings began, as far as is known without their media. */
export async function inOrderOfBegin(
  readers: readonly SegmentReader[],
): Promise<WitnessedSegment[]> {
  const begun = await Promise.all(
    readers.map(async (reader) => {
      const segment = await witnessed(reader);
      return { segment, beginMs: segmentTimelineOf(segment, []).beginMs };
    }),
  );
  return begun.toSorted((a, b) => a.beginMs - b.beginMs).map(({ segment }) => segment);
}
