import type { StreamKind } from "../../../src/contract/marks.ts";
import { EventEmitter } from "../event-emitter.ts";
import { RecorderError } from "../recorder-error.ts";
import type {
  RecorderClock,
  RecorderEvents,
  RecorderProgress,
  SegmentReason,
  UploadRetry,
} from "../recorder.d.ts";
import type { RunUpload } from "../service/run-upload.ts";
import type { SegmentAddress } from "../spool/chunk-spool.ts";
import { AbsentKind } from "./absent-kind.ts";
import { withoutSound } from "./codec-choice.ts";
import { elapsedMs } from "./elapsed-time.ts";
import { FirstDataWatch } from "./first-data-watch.ts";
import { expectRecordable, hasLiveTrack } from "./live-tracks.ts";
import { newMediaRecorder, type MediaSettings } from "./new-media-recorder.ts";
import { ProgressMeter } from "./progress-meter.ts";
import { hasRemoteSound, RemoteSound } from "./remote-sound.ts";
import { RunStart } from "./run-start.ts";
import { SegmentRecorder, type SegmentEnd } from "./segment-recorder.ts";
import { SoundMixes } from "./sound-mixes.ts";
import { ANSWER_MS } from "./stall-watch.ts";

/** A run of the browser's recorder that ends by itself before this is short. */
const SHORT_RUN_MS = 1_000;

/** Short runs in a row after which no new one is tried: something is broken for good. */
const SHORT_RUNS_MAX = 10;

/** A segment that recorded for so long before it stalled shows that a new one helps. */
const STALLED_SOON_MS = 60_000;

/** What was left out and gave again must do so for longer before the next return, up to this. */
const RETURN_MS_MAX = 60_000;

/** How a run records. */
export interface RecordingSettings extends MediaSettings {
  readonly timesliceMs: number;
  readonly chunkBytesMax: number;
}

/** What a run is made of. */
export interface RecordingRunParts {
  readonly stream: MediaStream;
  readonly address: Omit<SegmentAddress, "segmentId">;
  readonly settings: RecordingSettings;
  readonly upload: RunUpload;
  readonly clock: RecorderClock;
  readonly newSegmentId: () => string;
}

/** What a run tells. */
export interface RecordingRunEvents extends Omit<RecorderEvents, "statechange"> {
  /** The recording ends, by request, with its tracks, or by a failure; `outcome` will tell. */
  readonly stopping: null;
}

/**
 * One recording of one track from start to stop: a segment after another, as the stream or its
 * tracks change, and their upload.
 */
export class RecordingRun {
  readonly #parts: RecordingRunParts;
  readonly events = new EventEmitter<RecordingRunEvents>();
  readonly #meter = new ProgressMeter();
  readonly #recordingEnded: Promise<void>;
  #endRecording: () => void = () => undefined;
  #outcome: Promise<RecorderError | null> = Promise.resolve(null);
  #stream: MediaStream;
  /** What the stream gives nothing of, so that the segment is without it. */
  #absent: AbsentKind | null = null;
  readonly #remoteSound = new RemoteSound();
  readonly #mixes: SoundMixes;
  readonly #firstData: FirstDataWatch;
  readonly #start = new RunStart();
  #segment: SegmentRecorder | null = null;
  /** Of the newest segment. */
  #segmentId = "";
  /**
   * Another one goes on in their place, since they were told to stop, or do not even that. What they
   * still give is taken until the run ends.
   */
  readonly #former = new Set<SegmentRecorder>();
  #onFormerEnded: () => void = () => undefined;
  #videoBitsPerSecond: number;
  /** What the path to the server takes. A numbered chunk cannot be split any more. */
  #pieceBytesMax = Infinity;
  #lastRetry: UploadRetry | null = null;
  #isPaused = false;
  /** Why a segment is to be begun when the pause ends: one that begins paused may stay empty. */
  #dueReason: SegmentReason | null = null;
  #isStopping = false;
  #shortRuns = 0;
  #stallsInRow = 0;
  #error: RecorderError | null = null;

