/** Names one segment of one track. */
export interface SegmentAddress {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
  /** UUID. */
  readonly segmentId: string;
}

/** A chunk with all that its upload needs, so that it can be sent without its recorder. */
export interface SpooledChunk extends SegmentAddress {
  /** Number within the segment, from 0. */
  readonly sequence: number;
  readonly payload: Blob;
  /** The recorder's, read when this chunk came; can be empty. */
  readonly mimeType: string;
  /** When its recording began, on this computer's clock, in milliseconds since the epoch. */
  readonly beganAtMs: number;
  /** Recorded time in it, without pauses. */
  readonly durationMs: number;
}

/** Bounds of what is taken at once. The first chunk is given however large it is. */
export interface TakeLimits {
  readonly bytesMax: number;
  readonly chunksMax: number;
}

/**
 * Where chunks wait for their acknowledgement. A chunk is in it from `put` to `delete`, whatever
 * happens in between. Every method may reject when the storage behind it fails.
 */
export interface ChunkSpool {
  /** Keeps a chunk. Called in order of sequence, without waiting for the call before. */
  put(chunk: SpooledChunk): Promise<void>;
  /**
   * Lends the oldest chunks that are not lent: a run of consecutive ones of one segment. Empty when
   * there is none.
   */
  take(limits: TakeLimits): Promise<readonly SpooledChunk[]>;
  /** Takes back lent chunks that were not acknowledged; they are the next to be lent. */
  giveBack(chunks: readonly SpooledChunk[]): Promise<void>;
  /** Forgets acknowledged chunks. */
  delete(chunks: readonly SpooledChunk[]): Promise<void>;
  /** All that is in it, lent or not, in order of `put`. */
  list(): Promise<readonly SpooledChunk[]>;
}
