import type { ChunkStamp, SegmentReader } from "../recording/ports.ts";
import { placeSegment } from "../timeline/segment-place.ts";

/** When the recording of a segment began, on the server's clock, as far as its stamps alone tell. */
export async function segmentBeginMs(reader: SegmentReader): Promise<number> {
  const { segmentId, openedAtMs } = reader.description;
  const stamps: ChunkStamp[] = [];
  for await (const stamp of reader.stamps()) stamps.push(stamp);
  return placeSegment({ segmentId, openedAtMs, stamps, marks: [], chunkEnds: [] }).beginMs;
}

/** The same readers in the order in which their recordings began. */
export async function inOrderOfBegin(readers: readonly SegmentReader[]): Promise<SegmentReader[]> {
  const begun = await Promise.all(
    readers.map(async (reader) => ({ reader, beginMs: await segmentBeginMs(reader) })),
  );
  return begun.toSorted((a, b) => a.beginMs - b.beginMs).map(({ reader }) => reader);
}
