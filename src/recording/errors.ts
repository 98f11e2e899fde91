import type { ProblemCode } from "../contract/problem.ts";
import type { SequenceRange } from "../contract/chunks.ts";

/** The codes of what can go wrong, as the contract names them. */
export type AppErrorCode = ProblemCode;

/**
 * Base of every error that this program raises on purpose. `code` is stable and is what callers
 * branch on; `message` is a sentence for people. The HTTP status is decided in `http/` alone.
 */
export abstract class AppError extends Error {
  abstract readonly code: AppErrorCode;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** There is no such recording (or it was deleted). */
export class RecordingNotFoundError extends AppError {
  readonly code = "recording-not-found";
  readonly recordingId: string;
  constructor(recordingId: string) {
    super(`There is no recording ${JSON.stringify(recordingId)}.`);
    this.recordingId = recordingId;
  }
}

/** The recording has no such segment. */
export class SegmentNotFoundError extends AppError {
  readonly code = "segment-not-found";
  constructor(segmentId: string) {
    super(`The recording has no segment ${JSON.stringify(segmentId)}.`);
  }
}

/** The recording has no such participant or track. */
export class TrackNotFoundError extends AppError {
  readonly code = "track-not-found";
  constructor(participantId: string, trackId: string) {
    super(
      `The recording has no track ${JSON.stringify(trackId)} of participant ${JSON.stringify(participantId)}.`,
    );
  }
}

/** The MP4 is not made yet, or could not be made. */
export class MediaNotReadyError extends AppError {
  readonly code = "media-not-ready";
}

/** What was asked for needs a stopped recording. */
export class RecordingInProgressError extends AppError {
  readonly code = "recording-in-progress";
  constructor(recordingId: string) {
    super(`Recording ${recordingId} is in progress: stop it first.`);
  }
}

/** A retry was asked for, but no track has failed. */
export class NothingToRetryError extends AppError {
  readonly code = "nothing-to-retry";
  constructor(recordingId: string) {
    super(`Recording ${recordingId} has no track whose finalization failed.`);
  }
}

/** A live view was asked for, and nothing of the track is being recorded at this moment. */
export class NotLiveError extends AppError {
  readonly code = "not-live";
}

/** A live view was asked for of a track whose codecs browsers cannot be given as they are. */
export class LiveUnsupportedError extends AppError {
  readonly code = "live-unsupported";
  constructor(codecs: readonly string[]) {
    super(`The track's codecs cannot be shown live: ${codecs.join(", ") || "none is known"}.`);
  }
}

/** Same sequence with other bytes, or a segment that belongs to another track. Nothing changed. */
export class ChunkConflictError extends AppError {
  readonly code = "chunk-conflict";
}

/** A chunk that cannot be part of the segment, whenever it is sent. Nothing changed. */
export class ChunkMalformedError extends AppError {
  readonly code = "chunk-malformed";
}

/** A chunk whose bytes are not those that the client hashed. Nothing changed; sent again it may pass. */
export class ChunkHashMismatchError extends AppError {
  readonly code = "chunk-hash-mismatch";
}

/** A chunk over the limit of bytes. */
export class ChunkTooLargeError extends AppError {
  readonly code = "chunk-too-large";
}

/** The recording was deleted, or its window for late uploads is over. */
export class RecordingClosedError extends AppError {
  readonly code = "recording-closed";
}

/** A limit of this recording or segment is used up. */
export class OverQuotaError extends AppError {
  readonly code = "over-quota";
}

/** Too much is waiting for the disk; the same request succeeds later. */
export class OverloadedError extends AppError {
  readonly code = "overloaded";
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The server ends; another one, or the same one started again, takes the request. */
export class ServerStoppingError extends AppError {
  readonly code = "server-stopping";
  readonly retryAfterMs = 2_000;

  constructor() {
    super("The server is stopping. Come again when it has started anew.");
  }
}

/** No space is left on the disk; nothing of the request was kept. */
export class StorageFullError extends AppError {
  readonly code = "storage-full";
  readonly retryAfterMs = 10_000;
}

/** The disk failed; nothing of the request was acknowledged. */
export class StorageFailedError extends AppError {
  readonly code = "storage-failed";
  readonly retryAfterMs = 5_000;
}

/** `3-5, 9` for people. */
export function describeRanges(ranges: readonly SequenceRange[]): string {
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}
