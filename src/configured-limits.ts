import type { Config } from "./config.ts";
import type { FinalizeLimits } from "./finalize/finalize-limits.ts";
import type { RequestBodyLimits } from "./http/body-reader.ts";
import type { RecordingLimits } from "./recording/limits.ts";

/** The bounds of the engine, as the environment sets them. */
export function recordingLimits(config: Config): RecordingLimits {
  return {
    chunkBytesMax: config.CHUNK_BYTES_MAX,
    segmentPendingBytesMax: config.SEGMENT_PENDING_BYTES_MAX,
    totalPendingBytesMax: config.TOTAL_PENDING_BYTES_MAX,
    segmentGapsMax: config.SEGMENT_GAPS_MAX,
    recordingSegmentsMax: config.RECORDING_SEGMENTS_MAX,
    freeSpaceBytesMin: config.FREE_SPACE_BYTES_MIN,
    openSegmentsMax: config.OPEN_SEGMENTS_MAX,
    lateUploadWindowMs: config.LATE_UPLOAD_WINDOW_MS,
  };
}

/** The bounds of the finalizer, as the environment sets them. */
export function finalizeLimits(config: Config): FinalizeLimits {
  return {
    stopGraceMs: config.STOP_GRACE_MS,
    stopWaitMsMax: config.STOP_WAIT_MS_MAX,
    lateWaitMsMax: config.LATE_WAIT_MS_MAX,
    lateUploadWindowMs: config.LATE_UPLOAD_WINDOW_MS,
    parallelRunsMax: config.FINALIZE_PARALLEL_MAX,
    attemptsMax: config.FINALIZE_ATTEMPTS_MAX,
    retryDelayMs: config.FINALIZE_RETRY_DELAY_MS,
    stallMsMax: config.FFMPEG_STALL_MS_MAX,
    runMsBase: config.FFMPEG_RUN_MS_BASE,
    runMsPerMib: config.FFMPEG_RUN_MS_PER_MIB,
    ffmpegMemoryBytesMax: config.FFMPEG_MEMORY_BYTES_MAX,
  };
}

/** The bounds of request bodies, as the environment sets them. */
export function requestBodyLimits(config: Config): RequestBodyLimits {
  return {
    requestBytesMax: config.REQUEST_BYTES_MAX,
    totalRequestBytesMax: config.TOTAL_REQUEST_BYTES_MAX,
    bodyIdleMsMax: config.BODY_IDLE_MS_MAX,
    bodyMsBase: config.BODY_MS_BASE,
  };
}
