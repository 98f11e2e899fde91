import type { FileHandle } from "node:fs/promises";
import {
  FRAME_HEADER_BYTES,
  type FrameContext,
  type FrameHeader,
  decodeFrameHeader,
  frameSignature,
  sha256Of,
} from "./chunk-frame.ts";
import { readAt } from "./whole-transfer.ts";

/** First block of a search from the end: the newest chunk mostly fits, and costs one read. */
const FIRST_BLOCK_BYTES = 256 * 1024;
const BLOCK_BYTES_MAX = 4 * 1024 * 1024;

/** A frame's header with its place in the file. */
export interface FoundFrame {
  readonly header: FrameHeader & FrameContext;
  /** Of the header. */
  readonly offsetBytes: number;
  /** Where the next frame begins; can lie behind the end of a torn file. */
  readonly endBytes: number;
}

/** The undamaged header at `offsetBytes`; undefined when there is none. */
export async function frameAt(
  handle: FileHandle,
  offsetBytes: number,
  tag: Uint8Array | undefined,
): Promise<FoundFrame | undefined> {
  return frameIn(await readAt(handle, offsetBytes, FRAME_HEADER_BYTES), offsetBytes, tag);
}

/** A frame's payload; undefined when it does not fit its hash or is cut off. */
export async function payloadOf(
  handle: FileHandle,
  { header, offsetBytes }: FoundFrame,
): Promise<Buffer | undefined> {
  const payload = await readAt(handle, offsetBytes + FRAME_HEADER_BYTES, header.byteLength);
  if (payload.length !== header.byteLength) return undefined;
  return Buffer.compare(sha256Of(payload), header.sha256) === 0 ? payload : undefined;
}

/** The first undamaged header at or behind `fromBytes` that begins before `endBytes`. */
export async function findNextFrame(
  handle: FileHandle,
  fromBytes: number,
  endBytes: number,
  tag: Uint8Array | undefined,
): Promise<FoundFrame | undefined> {
  const signature = frameSignature(tag);
  for (let block = fromBytes; block < endBytes; block += BLOCK_BYTES_MAX) {
    const bytes = await readBlock(handle, block, Math.min(block + BLOCK_BYTES_MAX, endBytes));
    for (let at = bytes.indexOf(signature); at >= 0; at = bytes.indexOf(signature, at + 1)) {
      const frame = frameIn(bytes.subarray(at), block + at, tag);
      if (frame !== undefined) return frame;
    }
  }
  return undefined;
}

/** The last undamaged header between `fromBytes` and `endBytes`, its payload whole or not. */
export async function findLastFrame(
  handle: FileHandle,
  fromBytes: number,
  endBytes: number,
  tag: Uint8Array,
): Promise<FoundFrame | undefined> {
  const signature = frameSignature(tag);
  let blockBytes = FIRST_BLOCK_BYTES;
  for (let end = endBytes; end > fromBytes;) {
    const block = Math.max(fromBytes, end - blockBytes);
    const bytes = await readBlock(handle, block, end);
    for (let at = bytes.lastIndexOf(signature); at >= 0;) {
      const frame = frameIn(bytes.subarray(at), block + at, tag);
      if (frame !== undefined) return frame;
      at = at === 0 ? -1 : bytes.lastIndexOf(signature, at - 1);
    }
    end = block;
    blockBytes = Math.min(blockBytes * 2, BLOCK_BYTES_MAX);
  }
  return undefined;
}

/** The bytes from `fromBytes` to `toBytes`, and as many more as a header takes that begins there. */
function readBlock(handle: FileHandle, fromBytes: number, toBytes: number): Promise<Buffer> {
  return readAt(handle, fromBytes, toBytes - fromBytes + FRAME_HEADER_BYTES - 1);
}

/** The header with which `bytes` begins, which were read at `offsetBytes`; undefined when there is none. */
export function frameIn(
  bytes: Uint8Array,
  offsetBytes: number,
  tag: Uint8Array | undefined,
): FoundFrame | undefined {
  const header = decodeFrameHeader(bytes, tag);
  if (header === undefined) return undefined;
  return { header, offsetBytes, endBytes: offsetBytes + FRAME_HEADER_BYTES + header.byteLength };
}
