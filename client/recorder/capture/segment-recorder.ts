import type { Mark, StreamKind } from "../../../src/contract/marks.ts";
import { splitBlob } from "./blob-split.ts";
import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock, RecorderStall, SegmentReason } from "../recorder.d.ts";
import { elapsedMs } from "./elapsed-time.ts";
import { LoneKindWatch } from "./lone-kind-watch.ts";
import { MarkList } from "./mark-list.ts";
import { MarkWatch } from "./mark-watch.ts";
import { hasFixedSize, PictureSizeWatch } from "./picture-size-watch.ts";
import { picturesOf } from "./picture-source.ts";
import { RestingPictures } from "./resting-pictures.ts";
import { ANSWER_MS, StallWatch } from "./stall-watch.ts";

/**
 * A recorder of picture and sound that has given nothing by then may be waiting for one of them.
 * Chromium gives the first within 0.1 s, within 0.8 s on a busy computer, and of MP4 much later; what
 * it held back before the other one began is lost but for two seconds.
 */
const FIRST_DATA_MS = 1_000;

/** A recorder that was told to stop and still has not ended by then never will. */
export const STOP_MS_MAX = 10_000;

/** What a segment's recorder is made of. */
export interface SegmentRecorderParts {
  readonly mediaRecorder: MediaRecorder;
  /** The app's stream, of which the recorder may take a part. */
  readonly stream: MediaStream;
  /** What the stream has, and the recorder does not take, since it gives nothing. */
  readonly absent: StreamKind | null;
  readonly reason: SegmentReason;
  readonly timesliceMs: number;
  /** At this moment: a larger blob is split into several chunks. */
  readonly chunkBytesMax: () => number;
  readonly clock: RecorderClock;
  /** See `StallWatch`. */
  readonly stallsInRow: number;
}

/** One numbered slice of a segment. */
interface RecordedChunk {
  /** From 0, without a gap. */
  readonly sequence: number;
  readonly payload: Blob;
  /** The recorder's type, read when the chunk came; can be empty. */
  readonly mimeType: string;
  /** When its recording began, on this computer's clock, in milliseconds since the epoch. */
  readonly beganAtMs: number;
  /** Recorded time in it, without pauses. */
  readonly durationMs: number;
  /** What happened in it, on this computer's clock. */
  readonly marks: readonly Mark[];
}

/** How a segment ended. */
export interface SegmentEnd {
  readonly chunkCount: number;
  /** What `stop` was told. */
  readonly next: SegmentReason | null;
  /**
   * What the browser's recorder reported; null when it stopped by request or since all tracks ended.
   */
  readonly error: Event | null;
}

/** What a segment's recorder tells: `started` at most once, then chunks, then `ended` once. */
export interface SegmentRecorderEvents {
  readonly started: { readonly mimeType: string };
  readonly chunk: RecordedChunk;
  readonly stall: Omit<RecorderStall, "segmentId">;
  /** It gives nothing since this kind of its tracks gives nothing: go on with the other one. */
  readonly lone: { readonly silent: StreamKind; readonly silentMs: number };
  /** It was told to stop, and does not even do that: go on without it. */
  readonly hung: null;
  readonly ended: SegmentEnd;
}

/**
 * Turns one run of a MediaRecorder into numbered chunks. A chunk is numbered and handed on within
 * the `dataavailable` event itself: nothing that awaits can come between, so none is lost or
 * overtaken when the run ends.
 */
