import { type SegmentId, segmentIdSchema } from "../../src/contract/ids.ts";
import {
  participantIdSchema,
  type RecordingId,
  recordingIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import type { SegmentKey } from "../../src/recording/ports.ts";

/** EBML header, Segment and one track of VP8. */
export const PICTURES_HEADER = Buffer.from(
  [
    "1a45dfa3874282847765626d",
    "1853806701ffffffffffffff",
    "1654ae6b8fae8dd781018381018685565f565038",
  ].join(""),
  "hex",
);

/** A Cluster at 0 with one picture of a certain size. */
export function pictureChunk(isKey: boolean, pictureBytes: number): Buffer<ArrayBuffer> {
  const block = Buffer.alloc(9 + pictureBytes);
  block[0] = 0xa3;
  // A size of four bytes begins with three zeros and a one.
  block.writeUInt32BE(0x1000_0000 + 4 + pictureBytes, 1);
  block.set([0x81, 0, 0, isKey ? 0x80 : 0], 5);
  return Buffer.concat([Buffer.from("1f43b67501ffffffffffffffe78100", "hex"), block]);
}

/** The chunks of a recorder that makes no keyframe but the first, one picture in each. */
export function* oneKeyframeChunks(
  count: number,
  pictureBytes: number,
): Generator<Buffer<ArrayBuffer>> {
  yield Buffer.concat([PICTURES_HEADER, pictureChunk(true, pictureBytes)]);
  const later = pictureChunk(false, pictureBytes);
  for (let sequence = 1; sequence < count; sequence += 1) yield later;
}

/** A new segment of a camera. */
export function newSegmentKey(
  recordingId: RecordingId = recordingIdSchema.parse(Bun.randomUUIDv7()),
  segmentId: SegmentId = segmentIdSchema.parse(crypto.randomUUID()),
): SegmentKey {
  return {
    recordingId,
    participantId: participantIdSchema.parse("ada"),
    trackId: trackIdSchema.parse("camera"),
    segmentId,
  };
}
