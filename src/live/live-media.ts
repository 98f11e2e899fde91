import type { PassedBlock } from "../finalize/passing-blocks.ts";
import type { MatroskaTrack } from "../finalize/matroska-tracks.ts";

/** A picture and a sound; each of them can be missing. */
export interface LiveTracks {
  readonly video: MatroskaTrack | undefined;
  readonly audio: MatroskaTrack | undefined;
}

/** Writes what passes in a form that Media Source Extensions take. Nothing is encoded anew. */
export interface LiveMedia {
  /** With the codecs, as `addSourceBuffer` takes it. */
  readonly contentType: string;
  /** What is shown: a sound that does not go with the picture is left out. */
  readonly tracks: LiveTracks;
  /** What everything begins with. */
  header(): Uint8Array;
  /** Blocks of the shown tracks, in their order; at least one. They can be played at once. */
  fragment(blocks: readonly PassedBlock[]): Uint8Array;
}
