import { z } from "zod";
import { segmentIdSchema } from "./ids.ts";
import { streamKindSchema } from "./marks.ts";

/**
 * Why a moment of a track is not there as it was:
 *
 * - `missing-chunks`: chunks never arrived;
 * - `damaged`: bytes are there but cannot be used, such as pictures that need missing ones;
 * - `between-segments`: no recorder ran, as during a reload, a reconnect or a device change;
 * - `paused`: the participant paused;
 * - `muted`: the camera or microphone was switched off, so there is black or silence;
 * - `stalled`: the browser gave nothing, since its page stood still or was hidden, or a device or
 *   another source of this stream gave nothing.
 */
export const gapCauseSchema = z.enum([
  "missing-chunks",
  "damaged",
  "between-segments",
  "paused",
  "muted",
  "stalled",
]);
export type GapCause = z.infer<typeof gapCauseSchema>;

/** A gap, in milliseconds from the recording's zero, its `startedAt`. */
export const gapSchema = z.object({
  cause: gapCauseSchema,
  /** What is missing: the picture, the sound or both. */
  streams: z.array(streamKindSchema).min(1),
  fromMs: z.number(),
  toMs: z.number(),
});
export type Gap = z.infer<typeof gapSchema>;

/** Where a segment's media stands, in milliseconds from the recording's zero. */
export const timelineSegmentSchema = z.object({
  segmentId: segmentIdSchema,
  offsetMs: z.number(),
  /** Of wall-clock time, pauses included. */
  durationMs: z.number(),
  /**
   * Milliseconds on the server's clock in one of its own: 1 unless its device's clock was found to be
   * fast or slow over a long time (200 ppm slow is 1.0002). The track's MP4 keeps the device's time
   * within a segment; aligned exports apply the rate.
   */
  rate: z.number(),
});
export type TimelineSegment = z.infer<typeof timelineSegmentSchema>;

/**
 * A segment that was recorded while others of its track were: a second tab or device, or a recorder that
 * a page started twice. The MP4 shows one of them at each moment, first the one that began first. All of
 * it is at the track's `source?segmentId=`.
 */
export const overlapSchema = z.object({
  segmentId: segmentIdSchema,
  /** When all of it was recorded, in milliseconds from the recording's zero. */
  fromMs: z.number(),
  toMs: z.number(),
  /** What of it is in the MP4; empty when nothing is. */
  shown: z.array(
    z.object({
      streams: z.array(streamKindSchema).min(1),
      fromMs: z.number(),
      toMs: z.number(),
    }),
  ),
});
export type Overlap = z.infer<typeof overlapSchema>;

/**
 * Where a track stands on the recording's timeline, and every moment of it that is missing. The time
 * of its MP4 is the wall clock: second 0 is `offsetMs` after the recording's zero, and gaps and pauses
 * are kept in it, as a picture that stands still and silence.
 */
export const trackTimelineSchema = z.object({
  offsetMs: z.number(),
  durationMs: z.number(),
  /** Those that are in the MP4, with the part of each that is. */
  segments: z.array(timelineSegmentSchema),
  /** In order of `fromMs`. Those of one stream do not overlap. */
  gaps: z.array(gapSchema),
  /** In order of `fromMs`; only where segments were recorded at the same time. */
  overlaps: z.array(overlapSchema).optional(),
});
export type TrackTimeline = z.infer<typeof trackTimelineSchema>;
