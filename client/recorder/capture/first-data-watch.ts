import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { elapsedMs } from "./elapsed-time.ts";
import { FIRST_MP4_MS } from "./stall-watch.ts";

/**
 * A run that has given no byte by then records nothing: Chromium gives the first within 0.1 s, within
 * 0.8 s on a busy computer, and a second recorder has been tried after the first stall.
 */
export const FIRST_DATA_MS_MAX = 10_000;

/** The same for MP4, of which Chromium gives nothing before its second keyframe, or later. */
export const FIRST_MP4_DATA_MS_MAX = FIRST_MP4_MS + 5_000;

/** A run without a byte that recorded for no longer may simply have been stopped early. */
export const EMPTY_RUN_MS_MAX = 1_000;

/** How often the watch looks. */
const LOOK_MS = 500;

/** A look that comes later shows that the page stood still: its data may wait behind the look. */
const LOOK_MS_MAX = 1_000;

/** What a watch is made of. */
export interface FirstDataWatchParts {
  readonly clock: RecorderClock;
  /** Whether nothing can be expected at the moment: while paused, or muted by the system. */
  readonly isHeld: () => boolean;
  readonly isMp4: () => boolean;
}

/** What a watch reports, once. */
export interface FirstDataWatchEvents {
  readonly missing: { readonly recordedMs: number };
}

/** Notices a run of which not a single byte comes. */
export class FirstDataWatch {
  readonly #parts: FirstDataWatchParts;
  readonly events = new EventEmitter<FirstDataWatchEvents>();
  #recordedMs = 0;
  #lookedAtMs = 0;
  #hasData = false;
  #cancelTimer: () => void = () => undefined;

  constructor(parts: FirstDataWatchParts) {
    this.#parts = parts;
  }

  /** Whether the run recorded for so long that it had to give something, and gave nothing. */
  get isEmpty(): boolean {
    return !this.#hasData && this.#recordedMs + this.#sinceLookMs() > EMPTY_RUN_MS_MAX;
  }

  /** Begins to watch: at the run's start. */
  start(): void {
    this.#lookedAtMs = elapsedMs(this.#parts.clock);
    this.#wait();
  }

  /** The first data came. */
  dataCame(): void {
    this.#hasData = true;
    this.#cancelTimer();
  }

  /** The run is being stopped: what has not come by its end is missing. */
  stop(): void {
    this.#recordedMs += this.#sinceLookMs();
    this.#lookedAtMs = Infinity;
    this.#cancelTimer();
  }

  #wait(): void {
    const { clock, isMp4 } = this.#parts;
    this.#cancelTimer = clock.after(LOOK_MS, () => {
      this.#recordedMs += this.#sinceLookMs();
      this.#lookedAtMs = elapsedMs(clock);
      const patienceMs = isMp4() ? FIRST_MP4_DATA_MS_MAX : FIRST_DATA_MS_MAX;
      if (this.#recordedMs < patienceMs) this.#wait();
      else this.events.emit("missing", { recordedMs: this.#recordedMs });
    });
  }

  #sinceLookMs(): number {
    const { clock, isHeld } = this.#parts;
    if (isHeld()) return 0;
    return Math.min(LOOK_MS_MAX, Math.max(0, elapsedMs(clock) - this.#lookedAtMs));
  }
}
