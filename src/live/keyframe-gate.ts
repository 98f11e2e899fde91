import type { PassedBlock } from "../finalize/passing-blocks.ts";
import type { LiveMedia } from "./live-media.ts";

/** No call is so long: a time beyond it is damage, and no number that a container can hold. */
const AT_MS_MAX = 1_000 * 24 * 3_600_000;

/** Lets pass what is shown: pictures only from a keyframe on, also after a gap. */
export class KeyframeGate {
  readonly #media: LiveMedia;
  #waitsForKey = true;

  constructor(media: LiveMedia) {
    this.#media = media;
  }

  /** Bytes of the stream are missing here. */
  gap(): void {
    this.#waitsForKey = true;
  }

  /** Whether this block is to be shown; told of every block, in their order. */
  lets({ track, isKey, atMs }: PassedBlock): boolean {
    const { video, audio } = this.#media.tracks;
    if (!(atMs <= AT_MS_MAX)) return false;
    if (track.number === audio?.number) return true;
    if (track.number !== video?.number) return false;
    this.#waitsForKey &&= !isKey;
    return !this.#waitsForKey;
  }
}
