import { BitReader } from "./bit-reader.ts";
import type { CodedPicture } from "./coded-picture.ts";

/** ITU-T H.264, table 7-1. */
const H264 = { slice: 1, sliceA: 2, idr: 5, sei: 6 } as const;

/** Its units of pictures (ITU-T H.265, table 7-1), and of these the random access points. */
const HEVC = { lastPicture: 31, firstRandomAccess: 16, lastRandomAccess: 23 } as const;

/** ITU-T H.264, D.1.8: from here on a decoder can begin, though pictures may take some to be right. */
const RECOVERY_POINT = 6;

/** ITU-T H.264, table 7-6: I and SI, also where all slices of the picture are. */
const INTRA_SLICES: ReadonlySet<number> = new Set([2, 4, 7, 9]);

/**
 * Bytes of the length before each NAL unit; 0 where there are start codes instead, as in Matroska
 * without an `avcC` or `hvcC` (ISO/IEC 14496-15).
 *
 * @param at where the field is in the configuration
 */
export function nalLengthBytesOf(configuration: Uint8Array, at: number): number {
  const isConfiguration = configuration.length > at && configuration[0] === 1;
  return isConfiguration ? ((configuration[at] ?? 0) & 3) + 1 : 0;
}

/**
 * A packet is a picture: a decoder can begin with an IDR one and with a recovery point. Of intra slices
 * alone only the container tells whether later pictures need none before them.
 */
export function h264Picture(
  bytes: Uint8Array,
  from: number,
  to: number,
  lengthBytes: number,
): CodedPicture | undefined {
  let isIntra: boolean | undefined;
  let recovers = false;
  for (const unit of unitsOf(bytes, from, to, lengthBytes)) {
    const type = (bytes[unit.from] ?? 0) & 0x1f;
    recovers ||= type === H264.sei && isRecoveryPoint(bytes, unit.from + 1, unit.to);
    if (type !== H264.slice && type !== H264.sliceA && type !== H264.idr) continue;
    const bits = new BitReader(bytes, unit.from + 1, unit.to);
    const firstMacroblock = bits.golomb();
    // The rest of a picture that began in the packet before.
    if (isIntra === undefined && firstMacroblock > 0) return { isKey: false, isVisible: false };
    if (type === H264.idr || recovers) return { isKey: true, isVisible: true };
    isIntra = INTRA_SLICES.has(bits.golomb());
    if (!isIntra) break;
  }
  if (isIntra === undefined) return undefined;
  return { isKey: isIntra ? undefined : false, isVisible: true };
}

/** A packet is a picture: a decoder can begin with each of its random access points (H.265, 3.66). */
export function hevcPicture(
  bytes: Uint8Array,
  from: number,
  to: number,
  lengthBytes: number,
): CodedPicture | undefined {
  for (const unit of unitsOf(bytes, from, to, lengthBytes)) {
    const type = ((bytes[unit.from] ?? 0) >> 1) & 0x3f;
    if (type > HEVC.lastPicture) continue;
    const isKey = type >= HEVC.firstRandomAccess && type <= HEVC.lastRandomAccess;
    return { isKey, isVisible: true };
  }
  return undefined;
}

/** Whether one of the messages of a SEI unit is a recovery point (ITU-T H.264, 7.3.2.3.1). */
function isRecoveryPoint(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from;
  const number = (): number => {
    let value = 0;
    while (at < to && bytes[at] === 0xff) {
      value += 255;
      at += 1;
    }
    value += bytes[at] ?? 0;
    at += 1;
    return value;
  };
  // A unit ends with a stop bit, which is no message.
  while (at + 1 < to) {
    const type = number();
    if (type === RECOVERY_POINT) return true;
    at += number();
  }
  return false;
}

/** The NAL units of a packet. */
function* unitsOf(
  bytes: Uint8Array,
  from: number,
  to: number,
  lengthBytes: number,
): Generator<{ readonly from: number; readonly to: number }> {
  if (lengthBytes > 0) {
    for (let at = from; at + lengthBytes < to;) {
      let length = 0;
      for (let i = 0; i < lengthBytes; i += 1) length = length * 256 + (bytes[at + i] ?? 0);
      at += lengthBytes;
      if (at + length > to) return;
      if (length > 0) yield { from: at, to: at + length };
      at += length;
    }
    return;
  }
  const packet = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from);
  for (let at = packet.indexOf(START_CODE); at !== -1;) {
    const unitFrom = at + START_CODE.length;
    // Slices are long, and only their beginning is read: where one ends is looked for when asked.
    const near = packet.subarray(unitFrom, unitFrom + HEADER_UNIT_BYTES_MAX).indexOf(START_CODE);
    const unitTo = near === -1 ? to : from + unitFrom + near;
    if (unitFrom < packet.length) yield { from: from + unitFrom, to: unitTo };
    at = near === -1 ? packet.indexOf(START_CODE, unitFrom) : unitFrom + near;
  }
}

/** More than parameter sets and messages have: x264's message of its options has 700 bytes. */
const HEADER_UNIT_BYTES_MAX = 4_096;

/** ITU-T H.264, annex B; a zero before it belongs to it. */
const START_CODE = Buffer.of(0, 0, 1);
