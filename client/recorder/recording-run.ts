import type { SegmentAddress } from "./chunk-spool.ts";
import type { ChunkUploader } from "./chunk-uploader.ts";
import { candidateMimeTypes, chooseMimeType } from "./codec-choice.ts";
import { EventEmitter } from "./event-emitter.ts";
import { ProgressMeter } from "./progress-meter.ts";
import { RecorderError } from "./recorder-error.ts";
import type {
  RecorderClock,
  RecorderProgress,
  SegmentChange,
  SegmentReason,
  UploadRetry,
} from "./recorder.d.ts";
import { SegmentRecorder, type SegmentEnd } from "./segment-recorder.ts";
import type { ServerClock } from "./server-clock.ts";

/** A run of the browser's recorder that ends by itself before this is short. */
const SHORT_RUN_MS = 1_000;

/** Short runs in a row after which no new one is tried: something is broken for good. */
const SHORT_RUNS_MAX = 10;

/** How a run records. */
export interface RecordingSettings {
  readonly timesliceMs: number;
  readonly videoBitsPerSecond: number;
  readonly audioBitsPerSecond: number;
  /** Instead of the run's own choice. */
  readonly mimeTypes: readonly string[] | undefined;
  readonly chunkBytesMax: number;
}

/** What a run is made of. The run starts and stops the uploader's and the server clock's work. */
export interface RecordingRunParts {
  readonly stream: MediaStream;
  readonly address: Omit<SegmentAddress, "segmentId">;
  readonly settings: RecordingSettings;
  readonly uploader: ChunkUploader;
  readonly serverClock: ServerClock;
  readonly clock: RecorderClock;
  readonly newSegmentId: () => string;
}

/** What a run tells. */
export interface RecordingRunEvents {
  readonly progress: RecorderProgress;
  readonly segment: SegmentChange;
  readonly retry: UploadRetry;
  readonly error: RecorderError;
  /** The recording ends, by request, with its tracks, or by a failure; `outcome` will tell. */
  readonly stopping: null;
}

/**
 * One recording of one track from start to stop: a segment after another, as the stream's tracks
 * change, and their upload.
 */
export class RecordingRun {
  readonly #parts: RecordingRunParts;
  readonly events = new EventEmitter<RecordingRunEvents>();
  readonly #meter = new ProgressMeter();
  readonly #recordingEnded: Promise<void>;
  #endRecording: () => void = () => undefined;
  #outcome: Promise<RecorderError | null> = Promise.resolve(null);
  #segment: SegmentRecorder | null = null;
  #isPaused = false;
  #isStopping = false;
  #shortRuns = 0;
  #error: RecorderError | null = null;

