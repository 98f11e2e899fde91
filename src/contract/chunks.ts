import { z } from "zod";
import { DEFAULT_TRACK_ID, participantIdSchema, segmentIdSchema, trackIdSchema } from "./ids.ts";
import { digitsSchema, plainTextSchema } from "./plain-text.ts";

/** Highest sequence number of a chunk: at one chunk a second, 68 years. */
export const SEQUENCE_MAX = 2 ** 31 - 1;

/** Most chunks in one multipart request. */
export const CHUNKS_PER_REQUEST_MAX = 256;

/** A chunk's number within its segment, from 0. */
const sequenceSchema = digitsSchema(SEQUENCE_MAX);

/**
 * Milliseconds since the epoch on the server's clock, in plain decimals; up to the last date that
 * JavaScript knows.
 */
export const epochMsSchema = z
  .string()
  .regex(/^\d{1,16}(\.\d{1,32})?$/, "must be a plain decimal number")
  .transform(Number)
  .pipe(z.number().min(0).max(8.64e15))
  .meta({ type: "number", minimum: 0, maximum: 8.64e15 });

/** SHA-256 as 64 hexadecimal digits. */
export const sha256HexSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/i, "must be 64 hexadecimal digits")
  .toLowerCase();

/** The text fields of a multipart chunk upload; the chunks themselves are `chunk_0`, `chunk_1`, ... */
export const chunkUploadFieldsSchema = z.object({
  participantId: participantIdSchema,
  trackId: trackIdSchema.default(trackIdSchema.parse(DEFAULT_TRACK_ID)),
  segmentId: segmentIdSchema,
  /** Number of `chunk_0`; the following chunks are consecutive. */
  sequence: sequenceSchema,
  /** `MediaRecorder.mimeType`, read after its start. */
  mimeType: plainTextSchema.max(255).default(""),
});
export type ChunkUploadFields = z.infer<typeof chunkUploadFieldsSchema>;

/** Inclusive range of sequence numbers that have not arrived. */
export const sequenceRangeSchema = z.object({ from: z.int(), to: z.int() });
export type SequenceRange = z.infer<typeof sequenceRangeSchema>;

/** `accepted`: written and synced now. `duplicate`: the same bytes were durable already. */
export const chunkOutcomeSchema = z.enum(["accepted", "duplicate"]);
export type ChunkOutcome = z.infer<typeof chunkOutcomeSchema>;

/** The answer to a chunk upload. Every chunk named in it is on stable storage. */
export const chunkUploadResultSchema = z.object({
  segmentId: segmentIdSchema,
  /** First sequence that has not arrived: every chunk before it is durable. */
  nextSequence: z.int(),
  /** What is missing between `nextSequence` and the highest known sequence. */
  missing: z.array(sequenceRangeSchema),
  chunks: z.array(z.object({ sequence: z.int(), outcome: chunkOutcomeSchema })),
});
export type ChunkUploadResult = z.infer<typeof chunkUploadResultSchema>;

/** Resume point of a segment. */
export const segmentStatusSchema = z.object({
  segmentId: segmentIdSchema,
  nextSequence: z.int(),
  missing: z.array(sequenceRangeSchema),
  /** Payload bytes that are durable. */
  bytes: z.int(),
  /** Whether the client has told the segment's total. */
  ended: z.boolean(),
});
export type SegmentStatus = z.infer<typeof segmentStatusSchema>;

/** The body of `POST .../segments/{segmentId}/end`. */
export const endSegmentRequestSchema = z.object({
  /** Total number of chunks of the segment: its last sequence plus one. */
  chunkCount: z
    .int()
    .min(0)
    .max(SEQUENCE_MAX + 1),
});
