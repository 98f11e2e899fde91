import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { elapsedMs } from "./elapsed-time.ts";

/** Timeslices without data that are a stall. */
const SILENT_TIMESLICES = 5;

/** No shorter silence is a stall. */
export const SILENT_MS_MIN = 5_000;

/** Chromium gives nothing of an MP4 before its second keyframe, five seconds on, or later. */
export const FIRST_MP4_MS = 15_000;

/** How often the watch looks. */
export const LOOK_MS = 1_000;

/** A look that comes later than this shows that the page itself stood still. */
const LATE_MS = 1_500;

/** What a recorder that was asked for its data has to give some. */
export const ANSWER_MS = 2_000;

/** Longest silence that is waited for, after segment upon segment stalled. */
const SILENT_MS_MAX = 300_000;

/** What a watch is made of. */
export interface StallWatchParts {
  readonly clock: RecorderClock;
  readonly timesliceMs: number;
  readonly isMp4: boolean;
  /**
   * Segments before this one, in a row, that stalled soon. Each doubles the silence that is waited
   * for: a shared screen on which nothing moves gives nothing, and new segments do not help.
   */
  readonly stallsInRow: number;
}

/** What a watch tells, with how long nothing came. */
export interface StallWatchEvents {
  /** Nothing comes: ask the recorder for its data. */
  readonly silent: { readonly silentMs: number };
  /** It gave nothing even then. */
  readonly stalled: { readonly silentMs: number };
}

/**
 * Notices that a recorder gives nothing though it should. A page that stood still itself, or whose
 * timers are throttled, is not taken for a stall: a look that comes late grants another period.
 */
export class StallWatch {
  readonly #parts: StallWatchParts;
  readonly events = new EventEmitter<StallWatchEvents>();
  readonly #silentMs: number;
  #silentSinceMs = 0;
  /** From when on the silence is too long. */
  #dueMs = 0;
  #isFirst = true;
  #isAsked = false;
  #cancelTimer: () => void = () => undefined;

  constructor(parts: StallWatchParts) {
    this.#parts = parts;
    const silentMs = Math.max(SILENT_MS_MIN, SILENT_TIMESLICES * parts.timesliceMs);
    this.#silentMs = Math.min(SILENT_MS_MAX, silentMs * 2 ** parts.stallsInRow);
  }

  /** Begins to watch: at the recorder's start, and when it goes on after a pause. */
  start(): void {
    this.stop();
    this.#expect();
    this.#look();
  }

  /** Ends it: while paused, and at the end. */
  stop(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => undefined;
  }

  /** The recorder gave data. */
  dataCame(): void {
    this.#isFirst = false;
    this.#expect();
  }

  #expect(): void {
    const { clock, isMp4 } = this.#parts;
    this.#isAsked = false;
    this.#silentSinceMs = elapsedMs(clock);
    const patienceMs =
      this.#isFirst && isMp4 ? Math.max(FIRST_MP4_MS, this.#silentMs) : this.#silentMs;
    this.#dueMs = this.#silentSinceMs + patienceMs;
  }

  #look(): void {
    const { clock } = this.#parts;
    const expectedMs = elapsedMs(clock) + LOOK_MS;
    this.#cancelTimer = clock.after(LOOK_MS, () => {
      const nowMs = elapsedMs(clock);
      if (nowMs - expectedMs > LATE_MS) {
        this.#dueMs = nowMs + (this.#isAsked ? ANSWER_MS : this.#silentMs);
      }
      this.#look();
      if (nowMs < this.#dueMs) return;
      const silentMs = nowMs - this.#silentSinceMs;
      if (this.#isAsked) {
        this.#expect();
        this.events.emit("stalled", { silentMs });
      } else {
        this.#isAsked = true;
        this.#dueMs = nowMs + ANSWER_MS;
        this.events.emit("silent", { silentMs });
      }
    });
  }
}
