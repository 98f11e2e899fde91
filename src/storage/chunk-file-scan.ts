import type { FileHandle } from "node:fs/promises";
import type { SegmentDescription } from "../recording/ports.ts";
import { ChunkFileContents } from "./chunk-file-contents.ts";
import { FRAME_HEADER_BYTES, sha256Of } from "./chunk-frame.ts";
import {
  type FoundFrame,
  findLastFrame,
  findNextFrame,
  frameAt,
  frameIn,
  payloadOf,
} from "./frame-search.ts";
import {
  INDEX_ENTRY_BYTES,
  type IndexEntry,
  type IndexPage,
  decodeIndexPage,
} from "./index-frame.ts";
import { readAt } from "./whole-transfer.ts";
import { DESCRIPTION_BYTES_MAX, decodeDescription, decodeEnd } from "./segment-frame.ts";

/** Holds an index frame of some more chunks than are mostly indexed at once (chunk-file.ts). */
const INDEX_FRAME_BYTES = FRAME_HEADER_BYTES + 100 * INDEX_ENTRY_BYTES;

/** A chunk file as it was found. */
export interface ChunkFileScan {
  readonly description: SegmentDescription;
  /** Of the file (chunk-frame.ts). */
  readonly tag: Uint8Array;
  readonly contents: ChunkFileContents;
  /** Of the newest index frame that could be read, with all before it; 0 when there is none. */
  readonly indexOffsetBytes: number;
  /** The chunks that no such index frame tells of, in the order in which they were written. */
  readonly unindexed: readonly IndexEntry[];
  /** Where the last write began: all before it was durable then. */
  readonly lastWriteBytes: number;
  /** Where the last whole frame ends: everything behind it is a torn tail. */
  readonly goodBytes: number;
  /** Bytes before `goodBytes` that are in no undamaged frame. */
  readonly damagedBytes: number;
}

/** The beginning of a file: what says whose it is. */
interface Opening {
  readonly description: SegmentDescription;
  readonly tag: Uint8Array;
  readonly endBytes: number;
}

/**
 * Finds out what the first `endBytes` of a chunk file hold. Gives undefined when no description can
 * be read at its beginning. Never throws for damaged contents.
 *
 * What is read is bounded, however long the file is, so that a server with a thousand open segments
 * starts in seconds:
 *
 * - the description;
 * - the last block, or as many as it takes to find the last undamaged header. It tells where the
 *   last write began. All before was durable when that write began, so a crash cannot have torn it;
 * - the chain of index frames, some KiB for an hour of chunks. If one is damaged, the headers of all
 *   frames are read instead, and the next index frame tells of all of them again;
 * - the headers of the frames behind the newest index frame, which are less than an index frame
 *   tells of;
 * - of the last write, the payloads too. A frame whose payload does not fit its hash counts as absent,
 *   and so does a chunk whose marks are absent.
 *
 * Payloads before the last write are checked when they are read for their MP4, not here.
 */
export async function scanChunkFile(
  handle: FileHandle,
  endBytes: number,
): Promise<ChunkFileScan | undefined> {
  const opening = await readOpening(handle, endBytes);
  if (opening === undefined) return undefined;
  const { description, tag } = opening;
  const last = await findLastFrame(handle, opening.endBytes, endBytes, tag);
  const chain = await readIndexChain(handle, last?.header.indexOffsetBytes ?? 0, tag);

  const contents = new ChunkFileContents();
  for (const { page } of chain.toReversed()) {
    for (const entry of page.entries) {
      contents.addChunk(entry, page.lastChunkAtMs);
    }
    contents.chunkCount = page.chunkCount;
  }
  const fromBytes = chain[0]?.frame.endBytes ?? opening.endBytes;
  const lastWriteBytes = last?.header.writeOffsetBytes ?? fromBytes;
  const walk = await walkFrames(handle, {
    fromBytes,
    verifyFromBytes: lastWriteBytes,
    endBytes,
    tag,
    contents,
  });
  const indexOffsetBytes = chain[0]?.frame.offsetBytes ?? 0;
  return { description, tag, contents, indexOffsetBytes, lastWriteBytes, ...walk };
}

