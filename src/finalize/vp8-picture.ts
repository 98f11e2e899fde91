import type { CodedPicture, PictureSize } from "./coded-picture.ts";

/** Enough for what a keyframe says of itself: its tag, the start code and its size (RFC 6386, 9.1). */
const VP8_HEAD_BYTES = 10;

const START_CODE = 0x9d012a;

/** RFC 6386, 9.1: a frame's tag, whose first bit is 0 in a keyframe, and fifth whether it is shown. */
export function vp8Picture(bytes: Uint8Array, from: number, to: number): CodedPicture | undefined {
  const tag = bytes[from];
  if (tag === undefined || from >= to) return undefined;
  const isVisible = (tag & 0x10) !== 0;
  if ((tag & 1) !== 0) return { isKey: false, isVisible };
  const size = vp8KeyFrameSize(bytes.subarray(from, Math.min(to, from + VP8_HEAD_BYTES)));
  // Without the start code it is no frame of VP8.
  return size && { isKey: true, isVisible, size };
}

/** RFC 6386, 9.1: a frame's tag, the start code, then two bytes for each side, 14 bits of size. */
function vp8KeyFrameSize(head: Uint8Array): PictureSize | undefined {
  if (head.length < VP8_HEAD_BYTES) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if ((view.getUint32(2) & 0xffffff) !== START_CODE) return undefined;
  const [width, height] = [view.getUint16(6, true) & 0x3fff, view.getUint16(8, true) & 0x3fff];
  return width === 0 || height === 0 ? undefined : { width, height };
}
