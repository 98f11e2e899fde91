import type { Mark } from "../../../src/contract/marks.ts";
import { splitBlob } from "./blob-split.ts";
import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock, RecorderStall, SegmentReason } from "../recorder.d.ts";
import { MarkList } from "./mark-list.ts";
import { MarkWatch } from "./mark-watch.ts";
import { picturesOf } from "./picture-source.ts";
import { ANSWER_MS, StallWatch } from "./stall-watch.ts";

/** What a segment's recorder is made of. */
export interface SegmentRecorderParts {
  readonly mediaRecorder: MediaRecorder;
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
  /** It was told to stop since it stalled, and does not even do that: go on without it. */
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
  readonly #watch: StallWatch;
  readonly #marks = new MarkList();
  readonly #markWatch: MarkWatch;
  #next: SegmentReason | null = null;
  #cancelHung: () => void = () => undefined;
  #nextSequence = 0;
  #error: Event | null = null;
  #hasEnded = false;
  #hasEndMark = false;
  /** When the slice that is being recorded began; null while paused with nothing in it. */
  #beganAtMs: number | null = null;
  #pausedAtMs: number | null = null;
  /** Length of the pauses within the slice. */
  #pausedMs = 0;

  constructor(parts: SegmentRecorderParts) {
    this.#parts = parts;
    const { mediaRecorder, timesliceMs, clock, stallsInRow } = parts;
    const isMp4 = /^(?:video|audio)\/mp4/.test(mediaRecorder.mimeType);
    this.#watch = new StallWatch({ clock, timesliceMs, isMp4, stallsInRow });
    this.#markWatch = new MarkWatch({ stream: mediaRecorder.stream, page: document, clock });
  }

  /** Starts. Throws the browser's own DOMException when it cannot record the stream. */
  start(): void {
    const { mediaRecorder, reason, timesliceMs, clock } = this.#parts;
    this.#markWatch.events.on("mark", (mark) => this.#marks.add(mark));
    this.#watch.events.on("silent", ({ silentMs }) => {
      this.events.emit("stall", { silentMs, action: "asked" });
      if (mediaRecorder.state === "recording") mediaRecorder.requestData();
    });
    this.#watch.events.on("stalled", ({ silentMs }) => this.#onStalled(silentMs));
    mediaRecorder.addEventListener("start", () => {
      this.events.emit("started", { mimeType: mediaRecorder.mimeType });
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
    this.#marks.add({ type: "began", atMs, reason, pictures: picturesOf(mediaRecorder.stream) });
    this.#watch.start();
    this.#markWatch.start();
  }

  /** Pauses; what the slice holds is handed on first, since a paused recorder keeps it back. */
  pause(): void {
    const { mediaRecorder, clock } = this.#parts;
    if (mediaRecorder.state !== "recording") return;
    this.#markWatch.look();
    mediaRecorder.requestData();
    mediaRecorder.pause();
    const atMs = clock.nowMs();
    this.#watch.stop();
    this.#pausedAtMs = atMs;
    this.#marks.add({ type: "paused", atMs });
  }

  /** Goes on after a pause. */
  resume(): void {
    const { mediaRecorder, clock } = this.#parts;
    if (mediaRecorder.state !== "paused") return;
    mediaRecorder.resume();
    const nowMs = clock.nowMs();
    this.#marks.add({ type: "resumed", atMs: nowMs });
    this.#watch.start();
    if (this.#beganAtMs === null) this.#beganAtMs = nowMs;
    else this.#pausedMs += nowMs - (this.#pausedAtMs ?? nowMs);
    this.#pausedAtMs = null;
  }

  /**
   * Asks the run to end; `ended` follows the last chunk. No effect when it has ended.
   *
   * @param next why another segment shall follow this one
   */
  stop(next: SegmentReason | null = null): void {
    const { mediaRecorder } = this.#parts;
    this.#watch.stop();
    this.#next ??= next;
    if (mediaRecorder.state === "inactive") return;
    this.#markWatch.look();
    mediaRecorder.stop();
    this.#endMarks();
  }

  /** The run is over: by the browser's last event, or since a hung recorder is given up. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#watch.stop();
    this.#markWatch.stop();
    this.#cancelHung();
    this.events.emit("ended", {
      chunkCount: this.#nextSequence,
      next: this.#next,
      error: this.#error,
    });
  }

  #onStalled(silentMs: number): void {
    const { mediaRecorder, clock } = this.#parts;
    if (mediaRecorder.stream.getTracks().every(({ muted }) => muted)) {
      this.events.emit("stall", { silentMs, action: "waiting" });
      return;
    }
    this.events.emit("stall", { silentMs, action: "restarting" });
    this.#cancelHung = clock.after(ANSWER_MS, () => this.events.emit("hung", null));
    this.stop("stalled");
  }

  #onData(blob: Blob): void {
    // After a forced end its segment's total is told.
    if (this.#hasEnded) return;
    // An empty one is what a recorder that has nothing answers to `requestData`.
    if (blob.size > 0) this.#watch.dataCame();
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
    const nowMs = this.#parts.clock.nowMs();
    const endMs = this.#pausedAtMs ?? nowMs;
    const beganAtMs = this.#beganAtMs ?? endMs;
    const durationMs = Math.max(0, endMs - beganAtMs - this.#pausedMs);
    this.#beganAtMs = this.#pausedAtMs === null ? nowMs : null;
    this.#pausedMs = 0;
    return { beganAtMs, durationMs };
  }
}