export class SegmentRecorder {
  readonly #parts: SegmentRecorderParts;
  readonly events = new EventEmitter<SegmentRecorderEvents>();
  readonly #isMp4: boolean;
  readonly #watch: StallWatch;
  readonly #marks = new MarkList();
  readonly #markWatch: MarkWatch;
  readonly #loneWatch: LoneKindWatch;
  readonly #resting: RestingPictures;
  readonly #sizeWatch: PictureSizeWatch;
  #hasStarted = false;
  #isStopping = false;
  #hasData = false;
  /** Blobs with data since the recorder was asked for its data: the first one is the answer. */
  #answers = 0;
  /** When data came last, or the recorder was started or resumed. */
  #dataAtMs = 0;
  #cancelFirstData: () => void = () => undefined;
  #next: SegmentReason | null = null;
  #cancelHung: () => void = () => undefined;
  #nextSequence = 0;
  #error: Event | null = null;
  #hasEnded = false;
  #hasEndMark = false;
  /** When the slice that is being recorded began; null while paused with nothing in it. */
  #beganAtMs: number | null = null;
  /** The same on the clock that nobody sets. */
  #beganMs = 0;
  #pausedAtMs: number | null = null;
  #pausedSinceMs = 0;
  /** Length of the pauses within the slice. */
  #pausedMs = 0;

  constructor(parts: SegmentRecorderParts) {
    this.#parts = parts;
    const { mediaRecorder, timesliceMs, clock, stallsInRow } = parts;
    this.#isMp4 = /^(?:video|audio)\/mp4/.test(mediaRecorder.mimeType);
    this.#watch = new StallWatch({ clock, timesliceMs, isMp4: this.#isMp4, stallsInRow });
    this.#markWatch = new MarkWatch({ stream: parts.stream, page: document, clock });
    this.#loneWatch = new LoneKindWatch(mediaRecorder.stream, clock);
    this.#resting = new RestingPictures({ stream: mediaRecorder.stream, timesliceMs, clock });
    this.#sizeWatch = new PictureSizeWatch(mediaRecorder.stream.getVideoTracks()[0], clock);
  }

  /** Of MP4 browsers give nothing for many seconds. */
  get isMp4(): boolean {
    return this.#isMp4;
  }

