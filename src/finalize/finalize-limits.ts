/** Bounds on what finalizing may take. All come from the configuration. */
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
