import type { FileHandle } from "node:fs/promises";
import { readAt } from "../storage/whole-transfer.ts";
import { boxesIn } from "./mp4-boxes.ts";

/** Fields of a VisualSampleEntry before its boxes, with its header (ISO/IEC 14496-12, 12.1.3). */
const VIDEO_ENTRY_BYTES = 86;

/** What is read of a picture, or of one of its units, to see of what kind it is. */
const HEAD_BYTES = 64;

/** A picture has few units before its first slice; what has more is damaged. */
const UNITS_MAX = 64;

/**
 * Whether a picture of an MP4 can be decoded by itself, by its own header: the flags of containers lie
 * both ways. Undefined where the header leaves that open (an I slice of H.264 may begin anew or not) or
 * the codec is not known.
 */
export type IsKeyframe = (
  handle: FileHandle,
  offsetBytes: number,
  sizeBytes: number,
) => Promise<boolean | undefined>;

/** @param entry of the pictures in `stsd`, with its header */
export function keyframeHeaderOf(entry: Buffer): IsKeyframe {
  switch (entry.toString("latin1", 4, 8)) {
    case "avc1":
    case "avc3":
      return ofUnits(unitLengthBytes(entry, "avcC", 4), avcUnit);
    case "hvc1":
    case "hev1":
      return ofUnits(unitLengthBytes(entry, "hvcC", 21), hevcUnit);
    case "vp08":
      return ofHead((head) => ((head[0] ?? 1) & 1) === 0);
    case "vp09":
      return ofHead(vp9Frame);
    case "av01":
      return ofHead(av1Unit);
    default:
      return () => Promise.resolve(undefined);
  }
}

function ofHead(judge: (head: Buffer) => boolean | undefined): IsKeyframe {
  return async (handle, offsetBytes, sizeBytes) =>
    judge(await readAt(handle, offsetBytes, Math.min(HEAD_BYTES, sizeBytes)));
}

/** What a unit says of its picture; `next` when another one has to be looked at. */
type UnitTells = boolean | undefined | "next";

function ofUnits(lengthBytes: number, judge: (unit: Buffer) => UnitTells): IsKeyframe {
  return async (handle, offsetBytes, sizeBytes) => {
    let at = 0;
    for (let units = 0; units < UNITS_MAX && at + lengthBytes < sizeBytes; units += 1) {
      const head = await readAt(handle, offsetBytes + at, Math.min(HEAD_BYTES, sizeBytes - at));
      if (head.length <= lengthBytes) return undefined;
      const told = judge(head.subarray(lengthBytes));
      if (told !== "next") return told;
      at += lengthBytes + head.readUIntBE(0, lengthBytes);
    }
    return undefined;
  };
}

/** Bytes of the length before each unit; the two lowest bits of a byte of the configuration. */
function unitLengthBytes(entry: Buffer, type: "avcC" | "hvcC", at: number): number {
  const configuration = boxesIn(entry.subarray(VIDEO_ENTRY_BYTES)).get(type)?.[0];
  return ((configuration?.[at] ?? 3) & 3) + 1;
}

/** ITU-T H.264, 7.4.1: types 1 and 2 are slices, 5 is one of an IDR picture. */
function avcUnit(unit: Buffer): UnitTells {
  const type = (unit[0] ?? 0) & 0x1f;
  if (type === 5) return true;
  if (type !== 1 && type !== 2) return "next";
  const bits = new Bits(unit.subarray(1));
  bits.exponential();
  // 2 and 4 have no other picture to be predicted from; all slices are of that type from 5 on.
  const sliceType = bits.exponential() % 5;
  return sliceType === 2 || sliceType === 4 ? undefined : false;
}

/** ITU-T H.265, 7.4.2.2: 16 to 21 are random access points, other types up to 31 slices. */
function hevcUnit(unit: Buffer): UnitTells {
  const type = ((unit[0] ?? 0) >> 1) & 0x3f;
  if (type >= 32) return "next";
  return type >= 16 && type <= 21;
}

/** VP9 bitstream, 6.2: `frame_type` comes behind marker, profile and `show_existing_frame`. */
function vp9Frame(head: Buffer): boolean | undefined {
  const bits = new Bits(head);
  if (bits.take(2) !== 2) return undefined;
  const profile = bits.take(1) + 2 * bits.take(1);
  if (profile === 3) bits.take(1);
  if (bits.take(1) === 1) return false;
  return bits.take(1) === 0;
}

/** AV1, 5.3.2 and 7.5: a temporal unit that begins anew has a sequence header before its frames. */
function av1Unit(head: Buffer): boolean | undefined {
  for (let at = 0; at < head.length;) {
    const header = head[at] ?? 0;
    const type = (header >> 3) & 0x0f;
    if (type === 1) return true;
    // A frame, or its header alone.
    if (type === 6 || type === 3) return false;
    at += (header & 0x04) === 0 ? 1 : 2;
    if ((header & 0x02) === 0) return undefined;
    let size = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = head[at] ?? 0;
      at += 1;
      size += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    at += size;
  }
  return undefined;
}

/** Reads bits, the highest of a byte first; zeros behind the end. */
class Bits {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i += 1) {
      const byte = this.#bytes[this.#at >> 3] ?? 0;
      value = value * 2 + ((byte >> (7 - (this.#at & 7))) & 1);
      this.#at += 1;
    }
    return value;
  }

  /** Exp-Golomb code (ITU-T H.264, 9.1). */
  exponential(): number {
    let zeros = 0;
    while (zeros < 32 && this.take(1) === 0) zeros += 1;
    return 2 ** zeros - 1 + this.take(zeros);
  }
}