/** The first `segment` frame, or the second when the first is damaged. */
async function readOpening(handle: FileHandle, endBytes: number): Promise<Opening | undefined> {
  let searchBytes = 0;
  // Twice: a file begins with its description and a copy of it.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const searchEndBytes = Math.min(endBytes, searchBytes + DESCRIPTION_BYTES_MAX);
    const frame = await findNextFrame(handle, searchBytes, searchEndBytes, undefined);
    if (frame?.header.kind !== "segment") return undefined;
    const payload =
      frame.header.byteLength <= DESCRIPTION_BYTES_MAX ? await payloadOf(handle, frame) : undefined;
    if (payload !== undefined) {
      const { tag } = frame.header;
      const description = decodeDescription(payload);
      if (description !== undefined) return { description, tag, endBytes: frame.endBytes };
    }
    searchBytes = frame.offsetBytes + 1;
  }
  return undefined;
}

/** An index frame that was read. */
interface ReadIndex {
  readonly frame: FoundFrame;
  readonly page: IndexPage;
}

/** All index frames from the newest to the first; none when any of them is damaged. */
async function readIndexChain(
  handle: FileHandle,
  newestOffsetBytes: number,
  tag: Uint8Array,
): Promise<ReadIndex[]> {
  const chain: ReadIndex[] = [];
  for (let offset = newestOffsetBytes; offset > 0;) {
    const index = await indexFrameAt(handle, offset, tag);
    if (index === undefined) return [];
    chain.push(index);
    offset = index.frame.header.indexOffsetBytes;
  }
  return chain;
}

/** Undefined when there is no undamaged index frame at `offsetBytes`. */
async function indexFrameAt(
  handle: FileHandle,
  offsetBytes: number,
  tag: Uint8Array,
): Promise<ReadIndex | undefined> {
  // One read for header and payload, since the payload is mostly no longer than this.
  const bytes = await readAt(handle, offsetBytes, INDEX_FRAME_BYTES);
  const frame = frameIn(bytes, offsetBytes, tag);
  if (frame?.header.kind !== "index") return undefined;
  const { byteLength, sha256 } = frame.header;
  const payload =
    frame.endBytes <= offsetBytes + bytes.length
      ? bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + byteLength)
      : await readAt(handle, offsetBytes + FRAME_HEADER_BYTES, byteLength);
  if (Buffer.compare(sha256Of(payload), sha256) !== 0) return undefined;
  return { frame, page: decodeIndexPage(payload) };
}

/** What a walk over frames goes through, and takes in. */
interface Walk {
  readonly fromBytes: number;
  /** From here on payloads are checked too. */
  readonly verifyFromBytes: number;
  readonly endBytes: number;
  readonly tag: Uint8Array;
  readonly contents: ChunkFileContents;
}

/** Takes the frames from `fromBytes` on into `contents`; steps over what is damaged. */
async function walkFrames(
  handle: FileHandle,
  { fromBytes, verifyFromBytes, endBytes, tag, contents }: Walk,
): Promise<Pick<ChunkFileScan, "unindexed" | "goodBytes" | "damagedBytes">> {
  const unindexed: IndexEntry[] = [];
  let goodBytes = fromBytes;
  let wholeBytes = fromBytes;
  let marks: FoundFrame | undefined;
  for (let offset = fromBytes; offset < endBytes;) {
    const frame =
      (await frameAt(handle, offset, tag)) ??
      (await findNextFrame(handle, offset + 1, endBytes, tag));
    if (frame === undefined) break;
    offset = frame.endBytes;
    if (frame.endBytes > endBytes) continue;
    const { header } = frame;
    const isChunk = header.kind === "chunk";
    if (!isChunk || frame.offsetBytes >= verifyFromBytes) {
      const payload = await payloadOf(handle, frame);
      if (payload === undefined) continue;
      if (header.kind === "end") contents.chunkCount = decodeEnd(payload) ?? contents.chunkCount;
      if (header.kind === "marks") marks = frame;
    }
    if (isChunk) {
      if (frame.offsetBytes >= verifyFromBytes && !hasItsMarks(frame, marks)) continue;
      const { sequence, byteLength, marksBytes, receivedAtMs } = header;
      const entry = {
        sequence,
        byteLength,
        offsetBytes: frame.offsetBytes,
        hasMarks: marksBytes > 0,
      };
      contents.addChunk(entry, receivedAtMs);
      unindexed.push(entry);
    }
    wholeBytes += frame.endBytes - frame.offsetBytes;
    goodBytes = frame.endBytes;
  }
  return { unindexed, goodBytes, damagedBytes: goodBytes - wholeBytes };
}

/**
 * Whether the marks that came with a chunk are there.
 *
 * @param marks the last undamaged frame of marks before the chunk
 */
function hasItsMarks(chunk: FoundFrame, marks: FoundFrame | undefined): boolean {
  return (
    chunk.header.marksBytes === 0 ||
    (marks?.endBytes === chunk.offsetBytes && marks.header.sequence === chunk.header.sequence)
  );
}
