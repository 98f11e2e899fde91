import { ProgressMeter } from "./capture/progress-meter.ts";
import { RecordingRun, type RecordingSettings } from "./capture/recording-run.ts";
import { RunningTracks } from "./capture/running-tracks.ts";
import { EventEmitter } from "./event-emitter.ts";
import { newUuid } from "./new-uuid.ts";
import { RECORDER_DEFAULTS } from "./recorder-defaults.ts";
import { RecorderError } from "./recorder-error.ts";
import {
  checkedWord,
  recordingSettings,
  resolvedServerUrl,
  uploadSettings,
  type UploadSettings,
} from "./recorder-options.ts";
import type {
  ClientRecorder as PublicClientRecorder,
  ClientRecorderOptions,
  PendingUploads,
  RecorderClock,
  RecorderEvents,
  RecorderProgress,
  RecorderState,
  ResumeOptions,
  UnacknowledgedChunk,
} from "./recorder.d.ts";
import { PageUploads } from "./resume/page-uploads.ts";
import type { RunUpload } from "./service/run-upload.ts";
import { connectInPage } from "./service/upload-connection.ts";
import { UploadHost } from "./service/upload-host.ts";
import { systemClock } from "./system-clock.ts";
import { UnloadGuard } from "./unload-guard.ts";

export { RecorderError };
export type {
  ClientRecorderOptions,
  MediaAmount,
  PendingProgress,
  PendingSegment,
  PendingUploads,
  PendingUploadsEvents,
  RecorderClock,
  RecorderErrorCode,
  RecorderEvents,
  RecorderFetch,
  RecorderProgress,
  RecorderStall,
  RecorderState,
  ResumeOptions,
  RetryCause,
  SegmentChange,
  SegmentReason,
  StateChange,
  StorageChange,
  StorageState,
  StorageThresholds,
  UnacknowledgedChunk,
  UploadRetry,
} from "./recorder.d.ts";

/** One for the page: its worker, and what earlier pages left, are shared by all its recorders. */
const pageUploads = new PageUploads();

/** One for the page, too: two recorders of one track would make one recording twice as long. */
const runningTracks = new RunningTracks();

/**
 * Records one track of one participant and uploads it while it runs. See `recorder.d.ts`, which
 * describes each member to the library's users.
 */
export class ClientRecorder implements PublicClientRecorder {
  participantId: string | undefined;
  readonly trackId: string;
  readonly #events = new EventEmitter<RecorderEvents>();
  readonly #recording: RecordingSettings;
  readonly #upload: UploadSettings;
  readonly #serverUrl: string | URL | undefined;
  readonly #warnsBeforeUnload: boolean;
  readonly #needsAppFetch: boolean;
  readonly #clock: RecorderClock;
  readonly #host: () => UploadHost;
  #state: RecorderState = "idle";
  #run: RecordingRun | null = null;
  /** Of this run and of failed ones, oldest first. */
  #uploads: readonly RunUpload[] = [];

  constructor(options: ClientRecorderOptions = {}) {
    this.participantId = options.participantId;
    this.trackId = checkedWord("trackId", options.trackId ?? RECORDER_DEFAULTS.trackId);
    this.#recording = recordingSettings(options);
    this.#upload = uploadSettings(options);
    this.#serverUrl = options.serverUrl;
    this.#warnsBeforeUnload = options.warnBeforeUnload ?? true;
    this.#needsAppFetch = options.fetch !== undefined;
    this.#clock = options.clock ?? systemClock;
    if (options.fetch === undefined && options.clock === undefined) {
      this.#host = () => pageUploads.host;
    } else {
      // Functions cannot cross to a worker.
      const own = new UploadHost(connectInPage(options.fetch, options.clock));
      this.#host = () => own;
    }
  }

  static get resumed(): PendingUploads | null {
    return pageUploads.resumed;
  }

  static onResumed(listener: (uploads: PendingUploads) => void): () => void {
    return pageUploads.onResumed(listener);
  }

  static resumePending(options: ResumeOptions = {}): Promise<PendingUploads> {
    return pageUploads.resume(options);
  }

  static pendingChunks(segmentId?: string): Promise<readonly UnacknowledgedChunk[]> {
    return pageUploads.pendingChunks(segmentId);
  }

  static discardPending(segmentId: string): Promise<boolean> {
    return pageUploads.discard(segmentId);
  }

