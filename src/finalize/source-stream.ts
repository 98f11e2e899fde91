import type { MatroskaTrack } from "./matroska-tracks.ts";
import { aacConfig } from "./aac-config.ts";
import { opusChannels } from "./opus-channels.ts";
import { OPUS_SAMPLES_PER_MS } from "./opus-packet.ts";
import type { PictureDisplay } from "./picture-display.ts";
import { aacSilence } from "./silence.ts";

/** Codecs that the plan knows, by ffmpeg's names. */
export type StreamCodec =
  | "h264"
  | "hevc"
  | "vp8"
  | "vp9"
  | "av1"
  | "opus"
  | "aac"
  | "mp3"
  | "flac"
  | "vorbis"
  | "pcm";

/** One elementary stream of a segment, as its container describes it. */
export interface SourceStream extends PictureDisplay {
  readonly kind: "video" | "audio";
  /** Undefined for a codec that is not known here. */
  readonly codec: StreamCodec | undefined;
  /** As the container calls the codec. */
  readonly codecName: string;
  /** Decoder parameters; segments that differ in them cannot be joined by copying. */
  readonly parameters: string;
  /** Of pictures as they are stored, in pixels. */
  readonly width: number | null;
  readonly height: number | null;
  /** How much of the sound's beginning a decoder may leave out, since it only warms up on it. */
  readonly preSkipMs: number;
  /** Of pictures: the first ones are not shown, and only serve to decode later ones. */
  readonly hidesPictures?: boolean;
  /** Which of its kind it is in the container, from 0; the first one without. */
  readonly position?: number;
  /** Of sound, as its decoder's parameters say; undefined when it is not known. */
  readonly channels?: number | undefined;
  /** Of sound: no silent packets are known that fit between its own. */
  readonly hasNoSilence?: boolean;
  /**
   * Of Opus whose packets do not say themselves how many channels they have: how its header says it,
   * in hexadecimal. Segments that differ in it cannot be joined by copying.
   */
  readonly mapping?: string;
  /**
   * H.264 or H.265 whose units stand behind start codes of 3 or 4 bytes (Annex B): in MP4 each has its
   * length in front, so that the bytes of a copy are others.
   */
  readonly isAnnexB?: boolean;
  /** What its container has for a decoder to begin with, in hexadecimal; undefined when that is not known. */
  readonly configuration?: string;
}

/** What a stream holds, counted without ffmpeg. */
export interface StreamCount {
  readonly packets: number;
  /** Packets that give a picture of their own when they are decoded. */
  readonly visiblePackets: number;
  /** Sum of all packets; undefined when it is not known. */
  readonly bytes: number | undefined;
  /** When it begins to be seen or heard; undefined when there is no packet. */
  readonly firstMs: number | undefined;
  /** How long before that its packets begin, which only warm its decoder up; 0 unless it is said. */
  readonly primingMs?: number;
  /** Start of the last packet in order of presentation. */
  readonly lastMs: number | undefined;
  /** End of that packet; as long as a usual one where nothing tells how long it is. */
  readonly endMs: number | undefined;
  /** In order of time, at most `HOLES_MAX`: of sound those over 100 ms, of pictures those over 500 ms. */
  readonly holes: readonly Hole[];
  /** Of sound: by how much its packets are together too short for the time that they take. */
  readonly deficitMs?: number;
  /** Of sound: how long each packet is; undefined when that is not one length, or not known. */
  readonly packetMs?: number | undefined;
  /** Of pictures: the largest width and the largest height of the keyframes that say how large they are, in pixels. */
  readonly picture?: { readonly width: number; readonly height: number } | undefined;
  /**
   * Of pictures: those before the first keyframe, with which nothing can be shown, were left out; from
   * the segment's begin to that keyframe.
   */
  readonly leading?: Hole | undefined;
  /** By how much the times go back at most from one packet to the next, in order of decoding. */
  readonly furthestBackMs?: number;
}

/**
 * Where a stream has no packet, in its media time: from the end of the packet before to the begin of
 * the packet after.
 */
export interface Hole {
  readonly fromMs: number;
  readonly toMs: number;
  /** When pictures come again that are of no use, since they may need lost ones; undefined without such. */
  readonly resumesMs?: number;
}

