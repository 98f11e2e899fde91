import type { MatroskaTrack } from "../finalize/matroska-tracks.ts";
import { UNITY_MATRIX, matrixOf } from "../finalize/mp4-orientation.ts";
import { type PictureSize, squareSize } from "../finalize/picture-display.ts";

/** A track as the header is to describe it. */
export interface Mp4HeaderTrack {
  readonly track: MatroskaTrack;
  readonly id: number;
  readonly ticksPerSecond: number;
}

const MOVIE_TICKS_PER_SECOND = 1_000;
/** Version 2 has a sign in front of the names of languages: this is `und` (14496-12, 8.4.2.3). */
const UNDETERMINED_LANGUAGE = 0x55c4;
const FULL_VOLUME = 0x0100;
const SELF_CONTAINED = 1;
const TRACK_ENABLED_IN_MOVIE = 3;
const FIXED_POINT = 0x10000;
const DPI_72 = 0x00480000;
const COLOUR_DEPTH = 0x0018;
/** `pre_defined` of a picture's sample entry (14496-12, 12.1.3.2). */
const NO_COLOUR_TABLE = 0xffff;
const SAMPLE_BITS = 16;

/** ISO/IEC 14496-1, 7.2.2.1 and 7.2.6.6.2. */
const DESCRIPTOR = { es: 3, decoderConfig: 4, decoderSpecific: 5, slConfig: 6 } as const;
const AAC_OBJECT_TYPE = 0x40;
/** `streamType` 5 for sound, in the upper six bits, and a reserved one. */
const AUDIO_STREAM = (5 << 2) | 1;

/** The `ftyp` and `moov` of a fragmented MP4 (ISO/IEC 14496-12, 8.2 and 8.8), without any sample. */
export function movieBoxes(tracks: {
  readonly video: Mp4HeaderTrack | undefined;
  readonly audio: Mp4HeaderTrack | undefined;
}): Buffer {
  const { video, audio } = tracks;
  const all = [video, audio].filter((track) => track !== undefined);
  const next = 1 + Math.max(0, ...all.map(({ id }) => id));
  return Buffer.concat([
    box("ftyp", [ascii("isom"), u32(0x200), ascii("isom"), ascii("iso6"), ascii("mp41")]),
    box("moov", [
      fullBox("mvhd", 0, 0, [
        Buffer.alloc(8),
        u32(MOVIE_TICKS_PER_SECOND),
        u32(0),
        u32(FIXED_POINT),
        u16(FULL_VOLUME),
        Buffer.alloc(10),
        ...UNITY_MATRIX.map(u32),
        Buffer.alloc(24),
        u32(next),
      ]),
      ...(video === undefined ? [] : [trackBox(video, "video")]),
      ...(audio === undefined ? [] : [trackBox(audio, "audio")]),
      box(
        "mvex",
        all.map(({ id }) => fullBox("trex", 0, 0, [u32(id), u32(1), Buffer.alloc(12)])),
      ),
    ]),
  ]);
}

function trackBox({ track, id, ticksPerSecond }: Mp4HeaderTrack, kind: "video" | "audio"): Buffer {
  const isSound = kind === "audio";
  const { display = {} } = track;
  const area = squareSize(sizeOf(track), display);
  return box("trak", [
    fullBox("tkhd", 0, TRACK_ENABLED_IN_MOVIE, [
      Buffer.alloc(8),
      u32(id),
      Buffer.alloc(20),
      u16(isSound ? FULL_VOLUME : 0),
      u16(0),
      ...matrixOf(display, sizeOf(track)).map(u32),
      u32(area.width * FIXED_POINT),
      u32(area.height * FIXED_POINT),
    ]),
    box("mdia", [
      fullBox("mdhd", 0, 0, [
        Buffer.alloc(8),
        u32(ticksPerSecond),
        u32(0),
        u16(UNDETERMINED_LANGUAGE),
        u16(0),
      ]),
      fullBox("hdlr", 0, 0, [u32(0), ascii(isSound ? "soun" : "vide"), Buffer.alloc(13)]),
      box("minf", [
        isSound ? fullBox("smhd", 0, 0, [u32(0)]) : fullBox("vmhd", 0, 1, [Buffer.alloc(8)]),
        box("dinf", [fullBox("dref", 0, 0, [u32(1), fullBox("url ", 0, SELF_CONTAINED, [])])]),
        box("stbl", [
          fullBox("stsd", 0, 0, [u32(1), isSound ? soundEntry(track) : pictureEntry(track)]),
          fullBox("stts", 0, 0, [u32(0)]),
          fullBox("stsc", 0, 0, [u32(0)]),
          fullBox("stsz", 0, 0, [u32(0), u32(0)]),
          fullBox("stco", 0, 0, [u32(0)]),
        ]),
      ]),
    ]),
  ]);
}

