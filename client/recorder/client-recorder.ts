import { IngestApi } from "./ingest-api.ts";
import type { ChunkSpool } from "./chunk-spool.ts";
import { ChunkUploader } from "./chunk-uploader.ts";
import { EventEmitter } from "./event-emitter.ts";
import { MemorySpool } from "./memory-spool.ts";
import { ProgressMeter } from "./progress-meter.ts";
import { RECORDER_DEFAULTS } from "./recorder-defaults.ts";
import { RecorderError } from "./recorder-error.ts";
import type {
  ClientRecorder as PublicClientRecorder,
  ClientRecorderOptions,
  RecorderClock,
  RecorderEvents,
  RecorderProgress,
  RecorderState,
  UnacknowledgedChunk,
} from "./recorder.d.ts";
import { RecordingRun, type RecordingSettings } from "./recording-run.ts";
import { newSegmentId } from "./segment-id.ts";
import { ServerClock } from "./server-clock.ts";
import { systemClock } from "./system-clock.ts";

export { RecorderError };
export type {
  ClientRecorderOptions,
  MediaAmount,
  RecorderClock,
  RecorderErrorCode,
  RecorderEvents,
  RecorderProgress,
  RecorderState,
  SegmentChange,
  SegmentReason,
  StateChange,
  UnacknowledgedChunk,
  UploadRetry,
} from "./recorder.d.ts";

type CountOption =
  | "timesliceMs"
  | "videoBitsPerSecond"
  | "audioBitsPerSecond"
  | "chunkBytesMax"
  | "parallelUploads";

/**
 * Records one track of one participant and uploads it while it runs. See `recorder.d.ts`, which
 * describes each member to the library's users.
 */
export class ClientRecorder implements PublicClientRecorder {
  participantId: string | undefined;
  readonly trackId: string;
  readonly #events = new EventEmitter<RecorderEvents>();
  readonly #settings: RecordingSettings;
  readonly #parallelUploads: number;
  readonly #serverUrl: string | URL | undefined;
  readonly #fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly #clock: RecorderClock;
  #state: RecorderState = "idle";
  #run: RecordingRun | null = null;
  /** Of this run and of failed ones, oldest first. */
  #spools: readonly ChunkSpool[] = [];

  constructor(options: ClientRecorderOptions = {}) {
    const count = (name: CountOption): number =>
      checkedCount(name, options[name] ?? RECORDER_DEFAULTS[name]);
    this.participantId = options.participantId;
    this.trackId = checkedWord("trackId", options.trackId ?? RECORDER_DEFAULTS.trackId);
    this.#settings = {
      timesliceMs: count("timesliceMs"),
      videoBitsPerSecond: count("videoBitsPerSecond"),
      audioBitsPerSecond: count("audioBitsPerSecond"),
      chunkBytesMax: count("chunkBytesMax"),
      mimeTypes: options.mimeTypes,
    };
    this.#parallelUploads = count("parallelUploads");
    this.#serverUrl = options.serverUrl;
    // Looked up at each call, so that an app's later replacement of it counts.
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
    this.#clock = options.clock ?? systemClock;
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
    const spool = new MemorySpool();
    const { uploader, serverClock } = this.#composeUpload(spool);
    const run = new RecordingRun({
      stream,
      address,
      settings: this.#settings,
      uploader,
      serverClock,
      clock: this.#clock,
      newSegmentId,
    });
    const started = run.start();
    // Only now: a start that throws leaves the run before, and what it tells, in place.
    this.#run = run;
    this.#spools = [...this.#spools, spool];
    this.#attend(run, uploader, spool);
    this.#enter("recording");
    await started;
  }

  async stopRecording(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    const { signal } = options;
    const abandon = (): void => void run.abandon(signal?.reason);
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
    this.#run?.resume();
    this.#enter("recording");
  }

  async unacknowledgedChunks(): Promise<readonly UnacknowledgedChunk[]> {
    const lists = await Promise.all(this.#spools.map((spool) => spool.list()));
    return lists.flat();
  }

  #composeUpload(spool: ChunkSpool): { uploader: ChunkUploader; serverClock: ServerClock } {
    const clock = this.#clock;
    const api = new IngestApi({
      serverUrl: resolvedServerUrl(this.#serverUrl),
      fetch: this.#fetch,
      clock,
      toServerMs: (localMs) => serverClock.toServerMs(localMs),
    });
    const serverClock = new ServerClock({
      clock,
      fetchServerTimeMs: (signal) => api.serverTimeMs(signal),
    });
    const uploader = new ChunkUploader({
      spool,
      api,
      clock,
      parallelUploads: this.#parallelUploads,
      random: Math.random,
    });
    return { uploader, serverClock };
  }

  #attend(run: RecordingRun, uploader: ChunkUploader, spool: ChunkSpool): void {
    for (const name of ["progress", "segment", "retry", "error"] as const) {
      run.events.on(name, (event: RecorderEvents[typeof name]) => this.#events.emit(name, event));
    }
    const retryNow = (): void => uploader.retryNow();
    globalThis.addEventListener("online", retryNow);
    run.events.on("stopping", () => {
      this.#enter("stopping");
      void run.outcome.then((error) => {
        globalThis.removeEventListener("online", retryNow);
        // Everything in a successful run's spool is acknowledged; that of a failed one is kept.
        if (error === null) this.#spools = this.#spools.filter((other) => other !== spool);
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

function checkedWord(name: string, value: unknown): string {
  if (value === undefined || value === null || value === "") {
    const hint = name === "participantId" ? " Give it to the constructor or assign it." : "";
    throw new RecorderError("invalid-option", `${name} is missing.${hint}`);
  }
  const max = RECORDER_DEFAULTS.wordCodePointsMax;
  if (typeof value !== "string" || Array.from(value).length > max) {
    throw new RecorderError("invalid-option", `${name} must be a text of 1 to ${max} characters.`);
  }
  return value;
}

function checkedCount(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RecorderError(
    "invalid-option",
    `${name} must be a whole number above 0, not ${value}.`,
  );
}

/** Absolute and with a slash at its end, so that a path prefix of the server is kept. */
function resolvedServerUrl(serverUrl: string | URL | undefined): string {
  const page: Location | undefined = globalThis.location;
  const text = String(serverUrl ?? "/");
  if (!URL.canParse(text, page?.href)) {
    throw new RecorderError("invalid-option", `serverUrl is no URL: ${JSON.stringify(text)}.`);
  }
  const url = new URL(text, page?.href);
  url.search = "";
  url.hash = "";
  return url.href.endsWith("/") ? url.href : `${url.href}/`;
}
