import type { FileHandle } from "node:fs/promises";
import { z } from "zod";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../contract/ids.ts";
import type { SegmentDescription } from "../recording/ports.ts";
import { ChunkFileContents } from "./chunk-file-contents.ts";
import {
  FRAME_HEADER_BYTES,
  type FrameHeader,
  decodeFrameHeader,
  indexOfFrameMagic,
  sha256Of,
} from "./chunk-frame.ts";

/**
 * Most bytes that one sync makes durable (a single larger frame aside). Only the last sync before a
 * crash can have left frames half-written, so only frames in this many last bytes are read whole
 * when a file is opened; of all others only the header is read.
 */
export const SYNC_BYTES_MAX = 8 * 1024 * 1024;

const SEARCH_BLOCK_BYTES = 1024 * 1024;
const DESCRIPTION_BYTES_MAX = 64 * 1024;

const descriptionSchema = z.object({
  recordingId: recordingIdSchema,
  participantId: participantIdSchema,
  trackId: trackIdSchema,
  segmentId: segmentIdSchema,
  mimeType: z.string(),
  openedAtMs: z.number(),
});

const endSchema = z.object({ chunkCount: z.int().min(0) });

/** A chunk file as it was found. */
export interface ChunkFileScan {
  readonly description: SegmentDescription;
  readonly contents: ChunkFileContents;
  /** Where the last whole frame ends: everything behind it is a torn tail. */
  readonly goodBytes: number;
  /** Places before `goodBytes` that hold no undamaged frame. */
  readonly damagedBytes: number;
}

/** Encodes a segment's description as the payload of its first frame. */
export function encodeDescription(description: SegmentDescription): Uint8Array {
  const { recordingId, participantId, trackId, segmentId, mimeType, openedAtMs } = description;
  return new TextEncoder().encode(
    JSON.stringify({ recordingId, participantId, trackId, segmentId, mimeType, openedAtMs }),
  );
}

/** Encodes a segment's total as the payload of its `end` frame. */
export function encodeEnd(chunkCount: number): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ chunkCount }));
}

/** Reads `byteLength` bytes at `offsetBytes`; fewer only at the end of the file. */
export async function readAt(
  handle: FileHandle,
  offsetBytes: number,
  byteLength: number,
): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(byteLength);
  let filled = 0;
  while (filled < byteLength) {
    const { bytesRead } = await handle.read(
      buffer,
      filled,
      byteLength - filled,
      offsetBytes + filled,
    );
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/**
 * Finds out what the first `endBytes` of a chunk file hold. Gives undefined when the file does not
 * begin with a segment's description. Never throws for damaged contents: a frame whose header is
 * damaged is stepped over to the next undamaged one, and in the last `SYNC_BYTES_MAX` bytes a frame
 * whose payload does not fit its hash counts as absent.
 */
export async function scanChunkFile(
  handle: FileHandle,
  endBytes: number,
): Promise<ChunkFileScan | undefined> {
  const first = decodeFrameHeader(await readAt(handle, 0, FRAME_HEADER_BYTES));
  if (first?.kind !== "segment" || first.byteLength > DESCRIPTION_BYTES_MAX) return undefined;
  const described = await readPayload(handle, 0, first);
  if (described === undefined) return undefined;
  const description = descriptionSchema.parse(JSON.parse(described.toString()));

  const contents = new ChunkFileContents();
  let goodBytes = FRAME_HEADER_BYTES + first.byteLength;
  let wholeBytes = goodBytes;
  let offset = goodBytes;
  let resynchronised = false;
  while (offset < endBytes) {
    const header = decodeFrameHeader(await readAt(handle, offset, FRAME_HEADER_BYTES));
    const frameBytes = FRAME_HEADER_BYTES + (header?.byteLength ?? 0);
    if (header === undefined || offset + frameBytes > endBytes) {
      const next = await findMagic(handle, offset + 1, endBytes);
      if (next === undefined) break;
      offset = next;
      resynchronised = true;
      continue;
    }
    const inLastSync = offset + frameBytes > endBytes - SYNC_BYTES_MAX;
    const mustBeRead = inLastSync || resynchronised || header.kind !== "chunk";
    const payload = mustBeRead ? await readPayload(handle, offset, header) : undefined;
    if (mustBeRead && payload === undefined) {
      // After a search these bytes may be a payload that looks like a header: go on right behind it.
      offset += resynchronised ? 1 : frameBytes;
      continue;
    }
    if (header.kind === "chunk") contents.addChunk(header, offset);
    else if (header.kind === "end" && payload !== undefined) {
      contents.chunkCount = endSchema.parse(JSON.parse(payload.toString())).chunkCount;
    }
    resynchronised = false;
    offset += frameBytes;
    wholeBytes += frameBytes;
    goodBytes = offset;
  }
  return { description, contents, goodBytes, damagedBytes: goodBytes - wholeBytes };
}

/** A frame's payload; undefined when it does not fit its hash or is cut off. */
async function readPayload(
  handle: FileHandle,
  frameOffsetBytes: number,
  header: FrameHeader,
): Promise<Buffer | undefined> {
  const payload = await readAt(handle, frameOffsetBytes + FRAME_HEADER_BYTES, header.byteLength);
  if (payload.length !== header.byteLength) return undefined;
  return Buffer.compare(sha256Of(payload), header.sha256) === 0 ? payload : undefined;
}

async function findMagic(
  handle: FileHandle,
  fromBytes: number,
  endBytes: number,
): Promise<number | undefined> {
  // Blocks overlap by a header, so that a magic across their border is found.
  for (let offset = fromBytes; offset < endBytes; offset += SEARCH_BLOCK_BYTES) {
    const length = Math.min(SEARCH_BLOCK_BYTES + FRAME_HEADER_BYTES, endBytes - offset);
    const index = indexOfFrameMagic(await readAt(handle, offset, length), 0);
    if (index >= 0) return offset + index;
  }
  return undefined;
}