/** Matroska's private data of H.264 is an `avcC` already (RFC 9559's codec mappings). */
function pictureEntry(track: MatroskaTrack): Buffer {
  const { width, height, codecPrivate, display } = track;
  const { pixelAspect } = display ?? {};
  return box("avc1", [
    Buffer.alloc(6),
    u16(1),
    Buffer.alloc(16),
    u16(width ?? 0),
    u16(height ?? 0),
    u32(DPI_72),
    u32(DPI_72),
    u32(0),
    u16(1),
    Buffer.alloc(32),
    u16(COLOUR_DEPTH),
    u16(NO_COLOUR_TABLE),
    box("avcC", [Buffer.from(codecPrivate, "hex")]),
    ...(pixelAspect === undefined
      ? []
      : [box("pasp", [u32(pixelAspect.width), u32(pixelAspect.height)])]),
  ]);
}

function sizeOf({ width, height }: MatroskaTrack): PictureSize {
  return { width: width ?? 0, height: height ?? 0 };
}

function soundEntry(track: MatroskaTrack): Buffer {
  const isOpus = track.codecId === "A_OPUS";
  const rate = isOpus ? 48_000 : (track.sampleRate ?? 48_000);
  return box(isOpus ? "Opus" : "mp4a", [
    Buffer.alloc(6),
    u16(1),
    Buffer.alloc(8),
    u16(track.channels ?? 2),
    u16(SAMPLE_BITS),
    u32(0),
    u32((rate & 0xffff) * FIXED_POINT),
    isOpus ? opusBox(track) : aacBox(track),
  ]);
}

/**
 * Encapsulation of Opus in ISO Base Media File Format, 4.3.2: the fields of the header of RFC 7845,
 * 5.1, the other way round.
 */
function opusBox({ codecPrivate, channels }: MatroskaTrack): Buffer {
  const head = Buffer.from(codecPrivate, "hex");
  const isWhole = head.length >= 19;
  const mapping = isWhole ? head.subarray(18) : Buffer.of(0);
  return box("dOps", [
    Buffer.of(0, isWhole ? head.readUInt8(9) : (channels ?? 2)),
    u16(isWhole ? head.readUInt16LE(10) : 0),
    u32(isWhole ? head.readUInt32LE(12) : 48_000),
    u16(isWhole ? head.readUInt16LE(16) : 0),
    mapping[0] === 0 ? Buffer.of(0) : mapping,
  ]);
}

function aacBox({ codecPrivate }: MatroskaTrack): Buffer {
  const config = descriptor(DESCRIPTOR.decoderConfig, [
    Buffer.of(AAC_OBJECT_TYPE, AUDIO_STREAM, 0, 0, 0),
    Buffer.alloc(8),
    descriptor(DESCRIPTOR.decoderSpecific, [Buffer.from(codecPrivate, "hex")]),
  ]);
  const es = [u16(0), Buffer.of(0), config, descriptor(DESCRIPTOR.slConfig, [Buffer.of(2)])];
  return fullBox("esds", 0, 0, [descriptor(DESCRIPTOR.es, es)]);
}

function descriptor(tag: number, parts: readonly Buffer[]): Buffer {
  const data = Buffer.concat(parts);
  const { length } = data;
  const size = [length >> 21, length >> 14, length >> 7].map((bits) => 0x80 | (bits & 0x7f));
  return Buffer.concat([Buffer.of(tag, ...size, length & 0x7f), data]);
}

/** A box of these parts (ISO/IEC 14496-12, 4.2). */
export function box(type: string, parts: readonly Uint8Array[]): Buffer {
  const bytes = parts.reduce((sum, { length }) => sum + length, 8);
  return Buffer.concat([u32(bytes), ascii(type), ...parts], bytes);
}

/** A box with a version and 24 bits of flags. */
export function fullBox(
  type: string,
  version: number,
  flags: number,
  parts: readonly Uint8Array[],
): Buffer {
  return box(type, [u32(version * 0x1000000 + flags), ...parts]);
}

/** Four bytes, big-endian. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value & 0xffff);
  return bytes;
}

function ascii(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
