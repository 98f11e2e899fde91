/**
 * Types of the module `/client/recorder.js`. This file stands alone: save it beside your sources and
 * import the module with these types. The module's own source takes its public types from here.
 */

/**
 * `idle` before the first start; `stopping` while the last chunks are uploaded; `stopped` when
 * everything is acknowledged; `failed` when something could not be delivered. A stopped or failed
 * recorder can be started again.
 */
export type RecorderState = "idle" | "recording" | "paused" | "stopping" | "stopped" | "failed";

/** How much media: one figure in three units. */
export interface MediaAmount {
  readonly chunks: number;
  readonly bytes: number;
  /** Of recorded time, without pauses. */
  readonly seconds: number;
}

/** What became of the media of this run, from its start. `recorded` is the sum of the other two. */
export interface RecorderProgress {
  readonly recorded: MediaAmount;
  /** On the server's stable storage: forgotten here. */
  readonly acknowledged: MediaAmount;
  /** Kept in this page's memory until it is acknowledged. It grows while the server is away. */
  readonly pending: MediaAmount;
}

/**
 * - `invalid-option`: an argument is missing or unusable, such as no `participantId`.
 * - `already-recording`: `startRecording` while a run is not over.
 * - `not-supported`: this browser cannot record this stream.
 * - `recorder-failed`: the browser's recorder stopped by itself and could not be started again.
 * - `recording-not-found`: the server has no such recording.
 * - `recording-closed`: the recording was deleted, or takes no late chunks any more.
 * - `rejected`: the server refused for good; see `status` and `problemCode`.
 * - `spool-failed`: a chunk could not be kept or read on this side.
 * - `stopped`: the signal given to `stopRecording` gave up before everything was acknowledged.
 */
export type RecorderErrorCode =
  | "invalid-option"
  | "already-recording"
  | "not-supported"
  | "recorder-failed"
  | "recording-not-found"
  | "recording-closed"
  | "rejected"
  | "spool-failed"
  | "stopped";

/** The only kind of error that the recorder throws, rejects with or reports. Branch on `code`. */
export class RecorderError extends Error {
  constructor(
    code: RecorderErrorCode,
    message: string,
    details?: {
      readonly status?: number | undefined;
      readonly problemCode?: string | undefined;
      readonly cause?: unknown;
    },
  );
  readonly code: RecorderErrorCode;
  /** HTTP status of the answer that refused; null when no answer did. */
  readonly status: number | null;
  /** `code` of that answer's problem body; null when it had none. */
  readonly problemCode: string | null;
}

/** The state changed. */
export interface StateChange {
  readonly state: RecorderState;
  readonly previous: RecorderState;
}

/**
 * Why a segment was begun: by `startRecording`, since tracks were added to or removed from the
 * stream, or since the browser's recorder failed.
 */
export type SegmentReason = "start" | "tracks-changed" | "recorder-error";

/** A segment, one run of the browser's recorder, began to record or was acknowledged as a whole. */
export type SegmentChange =
  | {
      readonly type: "started";
      readonly segmentId: string;
      /** As the browser tells it; can be empty until the first chunk. */
      readonly mimeType: string;
      readonly reason: SegmentReason;
    }
  | { readonly type: "ended"; readonly segmentId: string; readonly chunkCount: number };

/** An upload failed in a way that passes; it is repeated after `delayMs`. */
export interface UploadRetry {
  /** Failures in a row, from 1. */
  readonly failures: number;
  readonly delayMs: number;
  /** A sentence for people. */
  readonly reason: string;
}

/** The recorder's events, by name, with what a listener gets. */
export interface RecorderEvents {
  readonly statechange: StateChange;
  /** After each recorded chunk and each acknowledgement. */
  readonly progress: RecorderProgress;
  readonly segment: SegmentChange;
  readonly retry: UploadRetry;
  /**
   * Something is final. After the refusal of a single chunk the recording goes on, without that
   * chunk; after any other it stops. Either way `stopRecording` rejects with the first of them.
   */
  readonly error: RecorderError;
}

/** Source of the time; give one to turn it by hand in a test. */
export interface RecorderClock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels that. */
  after(delayMs: number, callback: () => void): () => void;
}

/** All of them can be left out. */
export interface ClientRecorderOptions {
  /** Where the server is, with its path prefix if it has one. Default: the page's own origin. */
  readonly serverUrl?: string | URL | undefined;
  /** Who records: 1 to 128 printable characters. Can be assigned later, before the start. */
  readonly participantId?: string | undefined;
  /** What is recorded: `camera` (default), `screen`, `microphone` or any other name. */
  readonly trackId?: string | undefined;
  /** Length of a chunk. Default 1,000. */
  readonly timesliceMs?: number | undefined;
  /** Default 1,000,000. */
  readonly videoBitsPerSecond?: number | undefined;
  /** Default 128,000. */
  readonly audioBitsPerSecond?: number | undefined;
  /** MIME types to try, best first, instead of the recorder's own choice. */
  readonly mimeTypes?: readonly string[] | undefined;
  /** Requests under way at once. Default 3. */
  readonly parallelUploads?: number | undefined;
  /** A larger blob is split. Default 8 MiB; keep it within what the server and proxies take. */
  readonly chunkBytesMax?: number | undefined;
  /** Instead of the page's `fetch`, for example to add headers. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  readonly clock?: RecorderClock | undefined;
}

/** A chunk that the server has not acknowledged. */
export interface UnacknowledgedChunk {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
  readonly segmentId: string;
  /** Number within the segment, from 0. The payloads of a segment in this order are one file. */
  readonly sequence: number;
  readonly mimeType: string;
  readonly payload: Blob;
}

/**
 * Records one track of one participant and uploads it while it runs. For a camera and a screen make
 * two recorders, with two `trackId`s. It writes nothing to the console.
 */
export class ClientRecorder {
  /** Throws `RecorderError` (`invalid-option`) when an option is unusable. */
  constructor(options?: ClientRecorderOptions);

  /** Read at the start. */
  participantId: string | undefined;
  readonly trackId: string;
  readonly state: RecorderState;
  readonly progress: RecorderProgress;

  /**
   * Starts to record `stream`; resolves when the browser's recorder runs. Rejects with
   * `RecorderError` when it cannot; then nothing was recorded. The recorder also ends by itself, as
   * with `stopRecording`, when all tracks of the stream have ended.
   */
  startRecording(stream: MediaStream, recordingId: string): Promise<void>;

  /**
   * Stops, and resolves when everything is acknowledged and the server knows that the track is
   * complete: while the server is away that can be long, see the `progress` and `retry` events.
   * Rejects with the first final `RecorderError`. With `signal` the app gives up waiting: the
   * upload ends, and the promise rejects with `stopped`. The stream's tracks are left as they are.
   * Without a run it resolves at once; after a run it tells that run's outcome again.
   */
  stopRecording(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;

  /** Pauses. What was recorded before is uploaded during the pause. No effect unless recording. */
  pauseRecording(): void;

  /** Goes on in the same segment; the pause is not in the media. No effect unless paused. */
  resumeRecording(): void;

  /**
   * What is kept since it is not acknowledged, of failed runs too, in order of recording. After a
   * failure an app can offer it to the user as a file.
   */
  unacknowledgedChunks(): Promise<readonly UnacknowledgedChunk[]>;

  /**
   * Calls `listener` at each event of that name, until the returned function is called. An error
   * that it throws goes to the page's `error` event and disturbs nothing here.
   */
  on<Name extends keyof RecorderEvents>(
    name: Name,
    listener: (event: RecorderEvents[Name]) => void,
  ): () => void;
}
