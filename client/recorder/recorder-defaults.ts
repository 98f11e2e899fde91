/**
 * Defaults of the options. The bit rates and the timeslice are those of the implementation guide's
 * recorder; `trackId`, the longest word and the most marks of a chunk are the contract's, whose code would bring a validator
 * into the bundle (a test compares them).
 */
export const RECORDER_DEFAULTS = {
  trackId: "camera",
  timesliceMs: 1_000,
  videoBitsPerSecond: 1_000_000,
  audioBitsPerSecond: 128_000,
  parallelUploads: 3,
  /** With its form it is a request of less than 1 MiB, which nginx refuses by default. */
  chunkBytesMax: 1_000_000,
  memorySpoolBytesMax: 268_435_456,
  storageThresholds: { low: 0.8, critical: 0.9 },
  wordCodePointsMax: 128,
  marksPerChunkMax: 64,
} as const;
