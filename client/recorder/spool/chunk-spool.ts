import type { Mark } from "../../../src/contract/marks.ts";

/** Names one segment of one track. */
export interface SegmentAddress {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
  /** UUID. */
  readonly segmentId: string;
}

/** Names one chunk. */
export interface ChunkKey {
  readonly segmentId: string;
  /** Number within the segment, from 0. */
  readonly sequence: number;
}

/** A chunk with all that its upload needs, so that it can be sent without its recorder. */
export interface SpooledChunk extends SegmentAddress, ChunkKey {
  readonly payload: Blob;
  /** The recorder's, read when this chunk came; can be empty. */
  readonly mimeType: string;
  /** When its recording began, on this computer's clock, in milliseconds since the epoch. */
  readonly beganAtMs: number;
  /**
   * What the server's clock was ahead of this computer's when the chunk was put, in milliseconds;
   * null when it was not known yet. A page that sends the chunk a day later may find another one.
   */
  readonly clockOffsetMs: number | null;
  /** Recorded time in it, without pauses. */
  readonly durationMs: number;
  /** What happened in it, on this computer's clock, too. */
  readonly marks: readonly Mark[];
}

/** A chunk on its way. */
export interface LentChunk extends Omit<SpooledChunk, "payload"> {
  /** Null when its bytes are gone or cannot be read any more, such as after a fault of the disk. */
  readonly payload: Blob | null;
}

/** Bounds of what is taken at once. The first chunk is given however large it is. */
export interface TakeLimits {
  readonly bytesMax: number;
  readonly chunksMax: number;
  /** Bytes of each chunk that count beside its payload; none by default. */
  readonly besidesOf?: (chunk: { readonly mimeType: string; readonly marks: unknown }) => number;
}

/** Where a chunk is kept. Only what is on the disk outlives the page. */
export type KeptIn = "disk" | "memory";

/**
 * Where the chunks of one run wait for their acknowledgement. A chunk is in it from `put` to
 * `delete`, whatever happens in between. Every method may reject when the storage behind it fails.
 */
export interface ChunkSpool {
  /**
   * Keeps a chunk, and resolves when it is where it says. Called in order of sequence, without
   * waiting for the call before.
   */
  put(chunk: SpooledChunk): Promise<KeptIn>;
  /**
   * Lends the oldest chunks that are not lent: a run of consecutive ones of one segment. Empty when
   * there is none.
   */
  take(limits: TakeLimits): Promise<readonly LentChunk[]>;
  /** Takes back lent chunks that were not acknowledged; they are the next to be lent. */
  giveBack(chunks: readonly ChunkKey[]): Promise<void>;
  /** Forgets acknowledged chunks. */
  delete(chunks: readonly ChunkKey[]): Promise<void>;
  /** All that is in it and can be read, lent or not, in order of `put`. */
  list(): Promise<readonly SpooledChunk[]>;
  /** Notes a segment's total, so that whoever finds the segment later knows it. */
  endSegment(segmentId: string, chunkCount: number): Promise<void>;
  /** The server knows the total: forgets the segment, unless chunks of it are left. */
  closeSegment(segmentId: string): Promise<void>;
}
