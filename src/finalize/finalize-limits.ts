/** Bounds on what finalizing may take. All can come from the configuration. */
export interface FinalizeLimits {
  /** After a stop, how long a segment must have been quiet before it is finalized as it is. */
  readonly stopGraceMs: number;
  /** After a stop, the longest wait for segments that still get chunks. */
  readonly stopWaitMsMax: number;
  /** The longest that late chunks, once they come, put off the new MP4. */
  readonly lateWaitMsMax: number;
  /** After its stop, how long a recording takes late chunks. */
  readonly lateUploadWindowMs: number;
  /** Tracks that are finalized at the same time. */
  readonly parallelRunsMax: number;
  /** Runs of one job before it counts as failed. */
  readonly attemptsMax: number;
  /** Wait before the second run of a job; twice as long before each further one. */
  readonly retryDelayMs: number;
  /** A run in which ffmpeg neither took input nor wrote anything for this long is ended. */
  readonly stallMsMax: number;
  /** A run may take this long, and `runMsPerMib` more for each MiB of chunks. */
  readonly runMsBase: number;
  readonly runMsPerMib: number;
  /** Address space of an ffmpeg process, where the system has `prlimit`. */
  readonly ffmpegMemoryBytesMax: number;
}

const SECOND_MS = 1_000;
const GIBIBYTE = 1024 ** 3;

/** What holds when the configuration says nothing. */
export const DEFAULT_FINALIZE_LIMITS: FinalizeLimits = {
  stopGraceMs: 10 * SECOND_MS,
  stopWaitMsMax: 60 * SECOND_MS,
  lateWaitMsMax: 600 * SECOND_MS,
  lateUploadWindowMs: 72 * 3_600 * SECOND_MS,
  // A copy keeps one core busy with muxing and half of one with reading and hashing in this process:
  // two at once use a small machine well and leave the server's thread free for uploads.
  parallelRunsMax: 2,
  attemptsMax: 3,
  retryDelayMs: 2 * SECOND_MS,
  stallMsMax: 120 * SECOND_MS,
  runMsBase: 120 * SECOND_MS,
  // A MiB is some 7 s at 1.1 Mbps: enough for a transcode at a quarter of real time.
  runMsPerMib: 30 * SECOND_MS,
  // libx264 with a 4K picture and its threads stays below a third of it.
  ffmpegMemoryBytesMax: 6 * GIBIBYTE,
};