  constructor(parts: RecordingRunParts) {
    this.#parts = parts;
    this.#recordingEnded = new Promise((resolve) => {
      this.#endRecording = resolve;
    });
  }

  get progress(): RecorderProgress {
    return this.#meter.read();
  }

  /**
   * Starts to record before it returns, and resolves when the browser's recorder says that it runs.
   * Throws `RecorderError` (`not-supported`) when the browser cannot record the stream.
   */
  start(): Promise<void> {
    const { uploader, serverClock } = this.#parts;
    if (!this.#hasLiveTrack()) {
      throw new RecorderError("not-supported", "The stream has no live track.");
    }
    uploader.events.on("acknowledged", (chunks) => {
      this.#meter.acknowledged(chunks);
      this.events.emit("progress", this.progress);
    });
    uploader.events.on("ended", (segment) =>
      this.events.emit("segment", { type: "ended", ...segment }),
    );
    uploader.events.on("retry", (retry) => this.events.emit("retry", retry));
    uploader.events.on("refused", (error) => this.#report(error));
    uploader.events.on("failed", (error) => {
      this.#report(error);
      this.stop();
    });
    const started = this.#startSegment("start");
    serverClock.start();
    return started;
  }

  pause(): void {
    this.#isPaused = true;
    this.#segment?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#segment?.resume();
  }

  /** Ends the recording; `outcome` tells when its upload is done. No effect when it has ended. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#outcome = this.#finish();
    this.#segment?.stop();
    if (this.#segment === null) this.#endRecording();
    this.events.emit("stopping", null);
  }

  /**
   * After `stop`: resolves when nothing is left that can be delivered, with null when everything is
   * acknowledged and each segment ended, else with the first final error.
   */
  get outcome(): Promise<RecorderError | null> {
    return this.#outcome;
  }

  /** Gives the upload up: `outcome` is an error `stopped`, and what is not there yet is kept. */
  async abandon(cause: unknown): Promise<void> {
    this.stop();
    const message = "The upload was given up before everything was acknowledged.";
    await this.#parts.uploader.stop(new RecorderError("stopped", message, { cause }));
  }

  async #finish(): Promise<RecorderError | null> {
    const { uploader, serverClock } = this.#parts;
    await this.#recordingEnded;
    const undelivered = await uploader.finish();
    await serverClock.stop();
    return this.#error ?? undelivered;
  }

  #startSegment(reason: SegmentReason): Promise<void> {
    const { address, uploader, settings, clock, newSegmentId } = this.#parts;
    const segmentId = newSegmentId();
    const segment = new SegmentRecorder({
      mediaRecorder: this.#newMediaRecorder(),
      timesliceMs: settings.timesliceMs,
      chunkBytesMax: settings.chunkBytesMax,
      clock,
    });
    const startedAtMs = clock.nowMs();
    segment.events.on("chunk", (chunk) => {
      const spooled = { ...address, segmentId, ...chunk };
      uploader.add(spooled);
      this.#meter.recorded(spooled);
      this.events.emit("progress", this.progress);
    });
    // A run that ends at once may never have told its start.
    const startedOrEnded = new Promise<void>((resolve) => {
      segment.events.on("started", ({ mimeType }) => {
        this.events.emit("segment", { type: "started", segmentId, mimeType, reason });
        resolve();
      });
      segment.events.on("ended", (end) => {
        uploader.endSegment(segmentId, end.chunkCount);
        const isShort = clock.nowMs() - startedAtMs < SHORT_RUN_MS;
        this.#shortRuns = isShort ? this.#shortRuns + 1 : 0;
        this.#onSegmentEnded(end);
        resolve();
      });
    });
    try {
      segment.start();
    } catch (cause) {
      const message = "This browser cannot record this stream.";
      throw new RecorderError("not-supported", message, { cause });
    }
    this.#segment = segment;
    if (this.#isPaused) segment.pause();
    return startedOrEnded;
  }

  /** The browser's recorder also ends by itself: by a change of the tracks, or with the last one. */
  #onSegmentEnded({ error }: SegmentEnd): void {
    this.#segment = null;
    if (this.#isStopping || !this.#hasLiveTrack()) {
      this.stop();
      this.#endRecording();
      return;
    }
    if (this.#shortRuns >= SHORT_RUNS_MAX) {
      this.#failRecording("The browser's recorder fails again and again.", error);
      return;
    }
    try {
      void this.#startSegment(isTrackChange(error) ? "tracks-changed" : "recorder-error");
    } catch (cause) {
      this.#failRecording("The browser's recorder ended and could not be started again.", cause);
    }
  }

  /** Ends the recording with an error; what was recorded is uploaded all the same. */
  #failRecording(message: string, cause: unknown): void {
    this.#report(new RecorderError("recorder-failed", message, { cause }));
    this.stop();
    this.#endRecording();
  }

  #report(error: RecorderError): void {
    this.#error ??= error;
    this.events.emit("error", error);
  }

  #hasLiveTrack(): boolean {
    return this.#parts.stream.getTracks().some(({ readyState }) => readyState === "live");
  }

  #newMediaRecorder(): MediaRecorder {
    const { stream, settings } = this.#parts;
    if (typeof MediaRecorder === "undefined") {
      throw new RecorderError("not-supported", "This browser has no MediaRecorder.");
    }
    const kinds = {
      hasVideo: stream.getVideoTracks().length > 0,
      hasAudio: stream.getAudioTracks().length > 0,
    };
    const candidates = settings.mimeTypes ?? candidateMimeTypes(kinds);
    const mimeType = chooseMimeType(candidates, (type) => MediaRecorder.isTypeSupported(type));
    if (mimeType === undefined) {
      const message = `This browser records none of ${candidates.join(", ")}.`;
      throw new RecorderError("not-supported", message);
    }
    const { videoBitsPerSecond, audioBitsPerSecond } = settings;
    try {
      return new MediaRecorder(stream, { mimeType, videoBitsPerSecond, audioBitsPerSecond });
    } catch (cause) {
      throw new RecorderError("not-supported", "This browser cannot record this stream.", {
        cause,
      });
    }
  }
}

function isTrackChange(error: Event | null): boolean {
  // The event carries the exception (MediaStream Recording, 2.8); without one no error was told,
  // which leaves a change of the tracks as well.
  const exception = error !== null && "error" in error ? error.error : null;
  return exception instanceof DOMException ? exception.name === "InvalidModificationError" : true;
}
