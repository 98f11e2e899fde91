import type { MatroskaTrack } from "./matroska-tracks.ts";
import { OPUS_SAMPLES_PER_MS } from "./opus-packet.ts";

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
export interface SourceStream {
  readonly kind: "video" | "audio";
  /** Undefined for a codec that is not known here. */
  readonly codec: StreamCodec | undefined;
  /** As the container calls the codec. */
  readonly codecName: string;
  /** Decoder parameters; segments that differ in them cannot be joined by copying. */
  readonly parameters: string;
  readonly width: number | null;
  readonly height: number | null;
  /** How much of the sound's beginning a decoder may leave out, since it only warms up on it. */
  readonly preSkipMs: number;
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
  /**
   * Of pictures: those before the first keyframe, with which nothing can be shown, were left out; from
   * the segment's begin to that keyframe.
   */
  readonly leading?: Hole | undefined;
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
  return {
    kind: track.kind,
    codec,
    codecName: track.codecId === "" ? "unnamed" : track.codecId,
    parameters: `${track.codecId} ${track.codecPrivate} ${track.sampleRate} ${track.channels}`,
    width: track.width,
    height: track.height,
    preSkipMs: codec === "opus" ? opusPreSkipMs(Uint8Array.fromHex(track.codecPrivate)) : 0,
  };
}

/**
 * Pre-skip in an Opus header (RFC 7845, 5.1). Chromium writes 80 ms, and whether a decoder heeds it
 * depends on the container.
 */
export function opusPreSkipMs(head: Uint8Array): number {
  return ((head[10] ?? 0) + (head[11] ?? 0) * 256) / OPUS_SAMPLES_PER_MS;
}
