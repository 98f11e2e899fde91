import type { RecorderClock } from "../recorder.d.ts";
import { elapsedMs } from "./elapsed-time.ts";
import { picturesOf } from "./picture-source.ts";
import { refreshPicture } from "./track-probe.ts";

/** A picture rests when data is so much later than the timeslice: Chromium's slices are 10 % long. */
const LATE_MS = 500;

/** How often the time without data is looked at. */
const LOOK_MS = 500;

/** What is kept going. */
export interface RestingPicturesParts {
  /** What the recorder records. */
  readonly stream: MediaStream;
  readonly timesliceMs: number;
  readonly clock: RecorderClock;
}

/**
 * Keeps a recorder going whose pictures come only when something changes: Chromium's holds the sound
 * back until the next picture, so that a crash would take all of it.
 */
export class RestingPictures {
  readonly #track: MediaStreamTrack | undefined;
  readonly #quietMsMax: number;
  readonly #clock: RecorderClock;
  #dataAtMs = 0;
  #cancelTimer: () => void = () => undefined;

  constructor({ stream, timesliceMs, clock }: RestingPicturesParts) {
    this.#track = picturesOf(stream) === "on-change" ? stream.getVideoTracks()[0] : undefined;
    this.#quietMsMax = timesliceMs + LATE_MS;
    this.#clock = clock;
  }

  /** Begins: at the recorder's start, and when it goes on after a pause. */
  start(): void {
    this.stop();
    this.dataCame();
    if (this.#track !== undefined) this.#look(this.#track);
  }

  /** The recorder gave data. */
  dataCame(): void {
    this.#dataAtMs = elapsedMs(this.#clock);
  }

  /** Ends it: while paused, and at the end. */
  stop(): void {
    this.#cancelTimer();
  }

  #look(track: MediaStreamTrack): void {
    this.#cancelTimer = this.#clock.after(LOOK_MS, () => {
      if (elapsedMs(this.#clock) - this.#dataAtMs > this.#quietMsMax) refreshPicture(track);
      this.#look(track);
    });
  }
}
