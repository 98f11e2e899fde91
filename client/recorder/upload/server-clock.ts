import type { RecorderClock } from "../recorder.d.ts";

/** Round trips of one measurement; the first one pays for the connection. */
export const ROUND_TRIPS = 5;

/** Time from one measurement to the next: a quartz clock drifts by some 10 ms in this time. */
export const MEASURE_INTERVAL_MS = 300_000;

/** Time to the next measurement when none succeeded yet. */
export const MEASURE_AGAIN_MS = 10_000;

/** What the server clock is made of. */
export interface ServerClockParts {
  readonly clock: RecorderClock;
  /** The server's time in milliseconds since the epoch, after one round trip; rejects without one. */
  readonly fetchServerTimeMs: (signal: AbortSignal) => Promise<number>;
}

/**
 * Estimates the server's clock, again and again while it runs. Of each measurement's round trips the
 * shortest counts: its error is at most half of its duration.
 */
export class ServerClock {
  readonly #parts: ServerClockParts;
  readonly #stopped = new AbortController();
  #offsetMs: number | null = null;
  #cancelTimer: () => void = () => undefined;
  #measuring: Promise<void> = Promise.resolve();

  constructor(parts: ServerClockParts) {
    this.#parts = parts;
  }

  /** Begins to measure and returns at once; nothing has to wait for it. */
  start(): void {
    this.#measuring = this.#measure();
  }

  /** Ends the measurements, waits for the one under way. The estimate stays. */
  async stop(): Promise<void> {
    this.#cancelTimer();
    this.#stopped.abort();
    await this.#measuring;
  }

  /**
   * What the server's clock is ahead of this computer's, in milliseconds; null before the first
   * measurement.
   */
  get offsetMs(): number | null {
    return this.#offsetMs;
  }

  async #measure(): Promise<void> {
    let shortestMs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < ROUND_TRIPS && !this.#stopped.signal.aborted; i += 1) {
      const sample = await this.#roundTrip();
      if (sample === null) break;
      if (sample.durationMs < shortestMs) {
        shortestMs = sample.durationMs;
        // Already the first one is better than none: a chunk may be waiting to be stamped.
        this.#offsetMs = sample.offsetMs;
      }
    }
    if (this.#stopped.signal.aborted) return;
    const delayMs = this.#offsetMs === null ? MEASURE_AGAIN_MS : MEASURE_INTERVAL_MS;
    this.#cancelTimer = this.#parts.clock.after(delayMs, () => this.start());
  }

  /** Null when it failed: the uploads, which meet the same network, report that. */
  async #roundTrip(): Promise<{ durationMs: number; offsetMs: number } | null> {
    const { clock, fetchServerTimeMs } = this.#parts;
    const sentMs = clock.nowMs();
    try {
      const serverMs = await fetchServerTimeMs(this.#stopped.signal);
      const receivedMs = clock.nowMs();
      const durationMs = receivedMs - sentMs;
      // The system's clock was set back meanwhile.
      if (durationMs < 0) return null;
      return { durationMs, offsetMs: serverMs - (sentMs + receivedMs) / 2 };
    } catch {
      return null;
    }
  }
}