  constructor(parts: RecordingRunParts) {
    this.#parts = parts;
    this.#stream = parts.stream;
    this.#videoBitsPerSecond = parts.settings.videoBitsPerSecond;
    this.#recordingEnded = new Promise((resolve) => {
      this.#endRecording = resolve;
    });
    this.#mixes = new SoundMixes(parts.clock);
    this.#mixes.events.on("followed", ({ stream }) => {
      if (hasRemoteSound(stream)) this.#remoteSound.play(stream);
    });
    this.#mixes.events.on("changed", ({ stream }) => {
      const isDue = stream === this.#stream && !this.#isPaused && !this.#isStopping;
      if (isDue && hasLiveTrack(stream)) this.#tryChangeOver("tracks-changed", null);
    });
    this.#firstData = new FirstDataWatch({
      clock: parts.clock,
      isHeld: () => this.#isPaused || this.#stream.getTracks().every(({ muted }) => muted),
      isMp4: () => this.#segment?.isMp4 === true,
    });
  }

  get progress(): RecorderProgress {
    return this.#meter.read();
  }

  /**
   * Starts to record before it returns, and resolves when the browser's recorder says that it runs, or
   * the run is stopped before. Throws `RecorderError` (`not-supported`) when the browser cannot record
   * the stream, and rejects with one (`recorder-failed`) when its recorder gives nothing: then the run
   * has failed.
   */
  start(): Promise<void> {
    expectRecordable(this.#stream);
    const { events } = this.#parts.upload;
    events.on("kept", (kept) => {
      if (kept.keptIn === "disk") this.#meter.durable(kept);
      this.events.emit("progress", this.progress);
    });
    events.on("acknowledged", (chunks) => {
      this.#meter.acknowledged(chunks);
      this.events.emit("progress", this.progress);
    });
    events.on("ended", (segment) => this.events.emit("segment", { type: "ended", ...segment }));
    events.on("retry", (retry) => {
      this.#lastRetry = retry;
      this.events.emit("retry", retry);
    });
    events.on("pieces", ({ bytesMax }) => {
      this.#pieceBytesMax = bytesMax;
    });
    events.on("storage", (change) => this.events.emit("storage", change));
    events.on("reduce", () => this.#reduceBitRate());
    events.on("full", () => {
      const message =
        "This browser can keep no more of what the server has not taken yet. What was recorded until now is kept and uploaded.";
      this.#report(new RecorderError("spool-full", message));
      this.stop();
    });
    events.on("refused", ({ error }) => this.#report(error));
    events.on("failed", (error) => {
      this.#report(error);
      this.stop();
    });
    this.#firstData.events.on("missing", ({ recordedMs }) => {
      const seconds = Math.round(recordedMs / 1_000);
      this.#fail(
        this.#nothingRecorded(`the browser's recorder gave no data for ${seconds} seconds`),
      );
    });
    try {
      this.#startSegment("start");
    } catch (cause) {
      this.#mixes.keepOnly(null);
      throw cause;
    }
    const mix = this.#mixes.of(this.#stream);
    if (mix !== undefined) {
      this.#start.expectMix(mix, this.#parts.clock, (error) => this.#fail(error));
    }
    this.#firstData.start();
    return this.#start.outcome;
  }

  pause(): void {
    this.#isPaused = true;
    this.#segment?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    const reason = this.#dueReason;
    this.#dueReason = null;
    if (reason !== null) return this.#goOn(reason, null);
    this.#segment?.resume();
    if (this.#absent?.hasReturned === true) this.#bringBack(this.#absent);
  }

  /**
   * Goes on with another stream in a segment of its own, at once or after the pause. Throws
   * `RecorderError` (`not-supported`) when the browser cannot record it; then nothing has changed.
   */
  replaceStream(stream: MediaStream): void {
    if (this.#isStopping) return;
    expectRecordable(stream);
    if (!this.#isPaused) return this.#changeOver("stream-replaced", stream, null);
    // For what it throws; what a browser refuses only at the start ends the recording then.
    this.#newMediaRecorder(stream, false);
    const former = this.#segment;
    this.#segment = null;
    this.#dueReason = "stream-replaced";
    this.#remoteSound.stop();
    this.#take(stream, null);
    this.#dismiss(former);
    this.#mixes.keepOnly(stream);
  }

  /** Ends the recording; `outcome` tells when its upload is done. No effect when it has ended. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#firstData.stop();
    this.#absent?.stop();
    this.#outcome = this.#finish();
    this.#segment?.stop();
    if (this.#segment === null) this.#endRecording();
    this.events.emit("stopping", null);
    this.#start.end();
  }

  /**
   * After `stop`: resolves when nothing is left that can be delivered, with null when everything is
   * acknowledged and each segment ended, else with the first final error.
   */
  get outcome(): Promise<RecorderError | null> {
    return this.#outcome;
  }

  /** Gives the upload up: `outcome` is an error `stopped`, and what is not there yet is kept. */
  abandon(): void {
    this.stop();
    const message = "The upload was given up before everything was acknowledged.";
    // Then it can be the set-up that is wrong, and not the network.
    const isUnheard = this.progress.acknowledged.chunks === 0 && this.#lastRetry !== null;
    this.#parts.upload.abandon(isUnheard ? `${message} ${this.#lastRetry?.reason}` : message);
  }

  async #finish(): Promise<RecorderError | null> {
    await this.#recordingEnded;
    await this.#formerEnded();
    for (const segment of this.#former) segment.end();
    this.#remoteSound.stop();
    this.#mixes.keepOnly(null);
    if (this.#firstData.isEmpty && this.#error === null) {
      this.#report(this.#nothingRecorded("the browser's recorder gave no data"));
    }
    const undelivered = await this.#parts.upload.finish();
    return this.#error ?? undelivered;
  }

  /** Resolves when all have given the rest of theirs; those that hang are not waited for long. */
  #formerEnded(): Promise<void> {
    return new Promise((resolve) => {
      const cancelTimer = this.#parts.clock.after(ANSWER_MS, resolve);
      this.#onFormerEnded = () => {
        if (this.#former.size > 0) return;
        cancelTimer();
        resolve();
      };
      this.#onFormerEnded();
    });
  }

  /** @param isPart whether the app's stream has more than this one, which is to be left out */
  #newMediaRecorder(stream: MediaStream, isPart: boolean): MediaRecorder {
    const { settings } = this.#parts;
    const videoBitsPerSecond = this.#videoBitsPerSecond;
    const given = settings.mimeTypes;
    // What an app chose for picture and sound says nothing of sound alone.
    const ofPart = stream.getVideoTracks().length > 0 ? given?.map(withoutSound) : undefined;
    const mimeTypes = isPart ? ofPart : given;
    return newMediaRecorder(stream, { ...settings, videoBitsPerSecond, mimeTypes });
  }

  /** Goes on with this in place of what there is: first the new one, so that a failure changes nothing. */
  #changeOver(reason: SegmentReason, stream: MediaStream, absent: AbsentKind | null): void {
    const former = this.#segment;
    try {
      // Within one task no frame comes between: the gap is about one frame's time.
      this.#startSegment(reason, stream, absent);
      this.#take(stream, absent);
      this.#dismiss(former);
    } finally {
      this.#mixes.keepOnly(this.#stream);
    }
  }

  #take(stream: MediaStream, absent: AbsentKind | null): void {
    this.#stream = stream;
    this.#absent?.stop();
    this.#absent = absent;
    absent?.events.on("returned", () => {
      if (!this.#isPaused) this.#bringBack(absent);
    });
    absent?.events.on("changed", () => {
      if (!this.#isPaused) this.#tryChangeOver("tracks-changed", null);
    });
    absent?.start();
  }

  /** What it still gives is taken. */
  #dismiss(former: SegmentRecorder | null): void {
    if (former === null) return;
    this.#former.add(former);
    former.stop();
  }

  #startSegment(reason: SegmentReason, stream = this.#stream, absent = this.#absent): void {
    const { address, upload, settings, clock, newSegmentId } = this.#parts;
    const segmentId = newSegmentId();
    const recorded = absent?.rest ?? this.#mixes.recordedOf(stream);
    const segment = new SegmentRecorder({
      mediaRecorder: this.#newMediaRecorder(recorded, absent !== null),
      stream,
      absent: absent?.kind ?? null,
      reason,
      timesliceMs: settings.timesliceMs,
      chunkBytesMax: () => Math.min(settings.chunkBytesMax, this.#pieceBytesMax),
      clock,
      stallsInRow: this.#stallsInRow,
    });
    const startedMs = elapsedMs(clock);
    segment.events.on("chunk", (chunk) => {
      upload.add({ ...address, segmentId, ...chunk });
      const { sequence, payload, durationMs } = chunk;
      if (payload.size > 0) this.#firstData.dataCame();
      this.#meter.recorded({ segmentId, sequence, bytes: payload.size, durationMs });
      this.events.emit("progress", this.progress);
    });
    const countStall = (silentMs: number): void => {
      const isSoon = elapsedMs(clock) - startedMs - silentMs < STALLED_SOON_MS;
      this.#stallsInRow = isSoon ? this.#stallsInRow + 1 : 0;
    };
    segment.events.on("stall", (stall) => {
      if (stall.action === "restarting") countStall(stall.silentMs);
      this.events.emit("stall", { segmentId, ...stall });
    });
    segment.events.on("lone", ({ silent, silentMs }) => {
      if (this.#segment !== segment || this.#isStopping) return;
      // Its sound is waited for: the start fails without it.
      if (this.#start.waitsForMix) return;
      countStall(silentMs);
      if (!this.#leaveOut(silent)) return;
      this.events.emit("stall", { segmentId, silentMs, action: "leaving-out", silent: [silent] });
    });
    segment.events.on("hung", () => this.#goOnWithout(segment));
    segment.events.on("started", ({ mimeType }) => {
      this.events.emit("segment", { type: "started", segmentId, mimeType, reason });
      this.#start.segmentStarted();
    });
    segment.events.on("ended", (end) => {
      upload.endSegment(segmentId, end.chunkCount);
      if (this.#former.delete(segment)) return this.#onFormerEnded();
      const isShort = end.next === null && elapsedMs(clock) - startedMs < SHORT_RUN_MS;
      this.#shortRuns = isShort ? this.#shortRuns + 1 : 0;
      this.#onSegmentEnded(end);
    });
    try {
      segment.start();
    } catch (cause) {
      const message = "This browser cannot record this stream.";
      throw new RecorderError("not-supported", message, { cause });
    }
    this.#segment = segment;
    this.#segmentId = segmentId;
    if (hasRemoteSound(stream)) this.#remoteSound.play(stream);
    else if (stream !== this.#stream) this.#remoteSound.stop();
  }

  /** Goes on with what lives; false when the browser cannot. */
  #leaveOut(silent: StreamKind): boolean {
    const { clock } = this.#parts;
    if (silent === "audio") this.#remoteSound.play(this.#stream);
    // The first time it comes back as soon as it gives something.
    const returns = this.#stallsInRow - 1;
    const patienceMs = returns <= 0 ? 0 : Math.min(RETURN_MS_MAX, 1_000 * 2 ** returns);
    // The mix of several tracks is what is silent.
    const stream = this.#mixes.recordedOf(this.#stream);
    const absent = new AbsentKind({ stream, kind: silent, clock, patienceMs });
    return this.#tryChangeOver("stalled", absent);
  }

  /** Goes on with all tracks: the one that was left out gives again. */
  #bringBack(absent: AbsentKind): void {
    const { kind, absentMs: silentMs } = absent;
    const segmentId = this.#segmentId;
    if (!this.#tryChangeOver("unstalled", null)) return;
    this.events.emit("stall", { segmentId, silentMs, action: "returned", silent: [kind] });
  }

  #tryChangeOver(reason: SegmentReason, absent: AbsentKind | null): boolean {
    try {
      this.#changeOver(reason, this.#stream, absent);
      return true;
    } catch (cause) {
      if (!(cause instanceof RecorderError)) throw cause;
      // Then it goes on with what it has; the next stall tries again.
      return false;
    }
  }

  /** The browser's recorder also ends by itself: by a change of the tracks, or with the last one. */
  #onSegmentEnded({ error, next }: SegmentEnd): void {
    this.#segment = null;
    this.#goOn(next ?? (isTrackChange(error) ? "tracks-changed" : "recorder-error"), error);
  }

  #goOn(reason: SegmentReason, error: Event | null): void {
    if (this.#isPaused && !this.#isStopping) {
      // Also when all tracks have ended: another stream may be on its way.
      this.#dueReason = reason;
    } else if (this.#isStopping || !hasLiveTrack(this.#stream)) {
      this.stop();
      this.#endRecording();
    } else if (this.#shortRuns >= SHORT_RUNS_MAX) {
      this.#failRecording("The browser's recorder fails again and again.", error);
    } else {
      if (this.#absent !== null && !hasLiveTrack(this.#absent.rest)) this.#take(this.#stream, null);
      try {
        this.#startSegment(reason);
      } catch (cause) {
        this.#failRecording("The browser's recorder ended and could not be started again.", cause);
      }
    }
  }

  #goOnWithout(segment: SegmentRecorder): void {
    // In place of a former one another already goes on, and the end of the run gives it up.
    if (this.#segment !== segment) return;
    if (this.#isStopping) {
      const message =
        "The browser's recorder did not end when it was stopped: the last seconds may be missing.";
      this.#report(new RecorderError("recorder-failed", message));
      return segment.end();
    }
    this.#former.add(segment);
    this.#onSegmentEnded({ chunkCount: 0, next: "stalled", error: null });
  }

  #reduceBitRate(): void {
    this.#videoBitsPerSecond = Math.ceil(this.#videoBitsPerSecond / 2);
    // Without a picture there is nothing to save. A paused recorder would begin with an empty chunk.
    const isWorthIt = this.#stream.getVideoTracks().length > 0 && !this.#isPaused;
    if (isWorthIt && !this.#isStopping) this.#segment?.stop("storage-critical");
  }

  /** Ends the recording, of which no segment runs, with an error. */
  #failRecording(message: string, cause: unknown): void {
    this.#fail(new RecorderError("recorder-failed", message, { cause }));
    this.#endRecording();
  }

  /** Ends the recording with an error; what was recorded is uploaded all the same. */
  #fail(error: RecorderError): void {
    if (this.#start.isUnderWay) {
      // Whoever waits for the start gets it, and no event beside that.
      this.#error ??= error;
      this.#start.fail(error);
    } else {
      this.#report(error);
    }
    this.stop();
  }

  #nothingRecorded(why: string): RecorderError {
    const hint = hasRemoteSound(this.#stream)
      ? " Chromium gives the sound of a remote WebRTC stream only while an element plays it: play the stream in a muted <video>."
      : " Check that the stream's tracks give anything: a suspended AudioContext and a canvas on which nothing is drawn do not.";
    return new RecorderError("recorder-failed", `Nothing was recorded: ${why}.${hint}`);
  }

  #report(error: RecorderError): void {
    this.#error ??= error;
    this.events.emit("error", error);
  }
}

function isTrackChange(error: Event | null): boolean {
  // The event carries the exception (MediaStream Recording, 2.8); without one no error was told,
  // which leaves a change of the tracks as well.
  const exception = error !== null && "error" in error ? error.error : null;
  return exception instanceof DOMException ? exception.name === "InvalidModificationError" : true;
}