/** The picture and the sound of a segment; each of them can be missing. */
export interface SourceStreams {
  readonly video: SourceStream | undefined;
  readonly audio: SourceStream | undefined;
  /** Tracks with packets beyond those two, in the container's order; none without. */
  readonly others?: readonly SourceStream[];
}

/** Most sound tracks that are mixed; a stream of a call has two. */
const MIXED_SOUNDS_MAX = 16;

/** The sounds of a segment that can be mixed into one, in the container's order; one or none without. */
export function soundsOf({ audio, others = [] }: SourceStreams): readonly SourceStream[] {
  return [audio, ...others]
    .filter((stream) => stream?.kind === "audio" && stream.codec !== undefined)
    .flatMap((stream) => stream ?? [])
    .toSorted((a, b) => (a.position ?? 0) - (b.position ?? 0))
    .slice(0, MIXED_SOUNDS_MAX);
}

// https://www.matroska.org/technical/codec_specs.html
const MATROSKA_CODECS: readonly (readonly [prefix: string, codec: StreamCodec])[] = [
  ["V_MPEG4/ISO/AVC", "h264"],
  ["V_MPEGH/ISO/HEVC", "hevc"],
  ["V_VP8", "vp8"],
  ["V_VP9", "vp9"],
  ["V_AV1", "av1"],
  ["A_OPUS", "opus"],
  ["A_AAC", "aac"],
  ["A_MPEG/L3", "mp3"],
  ["A_FLAC", "flac"],
  ["A_VORBIS", "vorbis"],
  ["A_PCM/", "pcm"],
];

/** The stream that a Matroska track is; undefined when it is neither picture nor sound. */
export function streamOfTrack(track: MatroskaTrack): SourceStream | undefined {
  if (track.kind === "other") return undefined;
  const codec = MATROSKA_CODECS.find(([prefix]) => track.codecId.startsWith(prefix))?.[1];
  const description = Uint8Array.fromHex(track.codecPrivate);
  return {
    kind: track.kind,
    codec,
    codecName: track.codecId === "" ? "unnamed" : track.codecId,
    parameters: `${track.codecId} ${track.codecPrivate} ${track.sampleRate} ${track.channels}`,
    width: track.width,
    height: track.height,
    ...track.display,
    preSkipMs: codec === "opus" ? opusPreSkipMs(description) : 0,
    ...(track.kind === "audio" ? soundTraits(codec, description, track.channels) : {}),
    configuration: track.codecPrivate,
    ...((codec === "h264" || codec === "hevc") && isAnnexB(track.codecPrivate)
      ? { isAnnexB: true }
      : {}),
  };
}

/** Whether parameters stand behind start codes, or in the stream alone, where there is none of MP4's boxes. */
function isAnnexB(codecPrivate: string): boolean {
  return codecPrivate === "" || /^(00)?000001/.test(codecPrivate);
}

/**
 * What of a sound decides whether it can be joined with others and filled with silence.
 *
 * @param description the decoder's parameters: an OpusHead, an AudioSpecificConfig
 * @param claimed channels by the container; null when it does not say
 */
export function soundTraits(
  codec: StreamCodec | undefined,
  description: Uint8Array,
  claimed: number | null,
): Pick<SourceStream, "channels" | "hasNoSilence" | "mapping"> {
  const channels = claimed ?? undefined;
  switch (codec) {
    case "opus": {
      const opus = opusChannels(description, "head");
      // Old recorders left it out, and then packets have one channel or two.
      if (opus === undefined) return { channels };
      if (opus.isSelfDescribing) return { channels: opus.channels };
      return { channels: opus.channels, mapping: description.subarray(OPUS_MAPPING_AT).toHex() };
    }
    case "aac": {
      const config = aacConfig(description);
      const hasNoSilence = aacSilence(config) === undefined;
      return { channels: config?.channels || channels, hasNoSilence };
    }
    case "mp3":
    case "flac": {
      return { channels, hasNoSilence: true };
    }
    default: {
      return { channels };
    }
  }
}

/** Of the family of an OpusHead's mapping (RFC 7845, 5.1); with it comes the mapping. */
const OPUS_MAPPING_AT = 18;

/**
 * Pre-skip in an Opus header (RFC 7845, 5.1). Chromium writes 80 ms, and whether a decoder heeds it
 * depends on the container.
 */
export function opusPreSkipMs(head: Uint8Array): number {
  return ((head[10] ?? 0) + (head[11] ?? 0) * 256) / OPUS_SAMPLES_PER_MS;
}
