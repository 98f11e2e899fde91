import type { RecorderClock } from "../recorder.d.ts";
import { picturesOf } from "./picture-source.ts";
import { refreshPicture } from "./track-probe.ts";

/** A picture that rests is asked for again after so long without data. */
export const REFRESH_MS = 1_000;

/**
 * Keeps a recorder going whose pictures come only when something changes: Chromium's holds the sound
 * back until the next picture, so that a crash would take all of it.
 */
export class RestingPictures {
  readonly #track: MediaStreamTrack | undefined;
  readonly #clock: RecorderClock;
  #hasData = false;
  #cancelTimer: () => void = () => undefined;

  constructor(stream: MediaStream, clock: RecorderClock) {
    this.#track = picturesOf(stream) === "on-change" ? stream.getVideoTracks()[0] : undefined;
    this.#clock = clock;
  }

  /** Begins: at the recorder's start, and when it goes on after a pause. */
  start(): void {
    this.stop();
    const track = this.#track;
    if (track === undefined) return;
    this.#cancelTimer = this.#clock.after(REFRESH_MS, () => {
      if (!this.#hasData) refreshPicture(track);
      this.#hasData = false;
      this.start();
    });
  }

  /** The recorder gave data. */
  dataCame(): void {
    this.#hasData = true;
  }

  /** Ends it: while paused, and at the end. */
  stop(): void {
    this.#cancelTimer();
  }
}
