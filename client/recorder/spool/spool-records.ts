import {
  isAnything,
  isCount,
  isFlag,
  isNumber,
  isText,
  orNull,
  shape,
  type ShapeOf,
  type Check,
} from "../record-shape.ts";

const segmentFields = {
  segmentId: isText,
  recordingId: isText,
  participantId: isText,
  trackId: isText,
  /** Absolute, with a slash at its end. */
  serverUrl: isText,
  /** Run that wrote it; a lock of that name is held as long as the run lives. */
  ownerId: isText,
  /** Whether the run sent its requests with a `fetch` of the app's own. */
  needsAppFetch: isFlag,
  /** Highest sequence ever put plus one: the segment's total as far as this disk knows. */
  chunksPut: isCount,
  /** Total that the recorder told; null as long as it runs, and for good when it was cut off. */
  chunkCount: orNull(isCount),
};

const chunkFields = {
  segmentId: isText,
  sequence: isCount,
  mimeType: isText,
  bytes: isCount,
  beganAtMs: isNumber,
  durationMs: isNumber,
  clockOffsetMs: orNull(isNumber),
  /** `Mark`s; versions before they were taken wrote none, and later ones may know others. */
  marks: isAnything,
};

/** A segment as the database keeps it. */
export type SegmentRecord = ShapeOf<typeof segmentFields>;

/** A chunk as the database keeps it, without its bytes. */
export type ChunkRecord = ShapeOf<typeof chunkFields>;

export const isSegmentRecord: Check<SegmentRecord> = shape(segmentFields);

export const isChunkRecord: Check<ChunkRecord> = shape(chunkFields);
