import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { elapsedMs } from "./elapsed-time.ts";

/** How often the size is looked at: it changes without an event. */
const LOOK_MS = 100;

/** No segment is shorter for a change: a window that is dragged larger changes with each picture. */
export const RESIZE_MS_MIN = 1_000;

/** Codecs whose MP4 carries what a decoder needs beside each keyframe, so that sizes may change. */
const IN_STREAM_CODECS = /\b(?:avc3|hev1|vp0?8|vp0?9|av01)\b/;

/**
 * Whether pictures of another size cannot be decoded in a recording of this type: in MP4 Chromium
 * takes H.264's parameter sets out of the stream, and writes those of its begin into the header. A
 * type that names no codec can be such a one.
 *
 * @param mimeType the recorder's, read when it runs
 */
export function hasFixedSize(mimeType: string): boolean {
  return mimeType.startsWith("video/mp4") && !IN_STREAM_CODECS.test(mimeType);
}

/** What a watch reports. */
export interface PictureSizeWatchEvents {
  /** The pictures have another size than at the start; again at each look. */
  readonly resized: null;
}

/** Notices that a track gives pictures of another size than when its recorder was started. */
export class PictureSizeWatch {
  readonly #track: MediaStreamTrack | undefined;
  readonly #clock: RecorderClock;
  readonly events = new EventEmitter<PictureSizeWatchEvents>();
  #startedMs = 0;
  #size = "";
  #cancelLook: () => void = () => undefined;

  constructor(track: MediaStreamTrack | undefined, clock: RecorderClock) {
    this.#track = track;
    this.#clock = clock;
  }

  /** Begins: with the recorder. */
  start(): void {
    if (this.#track === undefined) return;
    this.#startedMs = elapsedMs(this.#clock);
    this.#size = sizeOf(this.#track);
    this.#look(this.#track);
  }

  /** Ends it; nothing is reported from then on. */
  stop(): void {
    this.#cancelLook();
  }

  #look(track: MediaStreamTrack): void {
    this.#cancelLook = this.#clock.after(LOOK_MS, () => {
      this.#look(track);
      const size = sizeOf(track);
      // A canvas has none before its first picture.
      if (this.#size === "") this.#size = size;
      const isDue = elapsedMs(this.#clock) - this.#startedMs >= RESIZE_MS_MIN;
      if (isDue && size !== "" && size !== this.#size) this.events.emit("resized", null);
    });
  }
}

/** Empty while the browser does not tell. */
function sizeOf(track: MediaStreamTrack): string {
  const { width, height } = track.getSettings();
  return width === undefined || height === undefined ? "" : `${width}x${height}`;
}
