import type { FramePlace } from "./block-lacing.ts";
import { BitReader } from "./bit-reader.ts";
import type { CodedPicture, PictureSize } from "./coded-picture.ts";

// VP9 Bitstream & Decoding Process Specification, version 0.6.

const FRAME_MARKER = 2;
const SYNC_CODE = 0x498342;
const COLOR_SPACE_RGB = 7;

/** An intra-only frame that writes all eight of them leaves no reference to a frame before it. */
const ALL_REFERENCES = 0xff;

/** Frames of one superframe (Annex B). */
export const SUPERFRAME_FRAMES_MAX = 8;

/** A packet is one frame, or a superframe of which usually only the last is shown. */
export function vp9Picture(bytes: Uint8Array, from: number, to: number): CodedPicture | undefined {
  const last = bytes[to - 1] ?? 0;
  const places = isMarker(last) ? vp9Frames(bytes, from, to) : undefined;
  if (places === undefined) return vp9Frame(bytes, from, to);
  const frames = places.map((place) => vp9Frame(bytes, place.from, place.to));
  const [first] = frames;
  if (first === undefined) return undefined;
  return { ...first, isVisible: frames.some((frame) => frame?.isVisible !== false) };
}

/** The frames of a packet: those that its superframe index lists (Annex B), or all of it. */
export function vp9Frames(bytes: Uint8Array, from: number, to: number): readonly FramePlace[] {
  const whole = [{ from, to }];
  const marker = bytes[to - 1] ?? 0;
  if (!isMarker(marker)) return whole;
  const count = (marker & 7) + 1;
  const sizeBytes = ((marker >> 3) & 3) + 1;
  const indexFrom = to - 2 - count * sizeBytes;
  if (indexFrom <= from || bytes[indexFrom] !== marker) return whole;
  const places: FramePlace[] = [];
  let at = from;
  for (let i = 0; i < count; i += 1) {
    let size = 0;
    for (let byte = sizeBytes - 1; byte >= 0; byte -= 1) {
      size = size * 256 + (bytes[indexFrom + 1 + i * sizeBytes + byte] ?? 0);
    }
    if (at + size > indexFrom) return whole;
    if (size > 0) places.push({ from: at, to: at + size });
    at += size;
  }
  return places.length === 0 ? whole : places;
}

/** One packet of several frames, with the index that tells where each is (Annex B). */
export function vp9Superframe(frames: readonly Uint8Array[]): Uint8Array {
  const largest = Math.max(...frames.map(({ length }) => length));
  const sizeBytes = Math.ceil(Math.max(1, Math.floor(Math.log2(largest)) + 1) / 8);
  const marker = 0xc0 | ((sizeBytes - 1) << 3) | (frames.length - 1);
  const index = Buffer.alloc(2 + frames.length * sizeBytes, marker);
  for (const [i, { length }] of frames.entries()) {
    index.writeUIntLE(length, 1 + i * sizeBytes, sizeBytes);
  }
  return Buffer.concat([...frames, index]);
}

function isMarker(byte: number): boolean {
  return (byte & 0xe0) === 0xc0;
}

/** Section 6.2. */
function vp9Frame(bytes: Uint8Array, from: number, to: number): CodedPicture | undefined {
  const bits = new BitReader(bytes, from, to);
  if (bits.unsigned(2) !== FRAME_MARKER) return undefined;
  const profile = bits.unsigned(1) + 2 * bits.unsigned(1);
  if (profile === 3) bits.unsigned(1);
  const showsExisting = bits.flag();
  if (showsExisting) return { isKey: false, isVisible: true };
  const isKeyFrame = !bits.flag();
  const isVisible = bits.flag();
  const isErrorResilient = bits.flag();
  if (isKeyFrame) {
    const size = keyFrameSize(bits, profile);
    return size && { isKey: true, isVisible, size };
  }
  const isIntraOnly = !isVisible && bits.flag();
  if (!isIntraOnly) return { isKey: false, isVisible };
  if (!isErrorResilient) bits.unsigned(2);
  if (bits.unsigned(24) !== SYNC_CODE) return { isKey: false, isVisible };
  if (profile > 0) skipColorConfig(bits, profile);
  return { isKey: bits.unsigned(8) === ALL_REFERENCES && !bits.isOver, isVisible };
}

function keyFrameSize(bits: BitReader, profile: number): PictureSize | undefined {
  if (bits.unsigned(24) !== SYNC_CODE) return undefined;
  skipColorConfig(bits, profile);
  const size = { width: bits.unsigned(16) + 1, height: bits.unsigned(16) + 1 };
  return bits.isOver ? undefined : size;
}

/** Section 6.2.2. */
function skipColorConfig(bits: BitReader, profile: number): void {
  if (profile >= 2) bits.unsigned(1);
  const hasChoice = profile === 1 || profile === 3;
  if (bits.unsigned(3) === COLOR_SPACE_RGB) {
    if (hasChoice) bits.unsigned(1);
    return;
  }
  bits.unsigned(hasChoice ? 4 : 1);
}
