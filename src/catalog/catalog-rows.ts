import { z } from "zod";
import { sequenceRangeSchema } from "../contract/chunks.ts";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../contract/ids.ts";
import { trackTimelineSchema } from "../contract/timeline.ts";
import {
  recordingStateSchema,
  remuxActionSchema,
  segmentSummarySchema,
  verdictSchema,
} from "../contract/recordings.ts";
import type { FinalizeJob, RecordingRecord, TrackRecord } from "../recording/ports.ts";
import type { FinalizeJobsTable, RecordingsTable, TracksTable } from "./catalog-schema.ts";

const metadataSchema = z.record(z.string(), z.json());

const jobStateSchema = z.enum(["queued", "running", "done", "failed"]);

const mediaSchema = z.object({
  bytes: z.number(),
  durationMs: z.number(),
  videoCodec: z.string().nullable(),
  audioCodec: z.string().nullable(),
  width: z.number().nullable(),
  height: z.number().nullable(),
  videoPackets: z.number(),
  audioPackets: z.number(),
  action: remuxActionSchema,
  actionReason: z.string(),
  publishedAtMs: z.number(),
});

const resultSchema = z.object({
  verdict: verdictSchema,
  reason: z.string().nullable(),
  media: mediaSchema.nullable(),
  segments: z.array(segmentSummarySchema),
  // Results of older servers have none.
  timeline: trackTimelineSchema.nullable().default(null),
  damage: z.array(
    z.object({
      segmentId: segmentIdSchema,
      damagedChunks: z.array(sequenceRangeSchema),
      unusableBytes: z.number(),
    }),
  ),
});

/** A row of `recordings`, parsed. */
export function recordOf(row: RecordingsTable): RecordingRecord {
  return {
    recordingId: recordingIdSchema.parse(row.recording_id),
    name: row.name,
    metadata: metadataSchema.parse(JSON.parse(row.metadata)),
    state: recordingStateSchema.parse(row.state),
    reason: row.reason,
    startedAtMs: row.started_at_ms,
    stoppedAtMs: row.stopped_at_ms,
    finalizedAtMs: row.finalized_at_ms,
    deletedAtMs: row.deleted_at_ms,
  };
}

/** A row of `tracks`, parsed, with its job from among `jobs`. */
export function trackRecordOf(row: TracksTable, jobs: readonly FinalizeJob[]): TrackRecord {
  const key = {
    recordingId: recordingIdSchema.parse(row.recording_id),
    participantId: participantIdSchema.parse(row.participant_id),
    trackId: trackIdSchema.parse(row.track_id),
  };
  const job = jobs.find(
    ({ participantId, trackId }) => participantId === key.participantId && trackId === key.trackId,
  );
  const result = row.result === null ? null : resultSchema.parse(JSON.parse(row.result));
  return { ...key, result, job: job ?? null };
}

/** A row of `finalize_jobs`, parsed; the progress of a running job (0 to 1) is kept in memory alone. */
export function jobOf(row: FinalizeJobsTable, progress: number): FinalizeJob {
  const state = jobStateSchema.parse(row.state);
  return {
    recordingId: recordingIdSchema.parse(row.recording_id),
    participantId: participantIdSchema.parse(row.participant_id),
    trackId: trackIdSchema.parse(row.track_id),
    state,
    attempts: row.attempts,
    progress: state === "done" ? 1 : progress,
    error: row.error,
  };
}
