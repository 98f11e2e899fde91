import type { RecorderClock } from "../recorder.d.ts";

/** A signal that fires with another one, or when the time is over. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #cancelTimer: () => void;
  readonly #outer: AbortSignal;
  readonly #abort = (): void => this.#controller.abort();

  constructor(clock: RecorderClock, timeoutMs: number, outer: AbortSignal) {
    this.#outer = outer;
    this.#cancelTimer = clock.after(timeoutMs, this.#abort);
    if (outer.aborted) this.#abort();
    else outer.addEventListener("abort", this.#abort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  clear(): void {
    this.#cancelTimer();
    this.#outer.removeEventListener("abort", this.#abort);
  }
}
