import type { RecorderError } from "../recorder-error.ts";
import type { RecorderClock } from "../recorder.d.ts";
import type { SoundMix } from "./sound-mix.ts";

/**
 * A mix of sound that does not run by then waits for a click. It runs within 0.05 s, and this is over
 * before a recorder counts as stalled.
 */
export const MIX_START_MS_MAX = 3_000;

/** The start of a run: over when the browser's recorder runs, and the mix of sound that it records. */
export class RunStart {
  readonly outcome: Promise<void>;
  #resolve: () => void = () => undefined;
  #reject: (error: RecorderError) => void = () => undefined;
  #isOver = false;
  #hasSegment = false;
  #mix: SoundMix | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor() {
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Whether it is not decided yet. */
  get isUnderWay(): boolean {
    return !this.#isOver;
  }

  /** Whether the sound is a mix that has given nothing yet: a recorder may wait for it. */
  get waitsForMix(): boolean {
    return !this.#isOver && this.#mix?.hasRun === false;
  }

  /**
   * The sound is this mix. Some browsers record silence, and say that they record, of one that does not
   * run: then the start is not over.
   *
   * @param onMissing it does not run
   */
  expectMix(mix: SoundMix, clock: RecorderClock, onMissing: (error: RecorderError) => void): void {
    this.#mix = mix;
    this.#cancelTimer = clock.after(MIX_START_MS_MAX, () => {
      if (this.waitsForMix) onMissing(mix.notRunning());
    });
    mix.events.on("running", () => {
      if (this.#hasSegment) this.end();
    });
  }

  /** The browser's recorder runs. */
  segmentStarted(): void {
    this.#hasSegment = true;
    if (!this.waitsForMix) this.end();
  }

  /** The run records, or is stopped. */
  end(): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#resolve();
  }

  /** The run has failed: whoever waits for its start gets this. */
  fail(error: RecorderError): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#reject(error);
  }
}