  /** Starts. Throws the browser's own DOMException when it cannot record the stream. */
  start(): void {
    const { mediaRecorder, stream, absent, reason, timesliceMs, clock } = this.#parts;
    const { stream: recorded } = mediaRecorder;
    this.#markWatch.events.on("mark", (mark) => this.#marks.add(mark));
    this.#watch.events.on("silent", ({ silentMs }) => {
      this.#answers = 0;
      this.#loneWatch.start();
      // Of a recorder that has given nothing yet there is no rest to ask for: Chromium would answer
      // that it has started, with an empty blob.
      if (mediaRecorder.state !== "recording" || !(this.#hasData || this.#isMp4)) return;
      this.events.emit("stall", { silentMs, action: "asked", silent: kindsOf(recorded) });
      mediaRecorder.requestData();
    });
    this.#loneWatch.events.on("lone", ({ silent }) => this.#onLone(silent));
    this.#watch.events.on("stalled", ({ silentMs }) => this.#onStalled(silentMs));
    this.#sizeWatch.events.on("resized", () => {
      if (mediaRecorder.state !== "recording" || !hasFixedSize(mediaRecorder.mimeType)) return;
      this.stop("picture-resized");
    });
    mediaRecorder.addEventListener("start", () => {
      // One that gave nothing and is stopped says in Chromium that it has started, and then ends.
      if (!this.#isStopping) this.#onStarted();
    });
    mediaRecorder.addEventListener("dataavailable", (event) => this.#onData(event.data));
    mediaRecorder.addEventListener("error", (event) => {
      this.#error ??= event;
      // The specification has the browser stop by itself; one that does not is told to.
      this.stop();
    });
    // "stop" is the last event of a run, after its last data (MediaStream Recording, 2.3).
    mediaRecorder.addEventListener("stop", () => this.end());
    mediaRecorder.start(timesliceMs);
    // Chromium's media time begins here, within a frame's time; its `start` event comes 30 to 300 ms
    // later, with the first encoded data.
    const atMs = clock.nowMs();
    this.#beganAtMs = atMs;
    this.#beganMs = elapsedMs(clock);
    const pictures = picturesOf(stream);
    this.#marks.add({ type: "began", atMs, reason, pictures });
    const isResting = absent === "video" && pictures === "on-change";
    if (absent !== null && !isResting) this.#marks.add({ type: "stalled", atMs, stream: absent });
    this.#expectData();
    this.#markWatch.start();
    if (this.#isMp4) this.#sizeWatch.start();
  }

  /** Pauses; what the slice holds is handed on first, since a paused recorder keeps it back. */
  pause(): void {
    const { mediaRecorder, clock } = this.#parts;
    if (mediaRecorder.state !== "recording") return;
    this.#markWatch.look();
    mediaRecorder.requestData();
    mediaRecorder.pause();
    const atMs = clock.nowMs();
    this.#expectNothing();
    this.#pausedAtMs = atMs;
    this.#pausedSinceMs = elapsedMs(clock);
    this.#marks.add({ type: "paused", atMs });
  }

  /** Goes on after a pause. */
  resume(): void {
    const { mediaRecorder, clock } = this.#parts;
    if (mediaRecorder.state !== "paused") return;
    mediaRecorder.resume();
    const nowMs = clock.nowMs();
    this.#marks.add({ type: "resumed", atMs: nowMs });
    this.#expectData();
    if (this.#beganAtMs === null) {
      this.#beganAtMs = nowMs;
      this.#beganMs = elapsedMs(clock);
    } else {
      this.#pausedMs += elapsedMs(clock) - this.#pausedSinceMs;
    }
    this.#pausedAtMs = null;
  }

  /**
   * Asks the run to end; `ended` follows the last chunk. No effect when it has ended.
   *
   * @param next why another segment shall follow this one
   */
  stop(next: SegmentReason | null = null): void {
    const { mediaRecorder, clock } = this.#parts;
    if (this.#hasEnded) return;
    this.#isStopping = true;
    this.#sizeWatch.stop();
    this.#expectNothing();
    this.#next ??= next;
    this.#cancelHung();
    const hungAfterMs = next === "stalled" ? ANSWER_MS : STOP_MS_MAX;
    this.#cancelHung = clock.after(hungAfterMs, () => this.events.emit("hung", null));
    if (mediaRecorder.state === "inactive") return;
    this.#markWatch.look();
    mediaRecorder.stop();
    this.#endMarks();
  }

  /** The run is over: by the browser's last event, or since a hung recorder is given up. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#sizeWatch.stop();
    this.#expectNothing();
    this.#markWatch.stop();
    this.#cancelHung();
    this.events.emit("ended", {
      chunkCount: this.#nextSequence,
      next: this.#next,
      error: this.#error,
    });
  }

  /** From the start on, and after a pause. */
  #expectData(): void {
    const { clock } = this.#parts;
    this.#dataAtMs = elapsedMs(clock);
    this.#watch.start();
    this.#resting.start();
    if (this.#hasData) return;
    this.#cancelFirstData();
    this.#cancelFirstData = clock.after(FIRST_DATA_MS, () => this.#loneWatch.start());
  }

  #expectNothing(): void {
    this.#watch.stop();
    this.#resting.stop();
    this.#loneWatch.stop();
    this.#cancelFirstData();
  }

  /** Once: some browsers do not say that they have started before they give data. */
  #onStarted(): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.events.emit("started", { mimeType: this.#parts.mediaRecorder.mimeType });
  }

  #onLone(silent: StreamKind): void {
    const { mediaRecorder, clock } = this.#parts;
    // It recorded both all the same: it has given more than the rest that it was asked for.
    const isGiving = this.#hasData && this.#answers > 1;
    if (isGiving || mediaRecorder.state !== "recording") return;
    this.events.emit("lone", { silent, silentMs: elapsedMs(clock) - this.#dataAtMs });
  }

  #onStalled(silentMs: number): void {
    const { mediaRecorder, stream } = this.#parts;
    const silent = kindsOf(mediaRecorder.stream);
    // The app's: a mix of muted tracks is not muted itself.
    const tracks = stream.getTracks().filter(({ kind }) => silent.some((each) => each === kind));
    if (tracks.every(({ muted }) => muted)) {
      this.events.emit("stall", { silentMs, action: "waiting", silent });
      return;
    }
    this.events.emit("stall", { silentMs, action: "restarting", silent });
    this.stop("stalled");
  }

  #onData(blob: Blob): void {
    // After a forced end its segment's total is told.
    if (this.#hasEnded) return;
    // An empty one is what a recorder that has nothing answers to `requestData`.
    if (blob.size > 0) this.#onBytes();
    // Chunk 0 must carry the container's header, so a blob without a byte cannot be it; leaving it
    // out loses nothing. Later empty ones are kept: they show that nothing between is missing.
    if (this.#nextSequence === 0 && blob.size === 0) return;
    const { mediaRecorder, chunkBytesMax } = this.#parts;
    const marks = this.#marksOfSlice();
    const { beganAtMs, durationMs } = this.#endSlice();
    let bytesBefore = 0;
    const pieces = splitBlob(blob, chunkBytesMax());
    for (const [i, payload] of pieces.entries()) {
      // The pieces of a split blob share its time in proportion to their bytes.
      const share = blob.size === 0 ? 1 : payload.size / blob.size;
      const offsetMs = blob.size === 0 ? 0 : (bytesBefore / blob.size) * durationMs;
      bytesBefore += payload.size;
      const sequence = this.#nextSequence;
      this.#nextSequence += 1;
      this.events.emit("chunk", {
        sequence,
        payload,
        mimeType: mediaRecorder.mimeType || blob.type,
        beganAtMs: beganAtMs + offsetMs,
        durationMs: durationMs * share,
        marks: marks.filter(({ type }) => (type === "ended" ? i === pieces.length - 1 : i === 0)),
      });
    }
  }

  #onBytes(): void {
    this.#hasData = true;
    this.#cancelFirstData();
    this.#onStarted();
    this.#watch.dataCame();
    this.#resting.dataCame();
    this.#answers += 1;
    // The answer to a question may be the rest of what came before the silence.
    if (this.#answers > 1) this.#dataAtMs = elapsedMs(this.#parts.clock);
  }

  /** While it is paused a slice ends with the pause, and what came later belongs to the next one. */
  #marksOfSlice(): readonly Mark[] {
    if (this.#parts.mediaRecorder.state === "inactive") this.#endMarks();
    if (this.#hasEndMark) return this.#marks.take(Infinity);
    this.#markWatch.look();
    return this.#marks.take(this.#pausedAtMs ?? Infinity);
  }

  /** The run was stopped, by request or by the browser: the next chunk can be the last one. */
  #endMarks(): void {
    if (this.#hasEndMark) return;
    this.#hasEndMark = true;
    this.#markWatch.stop();
    this.#marks.add({ type: "ended", atMs: this.#parts.clock.nowMs() });
  }

  #endSlice(): { beganAtMs: number; durationMs: number } {
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const isPaused = this.#pausedAtMs !== null;
    const endMs = isPaused ? this.#pausedSinceMs : elapsedMs(clock);
    const durationMs =
      this.#beganAtMs === null ? 0 : Math.max(0, endMs - this.#beganMs - this.#pausedMs);
    const beganAtMs = this.#beganAtMs ?? this.#pausedAtMs ?? nowMs;
    this.#beganAtMs = isPaused ? null : nowMs;
    this.#beganMs = elapsedMs(clock);
    this.#pausedMs = 0;
    return { beganAtMs, durationMs };
  }
}

function kindsOf(stream: MediaStream): readonly StreamKind[] {
  const kinds = new Set(stream.getTracks().map(({ kind }) => kind));
  return (["video", "audio"] as const).filter((kind) => kinds.has(kind));
}
