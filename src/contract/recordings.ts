import { z } from "zod";
import { sequenceRangeSchema } from "./chunks.ts";
import {
  APP_WORD_CODE_POINTS_MAX,
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "./ids.ts";
import { metadataSchema, newMetadataSchema } from "./metadata.ts";
import { digitsSchema, plainTextSchema, shortTextSchema } from "./plain-text.ts";
import { trackTimelineSchema } from "./timeline.ts";

/** Only ever moves forward, in this order; a retry that succeeds takes `failed` to `ready`. */
export const recordingStateSchema = z.enum(["recording", "finalizing", "failed", "ready"]);
export type RecordingState = z.infer<typeof recordingStateSchema>;

/** State of one track's MP4. A late upload moves it from `ready` back to `finalizing`. */
export const trackStateSchema = z.enum(["recording", "finalizing", "failed", "ready"]);
export type TrackState = z.infer<typeof trackStateSchema>;

/** What the server can prove of a track. */
export const verdictSchema = z.enum(["complete", "degraded", "lost"]);
export type Verdict = z.infer<typeof verdictSchema>;

const isoTime = z.iso.datetime();

/** The body of `POST /api/recordings`. */
export const startRecordingRequestSchema = z.object({
  name: shortTextSchema(APP_WORD_CODE_POINTS_MAX).optional(),
  /** The app's own words about the call; given back as they came. */
  metadata: newMetadataSchema.optional(),
});
export type StartRecordingRequest = z.infer<typeof startRecordingRequestSchema>;

/** One recording as the list shows it. */
export const recordingSummarySchema = z.object({
  recordingId: recordingIdSchema,
  name: z.string().nullable(),
  metadata: metadataSchema,
  state: recordingStateSchema,
  /** Why it failed, in a sentence; null otherwise. */
  reason: z.string().nullable(),
  startedAt: isoTime,
  stoppedAt: isoTime.nullable(),
  /** When it became `ready` or `failed`. */
  finalizedAt: isoTime.nullable(),
});
export type RecordingSummary = z.infer<typeof recordingSummarySchema>;

/** A segment as an operator sees it. */
export const segmentSummarySchema = z.object({
  segmentId: segmentIdSchema,
  mimeType: z.string(),
  /** Chunks that are durable. */
  chunks: z.int(),
  /** Payload bytes that are durable. */
  bytes: z.int(),
  nextSequence: z.int(),
  missing: z.array(sequenceRangeSchema),
  ended: z.boolean(),
  /** Total that the client told when it ended the segment. */
  chunkCount: z.int().nullable(),
  openedAt: isoTime,
  /** When the last chunk arrived. */
  lastChunkAt: isoTime.nullable(),
});
export type SegmentSummary = z.infer<typeof segmentSummarySchema>;

/** How the MP4 was made of the chunks, and why so. */
export const remuxActionSchema = z.enum(["copy", "transcode"]);
export type RemuxAction = z.infer<typeof remuxActionSchema>;

/** A published MP4. */
export const trackMediaSchema = z.object({
  /** Path of the download, from the server's root. */
  url: z.string(),
  bytes: z.int(),
  durationMs: z.number(),
  /** ffmpeg's names (`h264`, `vp9`, `av1`; `opus`, `aac`); null where there is no such stream. */
  videoCodec: z.string().nullable(),
  audioCodec: z.string().nullable(),
  /** Of the largest picture as it is shown, in pixels: upright, and with square ones. */
  width: z.int().nullable(),
  height: z.int().nullable(),
  videoPackets: z.int(),
  audioPackets: z.int(),
  action: remuxActionSchema,
  actionReason: z.string(),
  /** Each better MP4 that late chunks make has another. */
  publishedAt: isoTime,
});
export type TrackMedia = z.infer<typeof trackMediaSchema>;

/** A track with its segments and, when ready, its MP4. */
export const trackSchema = z.object({
  trackId: trackIdSchema,
  state: trackStateSchema,
  /** Share of the finalization that is done, 0 to 1; null when none is under way. */
  progress: z.number().nullable(),
  verdict: verdictSchema.nullable(),
  /**
   * Why the track failed or is not complete, and that several recorders ran at the same time, in
   * sentences; null otherwise.
   */
  reason: z.string().nullable(),
  media: trackMediaSchema.nullable(),
  /**
   * Path of a JPEG of the track; null without pictures. It is made once the recording has all its MP4s,
   * or when it is asked for: 404 till then.
   */
  posterUrl: z.string().nullable(),
  /** Path of the loudness over time, as JSON; null without sound. It comes as the poster does. */
  waveformUrl: z.string().nullable(),
  segments: z.array(segmentSummarySchema),
  /** Where its MP4 stands on the recording's timeline, and what is missing; null without an MP4. */
  timeline: trackTimelineSchema.nullable(),
});
export type Track = z.infer<typeof trackSchema>;

/** A participant with all tracks. */
export const participantSchema = z.object({
  participantId: participantIdSchema,
  tracks: z.array(trackSchema),
});
export type Participant = z.infer<typeof participantSchema>;

/** The whole of a recording. */
export const recordingSchema = recordingSummarySchema.extend({
  participants: z.array(participantSchema),
});
export type Recording = z.infer<typeof recordingSchema>;

/** Most recordings on one page of the list. */
export const LIST_LIMIT_MAX = 200;

/** The query of `GET /api/recordings`. */
export const listRecordingsQuerySchema = z.object({
  state: recordingStateSchema.optional(),
  /** Part of the name; ASCII letters in either case. */
  q: plainTextSchema.max(2 * APP_WORD_CODE_POINTS_MAX).optional(),
  limit: digitsSchema(LIST_LIMIT_MAX)
    .refine((limit) => limit > 0, "must be at least 1")
    .default(50),
  /** `nextCursor` of the page before. */
  cursor: recordingIdSchema.optional(),
});
export type ListRecordingsQuery = z.infer<typeof listRecordingsQuerySchema>;

/** A page of recordings, newest first; `nextCursor` is null on the last page. */
export const recordingListSchema = z.object({
  recordings: z.array(recordingSummarySchema),
  nextCursor: z.string().nullable(),
});
export type RecordingList = z.infer<typeof recordingListSchema>;
