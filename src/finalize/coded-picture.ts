import { av1Picture, av1SequenceIsIn } from "./av1-picture.ts";
import { h264Picture, hevcPicture, nalLengthBytesOf } from "./h26x-picture.ts";
import type { MatroskaTrack } from "./matroska-tracks.ts";
import { vp8Picture } from "./vp8-picture.ts";
import { vp9Picture } from "./vp9-picture.ts";

/** What a packet's own header says of its picture, whatever its container claims. */
export interface CodedPicture {
  /** Whether a decoder can begin here; undefined when only the container tells. */
  readonly isKey: boolean | undefined;
  /** Whether it is shown; others only serve to decode later ones. */
  readonly isVisible: boolean;
  /** Of a keyframe of VP8 or VP9, in pixels. */
  readonly size?: PictureSize | undefined;
}

/** In pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Reads the header of a packet from `from` to `to`, exclusive; undefined when it tells nothing. */
export type PictureReader = (
  bytes: Uint8Array,
  from: number,
  to: number,
) => CodedPicture | undefined;

/** How packets of a track say what they are; undefined when only the container tells. */
export function pictureReaderOf(track: MatroskaTrack): PictureReader | undefined {
  if (track.kind !== "video" || track.encoded) return undefined;
  const parameters = Uint8Array.fromHex(track.codecPrivate);
  switch (track.codecId) {
    case "V_VP8":
      return vp8Picture;
    case "V_VP9":
      return vp9Picture;
    case "V_AV1": {
      const isTold = av1SequenceIsIn(parameters, AV1_CONFIGURATION_HEAD_BYTES, parameters.length);
      return (bytes, from, to) => av1Picture(bytes, from, to, isTold);
    }
    case "V_MPEG4/ISO/AVC": {
      const lengthBytes = nalLengthBytesOf(parameters, 4);
      return (bytes, from, to) => h264Picture(bytes, from, to, lengthBytes);
    }
    case "V_MPEGH/ISO/HEVC": {
      const lengthBytes = nalLengthBytesOf(parameters, 21);
      return (bytes, from, to) => hevcPicture(bytes, from, to, lengthBytes);
    }
    default:
      return undefined;
  }
}

/** `av1C` before its OBUs (AV1-ISOBMFF, 2.3.3). */
const AV1_CONFIGURATION_HEAD_BYTES = 4;
