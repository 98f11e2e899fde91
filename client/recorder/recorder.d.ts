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
  /** Kept in this browser until it is acknowledged. It grows while the server is away. */
  readonly pending: MediaAmount;
  /**
   * Whether all that is pending is on this computer's disk: then a closed tab or a crash of the
   * browser loses none of it, and the next page that loads this library uploads it. The slice that
   * the browser's recorder has not handed over yet (see `timesliceMs`) is in no figure.
   */
  readonly isDurable: boolean;
}

/**
 * - `invalid-option`: an argument is missing or unusable, such as no `participantId`.
 * - `already-recording`: `startRecording` while a run is not over, or while another recorder of this
 *   page records the same track of the same participant; the message names it.
 * - `not-supported`: this browser cannot record this stream.
 * - `recorder-failed`: the browser's recorder stopped by itself and could not be started again, did
 *   not end when it was stopped, or gave nothing at all, so that nothing was recorded.
 * - `recording-not-found`: the server has no such recording.
 * - `recording-closed`: the recording was deleted, or takes no late chunks any more.
 * - `rejected`: the server refused for good; see `status` and `problemCode`.
 * - `spool-failed`: a chunk could not be kept or read on this side.
 * - `spool-full`: the server was away for so long that this browser can keep no more. The recording
 *   has stopped; what was recorded is kept and uploaded.
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
  | "spool-full"
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
 * stream, by `replaceStream`, since the browser's recorder failed or gave nothing any more, since a
 * track that had been left out gives again (`unstalled`), to go on with half the bit rate, since
 * this browser's storage is nearly full, or since the pictures have another size, in an MP4 that can
 * carry only one.
 */
export type SegmentReason =
  | "start"
  | "tracks-changed"
  | "stream-replaced"
  | "recorder-error"
  | "stalled"
  | "unstalled"
  | "storage-critical"
  | "picture-resized";

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

/**
 * What an upload waits for.
 *
 * - `no-answer`: nothing answered: the network or the server is away, or the browser keeps the page
 *   from reaching it (`reason` names what can be the cause).
 * - `server-busy`: the server, or a proxy in its place, is busy, full, starting or away.
 * - `sign-in-needed`: something between the page and the server wants a sign-in: it answers with 401,
 *   403, 407, 511 or a redirect. A sign-in in another tab is enough.
 * - `not-the-server`: something else answers in the server's place, such as a proxy that looks for it
 *   at another address.
 * - `body-too-large`: something in between, or the server itself, refuses requests of this size; see
 *   `bodyBytes`. Later chunks are made smaller.
 * - `origin-refused`: the server does not let pages of this origin read its answers: see its
 *   `ALLOWED_ORIGINS`.
 * - `permission-denied`: the browser's permission for access to the local network was denied.
 * - `damaged-on-the-way`: the server received other bytes than were sent.
 */
export type RetryCause =
  | "no-answer"
  | "server-busy"
  | "sign-in-needed"
  | "not-the-server"
  | "body-too-large"
  | "origin-refused"
  | "permission-denied"
  | "damaged-on-the-way";

/**
 * An upload failed in a way that passes; it is repeated after `delayMs`, or as soon as the server is
 * seen to answer again. Recording goes on meanwhile, and nothing is lost.
 */
export interface UploadRetry {
  /** Failures in a row, from 1. */
  readonly failures: number;
  readonly delayMs: number;
  /** HTTP status of the answer that failed; null when there was none that the page may read. */
  readonly status: number | null;
  readonly cause: RetryCause;
  /** A sentence for people. */
  readonly reason: string;
  /** Of `body-too-large`: about how large the refused upload was. Null otherwise. */
  readonly bodyBytes: number | null;
  /** Of `body-too-large`: the largest request that passed before; null otherwise, and before any. */
  readonly bodyBytesAccepted: number | null;
}

/**
 * - `ok`: there is room on the disk.
 * - `low`: most of what the browser grants this origin is used (80 % by default).
 * - `critical`: nearly all of it is (90 % by default). The recording goes on with half the video bit
 *   rate, and with a quarter when it grows on.
 *   Chromium tells 10 GiB above what is used instead of its quota: there `memory` can be the first.
 * - `memory`: chunks that come now are kept in memory only, since there is no storage, or it is full
 *   or fails. They are lost with the page, and bounded by `memorySpoolBytesMax`.
 */
export type StorageState = "ok" | "low" | "critical" | "memory";

/** Where recorded chunks wait for their upload has changed, or how much room there is. */
export interface StorageChange {
  readonly state: StorageState;
  /** What this origin uses of its storage, all in all; null when the browser does not tell. */
  readonly usedBytes: number | null;
  /** What the browser grants this origin; null when it does not tell. */
  readonly quotaBytes: number | null;
  /** Of this recorder, in memory only. */
  readonly memoryBytes: number;
  /** A sentence for people; null in state `ok`. */
  readonly reason: string | null;
}