  get state(): RecorderState {
    return this.#state;
  }

  get progress(): RecorderProgress {
    return this.#run?.progress ?? new ProgressMeter().read();
  }

  on<Name extends keyof RecorderEvents>(
    name: Name,
    listener: (event: RecorderEvents[Name]) => void,
  ): () => void {
    return this.#events.on(name, listener);
  }

  async startRecording(stream: MediaStream, recordingId: string): Promise<void> {
    if (this.#state !== "idle" && this.#state !== "stopped" && this.#state !== "failed") {
      throw new RecorderError(
        "already-recording",
        "This recorder's run is not over: stop it first.",
      );
    }
    const address = {
      recordingId: checkedWord("recordingId", recordingId),
      participantId: checkedWord("participantId", this.participantId),
      trackId: this.trackId,
    };
    const serverUrl = resolvedServerUrl(this.#serverUrl);
    runningTracks.expectFree({ serverUrl, ...address });
    const upload = this.#host().openRun({
      serverUrl,
      ...this.#upload,
      // An app, or a browser's mode, that took it away from the page did not mean the worker's.
      isPersistent: "indexedDB" in globalThis,
      needsAppFetch: this.#needsAppFetch,
    });
    const run = new RecordingRun({
      stream,
      address,
      settings: this.#recording,
      upload,
      clock: this.#clock,
      newSegmentId: newUuid,
    });
    let started: Promise<void>;
    try {
      started = run.start();
    } catch (cause) {
      void upload.finish();
      throw cause;
    }
    // Only now: a start that throws leaves the run before, and what it tells, in place.
    this.#run = run;
    const endTrack = runningTracks.add({ serverUrl, ...address }, this.#clock.nowMs());
    run.events.on("stopping", endTrack);
    this.#uploads = [...this.#uploads, upload];
    this.#attend(run, upload);
    this.#enter("recording");
    pageUploads.askToPersist();
    await started;
  }

  async stopRecording(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    const { signal } = options;
    const abandon = (): void => run.abandon();
    run.stop();
    if (signal?.aborted === true) abandon();
    else signal?.addEventListener("abort", abandon, { once: true });
    try {
      const error = await run.outcome;
      if (error !== null) throw error;
    } finally {
      signal?.removeEventListener("abort", abandon);
    }
  }

  pauseRecording(): void {
    if (this.#state !== "recording") return;
    this.#run?.pause();
    this.#enter("paused");
  }

  resumeRecording(): void {
    if (this.#state !== "paused") return;
    // First: a run whose tracks have ended meanwhile ends now.
    this.#enter("recording");
    this.#run?.resume();
  }

  replaceStream(stream: MediaStream): void {
    if (this.#state !== "recording" && this.#state !== "paused") return;
    this.#run?.replaceStream(stream);
  }

  async unacknowledgedChunks(): Promise<readonly UnacknowledgedChunk[]> {
    const lists = await Promise.all(this.#uploads.map((upload) => upload.list()));
    return lists.flat();
  }

  #attend(run: RecordingRun, upload: RunUpload): void {
    for (const name of ["progress", "segment", "retry", "storage", "stall", "error"] as const) {
      run.events.on(name, (event: RecorderEvents[typeof name]) => this.#events.emit(name, event));
    }
    let phase: "recording" | "stopping" | "over" = "recording";
    const guard = new UnloadGuard(() => {
      const { pending, isDurable } = run.progress;
      if (!this.#warnsBeforeUnload) return false;
      // What is durable would be uploaded by the next visit only, which may never come.
      if (phase === "over") return !isDurable;
      return phase === "recording" || pending.chunks > 0;
    });
    run.events.on("stopping", () => {
      phase = "stopping";
      this.#enter("stopping");
      void run.outcome.then((error) => {
        phase = "over";
        if (run.progress.isDurable) guard.stop();
        // Everything in a successful run's spool is acknowledged; that of a failed one is kept.
        if (error === null) this.#uploads = this.#uploads.filter((other) => other !== upload);
        this.#enter(error === null ? "stopped" : "failed");
        return error;
      });
    });
  }

  #enter(state: RecorderState): void {
    const previous = this.#state;
    this.#state = state;
    this.#events.emit("statechange", { state, previous });
  }
}

void pageUploads.resumeInBackground();
