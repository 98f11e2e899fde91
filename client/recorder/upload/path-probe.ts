import type { RecorderClock } from "../recorder.d.ts";

/** Longest time between two probes. */
export const PROBE_INTERVAL_MS_MAX = 1_500;

/** Between the first two; then twice as long each time. */
const FIRST_INTERVAL_MS = 250;

/** A probe that waited longer for its answer shows that the path was down meanwhile. */
export const PROBE_SLOW_MS = 1_000;

/**
 * Most probes that wait for an answer at once. A browser keeps up to six connections to a server, and each
 * of them may be a dead one that it tries first.
 */
const PROBES_MAX = 4;

/** What a probe is made of. */
export interface PathProbeParts {
  readonly clock: RecorderClock;
  /** Resolves to whether the server gave any answer at all; never rejects. */
  readonly reach: (signal: AbortSignal) => Promise<boolean>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** The path was down and is there again. */
  readonly onBack: () => void;
}

/**
 * Looks whether there is a path to the server, with requests that are much cheaper than uploads and
 * therefore can be made every second, until one is answered.
 */
export class PathProbe {
  readonly #parts: PathProbeParts;
  /** With when each was sent, the oldest first. */
  readonly #underWay = new Map<AbortController, number>();
  #cancelTimer: () => void = () => undefined;
  #isRunning = false;
  #wasDown = false;
  #intervalMs = FIRST_INTERVAL_MS;

  constructor(parts: PathProbeParts) {
    this.#parts = parts;
  }

  /** Begins; no effect while it runs. It ends by itself with the first answer. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#wasDown = false;
    this.#intervalMs = FIRST_INTERVAL_MS;
    this.#probe();
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancelTimer();
    for (const controller of this.#underWay.keys()) controller.abort();
    this.#underWay.clear();
  }

  #probe(): void {
    const { clock, random } = this.#parts;
    // The oldest waits on a connection that is dead most likely.
    if (this.#underWay.size >= PROBES_MAX) {
      for (const oldest of this.#underWay.keys()) {
        oldest.abort();
        this.#underWay.delete(oldest);
        this.#wasDown = true;
        break;
      }
    }
    const controller = new AbortController();
    this.#underWay.set(controller, clock.nowMs());
    void this.#await(controller);
    // With jitter, so that the clients of a server that is away do not all come at once.
    const delayMs = this.#intervalMs * (0.5 + random() / 2);
    this.#intervalMs = Math.min(PROBE_INTERVAL_MS_MAX, this.#intervalMs * 2);
    this.#cancelTimer = clock.after(delayMs, () => this.#probe());
  }

  async #await(controller: AbortController): Promise<void> {
    const { clock, reach, onBack } = this.#parts;
    const isThere = await reach(controller.signal);
    // Older ones may still wait on a connection that is dead.
    const [oldestMs = clock.nowMs()] = this.#underWay.values();
    this.#underWay.delete(controller);
    if (!this.#isRunning || controller.signal.aborted) return;
    if (!isThere) {
      this.#wasDown = true;
      return;
    }
    const wasDown = this.#wasDown || clock.nowMs() - oldestMs > PROBE_SLOW_MS;
    this.stop();
    if (wasDown) onBack();
  }
}