/** Shares of the quota, above 0 and up to 1, from which the storage is `low` and `critical`. */
export interface StorageThresholds {
  readonly low: number;
  readonly critical: number;
}

/**
 * The browser's recorder gives no data though it should.
 *
 * - `asked`: it was asked for what it has.
 * - `restarting`: it gave nothing even then; a new segment is begun (reason `stalled`).
 * - `waiting`: every track of the stream is muted, so there is nothing to record: no new segment
 *   would help.
 * - `leaving-out`: only the picture or only the sound gives nothing (`silent`), such as a suspended
 *   AudioContext or a headset that a phone call took over. The recording goes on with the other one
 *   in a new segment (reason `stalled`).
 * - `returned`: what was left out gives again; a new segment with all tracks begins (reason
 *   `unstalled`).
 *
 * Chromium keeps what one track gave while it waited for the other, but for a stream of which one
 * track gives nothing from the start: then up to two seconds of the other one are lost.
 */
export interface RecorderStall {
  readonly segmentId: string;
  /** For how long nothing came. */
  readonly silentMs: number;
  readonly action: "asked" | "restarting" | "waiting" | "leaving-out" | "returned";
  /** What gave nothing: all that was recorded, or the only one that is known to be silent. */
  readonly silent: readonly ("video" | "audio")[];
}

/** The recorder's events, by name, with what a listener gets. */
export interface RecorderEvents {
  readonly statechange: StateChange;
  /** After each recorded chunk, when it is kept, and after each acknowledgement. */
  readonly progress: RecorderProgress;
  readonly segment: SegmentChange;
  readonly retry: UploadRetry;
  /** The first one comes soon after the start; then at each change of the state. */
  readonly storage: StorageChange;
  readonly stall: RecorderStall;
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
  /** Milliseconds of a clock that nobody sets: shows at once when `nowMs` was. */
  monotonicMs?(): number;
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
  /**
   * MIME types to try, best first, instead of the recorder's own choice. Of H.264 in MP4 `avc3` is
   * taken in place of `avc1` where the browser has it: as `avc1` Chromium records nothing that can be
   * decoded once the picture's size has changed. Without it each size is a segment of its own.
   */
  readonly mimeTypes?: readonly string[] | undefined;
  /** Requests under way at once. Default 3. */
  readonly parallelUploads?: number | undefined;
  /**
   * A larger blob is split into several chunks. Default 1,000,000, which a proxy takes that allows
   * 1 MiB. Where requests are refused for their size, chunks are made smaller by themselves.
   */
  readonly chunkBytesMax?: number | undefined;
  /** Most bytes that are kept in memory only; beyond them the recording stops. Default 256 MiB. */
  readonly memorySpoolBytesMax?: number | undefined;
  /** Default 0.8 and 0.9. */
  readonly storageThresholds?: StorageThresholds | undefined;
  /**
   * Whether the browser asks before this page is left while it records, while it uploads the rest,
   * or while it holds something that would be lost. Default true.
   */
  readonly warnBeforeUnload?: boolean | undefined;
  /**
   * Instead of `fetch`, for example to add headers. The upload then runs in the page, not in a
   * worker, as it does with `clock`: browsers slow a hidden page's timers down.
   */
  readonly fetch?: RecorderFetch | undefined;
  readonly clock?: RecorderClock | undefined;
}

/** What the recorder needs of `fetch`. */
export type RecorderFetch = (url: string, init: RequestInit) => Promise<Response>;

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

/** A segment that an earlier page, or a run that failed, left behind, and what became of it. */
export interface PendingSegment {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
  readonly segmentId: string;
  /** That were left when it was found. 0: only the segment's end was not told to the server. */
  readonly chunks: number;
  /** Of these chunks. */
  readonly bytes: number;
  /**
   * `refused`: the server refused something of it for good. What it did not take stays in this
   * browser: see `ClientRecorder.pendingChunks` and `discardPending`.
   */
  readonly state: "waiting" | "delivered" | "refused";
  /** Why it was refused; null otherwise. */
  readonly error: RecorderError | null;
}

/** How far the upload of what was left is. */
export interface PendingProgress {
  readonly pending: MediaAmount;
  readonly acknowledged: MediaAmount;
}

/** The events of a `PendingUploads`, by name. */
export interface PendingUploadsEvents {
  /** After each acknowledgement, and when more was found. */
  readonly progress: PendingProgress;
  readonly retry: UploadRetry;
  /** Something of a segment was refused for good; the others are uploaded all the same. */
  readonly error: RecorderError;
  /** `finished` is settled. */
  readonly finished: PendingProgress;
}

/** The upload of what was left behind. It goes on by itself, also after the recording's stop. */
export interface PendingUploads {
  /** As they are now. */
  readonly segments: readonly PendingSegment[];
  readonly progress: PendingProgress;
  /**
   * Resolves when everything is acknowledged and every segment ended. Rejects with the first final
   * `RecorderError` when there is nothing left that can be delivered. Need not be listened to.
   */
  readonly finished: Promise<void>;
  on<Name extends keyof PendingUploadsEvents>(
    name: Name,
    listener: (event: PendingUploadsEvents[Name]) => void,
  ): () => void;
}

