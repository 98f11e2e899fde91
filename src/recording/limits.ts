/** Bounds on everything that waits or grows. All come from the configuration. */
export interface RecordingLimits {
  /** Largest payload of one chunk. */
  readonly chunkBytesMax: number;
  /** Bytes of one segment that may wait for the disk; more is refused with `overloaded`. */
  readonly segmentPendingBytesMax: number;
  /** Bytes of all segments together that may wait for the disk, each participant a fair share. */
  readonly totalPendingBytesMax: number;
  /** Gaps in one segment's sequences; more is refused with `over-quota`. */
  readonly segmentGapsMax: number;
  /** Segments of one recording; more is refused with `over-quota`. */
  readonly recordingSegmentsMax: number;
  /** With less room on the disk no recording is started; those that run go on. */
  readonly freeSpaceBytesMin: number;
  /** Chunk files held open at once; the one that was idle longest is closed for the next. */
  readonly openSegmentsMax: number;
  /** How long after its stop a recording takes late chunks. */
  readonly lateUploadWindowMs: number;
}

/** What a client is told to wait when too much is pending: a few syncs of a busy disk. */
export const OVERLOADED_RETRY_AFTER_MS = 1_000;
