import { z } from "zod";
import { sequenceRangeSchema } from "./chunks.ts";
import { participantIdSchema, trackIdSchema } from "./ids.ts";
import {
  recordingSummarySchema,
  segmentSummarySchema,
  trackMediaSchema,
  verdictSchema,
} from "./recordings.ts";
import { trackTimelineSchema } from "./timeline.ts";

/** Version of the manifest's form; it rises when a reader of the old form would be misled. */
export const MANIFEST_VERSION = 1;

/** A segment as it went into the MP4. `missing` tells the chunks that never came. */
export const manifestSegmentSchema = segmentSummarySchema.extend({
  /** Chunks whose stored bytes are not those that were acknowledged; they were left out. */
  damagedChunks: z.array(sequenceRangeSchema),
  /** Bytes of undamaged chunks that are of no use without what is missing or damaged before them. */
  unusableBytes: z.int(),
});
export type ManifestSegment = z.infer<typeof manifestSegmentSchema>;

/** One track and the file that was made of it. */
export const manifestTrackSchema = z.object({
  trackId: trackIdSchema,
  /** Null when the track could not be finalized. */
  verdict: verdictSchema.nullable(),
  /**
   * Why the track failed or is not complete, and that several recorders ran at the same time, in
   * sentences; null otherwise.
   */
  reason: z.string().nullable(),
  segments: z.array(manifestSegmentSchema),
  /** Where its MP4 stands on the recording's timeline, and what is missing; null when it is not known. */
  timeline: trackTimelineSchema.nullable().default(null),
  /** Null when there is no MP4. */
  media: trackMediaSchema
    .omit({ url: true })
    .extend({
      /** From the manifest's own directory, with `/` between names. */
      path: z.string(),
    })
    .nullable(),
});
export type ManifestTrack = z.infer<typeof manifestTrackSchema>;

/** `manifest.json` of a recording: what was made of it, without the catalogue at hand. */
export const manifestSchema = z.object({
  version: z.literal(MANIFEST_VERSION),
  recording: recordingSummarySchema,
  participants: z.array(
    z.object({ participantId: participantIdSchema, tracks: z.array(manifestTrackSchema) }),
  ),
});
export type Manifest = z.infer<typeof manifestSchema>;
