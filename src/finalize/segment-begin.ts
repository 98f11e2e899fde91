import type { SegmentReader } from "../recording/ports.ts";
import type { SegmentTimeline } from "../timeline/segment-timeline.ts";

/**
 * Oldest capture time, counted from the chunk's arrival, that is believed: a browser can be offline
 * for days, but a clock of another decade would make an MP4 as long.
 */
const CAPTURE_AGE_MS_MAX = 30 * 24 * 3_600_000;

/**
 * When the recording of a segment began, on the server's clock: when its first chunk was captured,
 * as its client tells, so that what waited in a browser that was offline is placed where it was
 * recorded. Without a credible word of the client it is when the first chunk arrived.
 */
export async function segmentBeginMs(reader: SegmentReader): Promise<number> {
  for await (const { sequence, capturedAtMs, receivedAtMs } of reader.stamps()) {
    if (sequence > 0 || capturedAtMs === null) break;
    const ageMs = receivedAtMs - capturedAtMs;
    if (ageMs >= 0 && ageMs <= CAPTURE_AGE_MS_MAX) return capturedAtMs;
    break;
  }
  return reader.description.openedAtMs;
}

/** The same readers in the order in which their recordings began. */
export async function inOrderOfBegin(readers: readonly SegmentReader[]): Promise<SegmentReader[]> {
  const begun = await Promise.all(
    readers.map(async (reader) => ({ reader, beginMs: await segmentBeginMs(reader) })),
  );
  return begun.toSorted((a, b) => a.beginMs - b.beginMs).map(({ reader }) => reader);
}

/** Where a segment's media stand on the server's clock. */
export async function segmentTimelineOf(reader: SegmentReader): Promise<SegmentTimeline> {
  const { segmentId } = reader.description;
  return { segmentId, beginMs: await segmentBeginMs(reader), rate: 1, pauses: [] };
}