/** All of them can be left out. */
export interface ResumeOptions {
  /** Only what was recorded for this server. Default: each segment goes to its own. */
  readonly serverUrl?: string | URL | undefined;
  /** As in `ClientRecorderOptions`. What was recorded with one waits until it is given again. */
  readonly fetch?: RecorderFetch | undefined;
  /** Gives up: the uploads end, `finished` rejects with `stopped`, everything left stays. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Records one track of one participant and uploads it while it runs. For a camera and a screen make
 * two recorders, with two `trackId`s. It writes nothing to the console.
 */
export class ClientRecorder {
  /**
   * The upload of what earlier pages of this origin left behind. Loading this library begins it by
   * itself in the background, when there is something; null as long as nothing was found.
   */
  static readonly resumed: PendingUploads | null;

  /**
   * Calls `listener` with `resumed` once there is one, at once if there is, and again with each later
   * one, until the returned function is called.
   */
  static onResumed(listener: (uploads: PendingUploads) => void): () => void;

  /**
   * Looks for segments whose page is gone, and uploads what is left of them; what living tabs record
   * or upload is not touched. While `resumed` is running it gives that, to which anything newly found
   * is added.
   */
  static resumePending(options?: ResumeOptions): Promise<PendingUploads>;

  /**
   * What is kept in this browser of segments whose page is gone or whose run failed, of one segment
   * or of all, in order of sequence: for example to offer it as a file.
   */
  static pendingChunks(segmentId?: string): Promise<readonly UnacknowledgedChunk[]>;

  /**
   * Removes what is kept of such a segment, for good. Resolves to false, and does nothing, when there
   * is no such segment or it is being recorded or uploaded. Nothing else ever removes a chunk that is
   * not acknowledged.
   */
  static discardPending(segmentId: string): Promise<boolean>;

  /** Throws `RecorderError` (`invalid-option`) when an option is unusable. */
  constructor(options?: ClientRecorderOptions);

  /** Read at the start. */
  participantId: string | undefined;
  readonly trackId: string;
  readonly state: RecorderState;
  readonly progress: RecorderProgress;

  /**
   * Starts to record `stream`; resolves when the browser's recorder runs. Rejects with
   * `RecorderError` when it cannot; then nothing was recorded. That takes ten seconds (20 for MP4) of a
   * recorder that gives no data at all (`recorder-failed`); a pause, and tracks that the system has
   * muted, put it off. The recorder also ends by itself, as with `stopRecording`, when all tracks of
   * the stream have ended: at once, or when it is resumed.
   *
   * Several sound tracks are mixed into one by Web Audio, each as loud as it is, since browsers record
   * one: tracks that come, go, end or are muted later are followed. Where they cannot be mixed, as
   * before a page's first click, the start rejects (`not-supported`); so it does for several picture
   * tracks that live, of which browsers record one: give each a recorder of its own.
   *
   * The sound of a remote WebRTC stream is played muted in an element of the recorder's own, since
   * Chromium gives it to no recorder otherwise.
   */
  startRecording(stream: MediaStream, recordingId: string): Promise<void>;

  /**
   * Stops, and resolves when everything is acknowledged and the server knows that the track is
   * complete: while the server is away that can be long, see the `progress` and `retry` events.
   * Rejects with the first final `RecorderError`: with `recorder-failed` when more than a second was
   * recorded and the browser's recorder gave no byte, or does not end within ten seconds. With
   * `signal` the app gives up waiting: the
   * upload ends, and the promise rejects with `stopped`; what is left stays for `resumePending`. The
   * stream's tracks are left as they are.
   * Without a run it resolves at once; after a run it tells that run's outcome again.
   */
  stopRecording(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;

  /** Pauses. What was recorded before is uploaded during the pause. No effect unless recording. */
  pauseRecording(): void;

  /** Goes on in the same segment; the pause is not in the media. No effect unless paused. */
  resumeRecording(): void;

  /**
   * Goes on with another stream, such as that of another camera, in a segment of its own (reason
   * `stream-replaced`): at once, with a gap of about one frame, or after the pause. No effect unless
   * recording or paused. Throws `RecorderError` (`not-supported`) when this browser cannot record it;
   * then the recording goes on with the stream that it has.
   *
   * The tracks of the stream before are left as they are: stop them afterwards. Where one device must
   * be closed before another can be opened, as the cameras of many phones, pause first: a recording
   * whose tracks have all ended is over, but not while it is paused.
   */
  replaceStream(stream: MediaStream): void;

  /**
   * What is kept since it is not acknowledged, of failed runs too, in order of recording. After a
   * failure an app can offer it to the user as a file. A run that failed leaves what is on the disk
   * to `resumePending`.
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
