import type { Clock, TrackKey } from "./ports.ts";

/** Waits for news of one track. Dispose it when no more are wanted. */
export interface TrackBell extends Disposable {
  /**
   * Resolves at the next ring, at once when it rang since the last call, and in any case after
   * `timeoutMs` or when the signal aborts. One call at a time. Never rejects.
   */
  rung(timeoutMs: number, signal: AbortSignal): Promise<void>;
}

/** Tells whoever follows a track that something of it has become durable. */
export class TrackBells {
  readonly #clock: Clock;
  readonly #listening = new Map<string, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something of this track has become durable. */
  ring(key: TrackKey): void {
    for (const wake of this.#listening.get(nameOf(key)) ?? []) wake();
  }

  /** Hears every ring from now on, so that what is read afterwards misses nothing. */
  listen(key: TrackKey): TrackBell {
    const name = nameOf(key);
    let hasRung = false;
    let waiting: (() => void) | undefined;
    const wake = (): void => {
      hasRung = true;
      waiting?.();
    };
    const listening = this.#listening.get(name) ?? new Set();
    this.#listening.set(name, listening.add(wake));
    return {
      rung: async (timeoutMs, signal) => {
        if (!hasRung && !signal.aborted) {
          const { promise, resolve } = Promise.withResolvers<void>();
          waiting = resolve;
          const cancelTimer = this.#clock.after(timeoutMs, resolve);
          signal.addEventListener("abort", wake);
          await promise;
          signal.removeEventListener("abort", wake);
          cancelTimer();
          waiting = undefined;
        }
        hasRung = false;
      },
      [Symbol.dispose]: () => {
        listening.delete(wake);
        // It can be disposed twice, and others may have begun to listen meanwhile.
        const isCurrent = this.#listening.get(name) === listening;
        if (listening.size === 0 && isCurrent) this.#listening.delete(name);
      },
    };
  }
}

function nameOf({ recordingId, participantId, trackId }: TrackKey): string {
  return JSON.stringify([recordingId, participantId, trackId]);
}
