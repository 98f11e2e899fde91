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
import { jsonExcess } from "../contract/json-limits.ts";
import { metadataSchema, type RecordingMetadata } from "../contract/metadata.ts";
import type {
  FinalizeJob,
  RecordingRecord,
  TrackKey,
  TrackRecord,
  TrackResult,
} from "../recording/ports.ts";
import type { FinalizeJobsTable, RecordingsTable, TracksTable } from "./catalog-schema.ts";
import { countOrZero, type ReportFault, readOr, readTimeMs, textOrNull } from "./row-faults.ts";

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
  publishedAtMs: z.number().transform(readTimeMs),
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

/** Deeper metadata of older servers, which had no limit, is not shown: readers could not parse it. */
const STORED_METADATA_DEPTH_MAX = 256;

/**
 * A row of `recordings`. Never throws: a recording is shown with what can be read of it, so that it can
 * be played, downloaded and deleted. Undefined when its ID cannot be read, since nothing can name it.
 */
export function recordOf(row: RecordingsTable, report: ReportFault): RecordingRecord | undefined {
  const recordingId = readOr("recording_id", report, () =>
    recordingIdSchema.parse(row.recording_id),
  );
  if (recordingId === undefined) return undefined;
  const time = (column: "stopped_at_ms" | "finalized_at_ms" | "deleted_at_ms") =>
    row[column] === null ? null : readOr(column, report, () => readTimeMs(row[column]));
  const state = readOr("state", report, () => recordingStateSchema.parse(row.state));
  const deletedAtMs = time("deleted_at_ms");
  return {
    recordingId,
    name: textOrNull(row.name),
    metadata: readOr("metadata", report, () => metadataOf(row.metadata)) ?? {},
    state: state ?? "failed",
    reason:
      state === undefined
        ? `The catalogue has an unknown state of the recording: ${JSON.stringify(row.state)}.`
        : textOrNull(row.reason),
    startedAtMs:
      readOr("started_at_ms", report, () => readTimeMs(row.started_at_ms)) ??
      timeOfUuidMs(recordingId),
    stoppedAtMs: time("stopped_at_ms") ?? null,
    finalizedAtMs: time("finalized_at_ms") ?? null,
    // Whatever it is, it is not null: the recording is taken for deleted.
    deletedAtMs: deletedAtMs === undefined ? 0 : deletedAtMs,
  };
}

function metadataOf(text: string): RecordingMetadata {
  const limits = { depthMax: STORED_METADATA_DEPTH_MAX, punctuationMax: Infinity };
  if (jsonExcess(text, limits) !== undefined) {
    throw new RangeError(`It has more than ${STORED_METADATA_DEPTH_MAX} levels.`);
  }
  return metadataSchema.parse(JSON.parse(text));
}

/** A UUID of version 7 begins with the time of its making (RFC 9562, 5.7). */
function timeOfUuidMs(uuid: string): number {
  return Number.parseInt(uuid.replaceAll("-", "").slice(0, 12), 16);
}

/**
 * A row of `tracks` with its job from among `jobs`. A result that cannot be read counts as none, and its
 * track as failed, so that a retry makes it again. Undefined when its IDs cannot be read.
 */
export function trackRecordOf(
  row: TracksTable,
  jobs: readonly FinalizeJob[],
  report: ReportFault,
): TrackRecord | undefined {
  const key = readOr("track_id", report, () => keyOf(row));
  if (key === undefined) return undefined;
  const job =
    jobs.find(
      ({ participantId, trackId }) =>
        participantId === key.participantId && trackId === key.trackId,
    ) ?? null;
  if (row.result === null) return { ...key, result: null, job };
  const { result: stored } = row;
  const result =
    readOr("result", report, () => resultSchema.parse(JSON.parse(stored))) ??
    withoutTimeline(stored);
  if (result !== undefined) return { ...key, result, job };
  const isUnderWay = job?.state === "queued" || job?.state === "running";
  return { ...key, result: null, job: isUnderWay ? job : failedJob(key, UNREADABLE_RESULT) };
}

/** A result whose timeline alone cannot be read: its MP4 is worth more than to be made again. */
function withoutTimeline(stored: string): TrackResult | undefined {
  const value = z.looseObject({}).safeParse(jsonOf(stored)).data;
  return value && resultSchema.safeParse({ ...value, timeline: null }).data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const UNREADABLE_RESULT =
  "The catalogue's record of the MP4 cannot be read; a retry makes the MP4 again.";

/**
 * A row of `finalize_jobs`; the progress of a running job (0 to 1) is kept in memory alone. A state that
 * is not known counts as failed, so that a retry queues the job again. Undefined when its IDs cannot be
 * read.
 */
export function jobOf(
  row: FinalizeJobsTable,
  progress: number,
  report: ReportFault,
): FinalizeJob | undefined {
  const key = readOr("track_id", report, () => keyOf(row));
  if (key === undefined) return undefined;
  const state = readOr("state", report, () => jobStateSchema.parse(row.state));
  if (state === undefined) {
    return failedJob(
      key,
      `The catalogue has an unknown state of its job: ${JSON.stringify(row.state)}.`,
    );
  }
  return {
    ...key,
    state,
    attempts: countOrZero(row.attempts),
    progress: state === "done" ? 1 : progress,
    error: textOrNull(row.error),
  };
}

function failedJob(key: TrackKey, error: string): FinalizeJob {
  return { ...key, state: "failed", attempts: 0, progress: 0, error };
}

function keyOf(row: Pick<TracksTable, "recording_id" | "participant_id" | "track_id">): TrackKey {
  return {
    recordingId: recordingIdSchema.parse(row.recording_id),
    participantId: participantIdSchema.parse(row.participant_id),
    trackId: trackIdSchema.parse(row.track_id),
  };
}
