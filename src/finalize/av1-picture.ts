import type { CodedPicture } from "./coded-picture.ts";

// AV1 Bitstream & Decoding Process Specification, 5.3 and 5.9.

const OBU = { sequenceHeader: 1, frameHeader: 3, frame: 6 } as const;

/** Of a frame header's beginning: whether it shows one that was decoded before, and its type. */
const SHOWS_EXISTING = 0x80;
const FRAME_TYPE_MASK = 0x60;
const SHOW_FRAME = 0x10;

/** A packet is a temporal unit: what is decoded for one moment, of which one frame is shown. */
export function av1Picture(
  bytes: Uint8Array,
  from: number,
  to: number,
  isSequenceKnown: boolean,
): CodedPicture | undefined {
  let hasSequence = isSequenceKnown;
  let isKey: boolean | undefined;
  let isVisible = false;
  for (const { type, at } of obusOf(bytes, from, to)) {
    if (type === OBU.sequenceHeader) {
      hasSequence = true;
      // A still picture's header leaves all of this out (5.9.2): it is a shown keyframe.
      if (((bytes[at] ?? 0) & 0x08) !== 0) return { isKey: true, isVisible: true };
    } else if (type === OBU.frameHeader || type === OBU.frame) {
      const head = bytes[at] ?? 0;
      const showsExisting = (head & SHOWS_EXISTING) !== 0;
      isKey ??= !showsExisting && (head & FRAME_TYPE_MASK) === 0 && hasSequence;
      isVisible ||= showsExisting || (head & SHOW_FRAME) !== 0;
    }
  }
  return isKey === undefined ? undefined : { isKey, isVisible };
}

/** Whether a sequence header is among these OBUs. */
export function av1SequenceIsIn(bytes: Uint8Array, from: number, to: number): boolean {
  for (const { type } of obusOf(bytes, from, to)) if (type === OBU.sequenceHeader) return true;
  return false;
}

/** Their types, and where their content begins. */
function* obusOf(
  bytes: Uint8Array,
  from: number,
  to: number,
): Generator<{ readonly type: number; readonly at: number }> {
  for (let at = from; at < to;) {
    const header = bytes[at] ?? 0;
    const type = (header >> 3) & 0x0f;
    at += (header & 0x04) === 0 ? 1 : 2;
    if ((header & 0x02) === 0) {
      yield { type, at };
      return;
    }
    let size = 0;
    for (let shift = 0; shift < 56 && at < to; shift += 7) {
      const byte = bytes[at] ?? 0;
      at += 1;
      size += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) break;
    }
    if (at + size > to) return;
    yield { type, at };
    at += size;
  }
}
