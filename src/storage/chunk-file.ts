import { type FileHandle, open } from "node:fs/promises";
import { StorageFailedError } from "../recording/errors.ts";
import type { NewChunk, SegmentDescription, SegmentLog } from "../recording/ports.ts";
import type { ChunkFileContents } from "./chunk-file-contents.ts";
import type { ChunkFileScan } from "./chunk-file-scan.ts";
import {
  FRAME_HEADER_BYTES,
  type FrameContext,
  type FrameHeader,
  type FrameKind,
  encodeFrameHeader,
  sha256Of,
} from "./chunk-frame.ts";
import type { DataSync } from "./data-sync.ts";
import { frameAt, payloadOf } from "./frame-search.ts";
import { type IndexEntry, encodeIndexPage } from "./index-frame.ts";
import { writeFully } from "./whole-transfer.ts";
import { encodeEnd, encodeMarks } from "./segment-frame.ts";
import { storageFault } from "./storage-fault.ts";

/**
 * Most bytes that one write brings (a single larger frame aside): what is read whole when a file is
 * opened after a crash is one write.
 */
const WRITE_BYTES_MAX = 8 * 1024 * 1024;

// writev takes at most IOV_MAX buffers (1,024 on Linux); a frame is two, and an index frame joins.
const FRAMES_PER_WRITE_MAX = 500;

/** Chunks after which an index frame is written: at 1 KiB, it costs less than 0.02 % of them. */
const CHUNKS_PER_INDEX = 64;

/** A frame that is to be written. */
interface Frame {
  readonly header: FrameHeader;
  readonly payload: Uint8Array;
}

/** How a chunk file gets at its file. */
export interface ChunkFileParts {
  /** To open the file again after `suspend`. */
  readonly path: string;
  /** Of the file, cut at `scan.goodBytes`; closed by `close`. */
  readonly handle: FileHandle;
  readonly scan: ChunkFileScan;
  readonly dataSync: DataSync;
  /** Told of where the durable part ends when a failure left bytes behind it. */
  readonly onClose: (failedAtBytes: number | undefined) => void;
}

/**
 * The log of one segment: frames appended to one file, each group made durable by one write and one
 * sync, which it may share with other files.
 */
export class ChunkFile implements SegmentLog {
  readonly description: SegmentDescription;
  readonly tag: Uint8Array;
  readonly #parts: ChunkFileParts;
  readonly #contents: ChunkFileContents;
  /** Undefined while suspended. */
  #handle: FileHandle | undefined;
  #durableBytes: number;
  #indexOffsetBytes: number;
  /** Chunks behind the newest index frame. */
  #unindexed: IndexEntry[];
  #failed = false;

  constructor(parts: ChunkFileParts) {
    const { scan, handle } = parts;
    this.description = scan.description;
    this.tag = scan.tag;
    this.#parts = parts;
    this.#contents = scan.contents;
    this.#handle = handle;
    this.#durableBytes = scan.goodBytes;
    this.#indexOffsetBytes = scan.indexOffsetBytes;
    this.#unindexed = [...scan.unindexed];
  }

  get state(): ChunkFileContents {
    return this.#contents;
  }

  async hashOf(sequence: number): Promise<Uint8Array | undefined> {
    const place = this.#contents.frames.get(sequence);
    if (place === undefined) return undefined;
    const handle = await this.#opened();
    const frame = await frameAt(handle, place.offsetBytes, this.tag);
    if (frame?.header.sequence !== sequence) return undefined;
    // A chunk that has rotted is as good as none: when it is sent again, it is stored again.
    return (await payloadOf(handle, frame)) === undefined ? undefined : frame.header.sha256;
  }

  async append(chunks: readonly NewChunk[]): Promise<void> {
    let group: Frame[] = [];
    let groupBytes = 0;
    for (const chunk of chunks) {
      const own = chunkFrames(chunk);
      const ownBytes = own.reduce((sum, frame) => sum + frameBytes(frame), 0);
      const full =
        groupBytes + ownBytes > WRITE_BYTES_MAX || group.length + own.length > FRAMES_PER_WRITE_MAX;
      if (group.length > 0 && full) {
        await this.#write(group);
        group = [];
        groupBytes = 0;
      }
      group.push(...own);
      groupBytes += ownBytes;
    }
    if (group.length > 0) await this.#write(group);
  }

  async end(chunkCount: number): Promise<void> {
    await this.#write([plainFrame("end", encodeEnd(chunkCount))]);
    this.#contents.chunkCount = chunkCount;
  }

  async suspend(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async close(): Promise<void> {
    this.#parts.onClose(this.#failed ? this.#durableBytes : undefined);
    await this.suspend();
  }

  async #opened(): Promise<FileHandle> {
    this.#handle ??= await open(this.#parts.path, "r+");
    return this.#handle;
  }

  /** Makes frames durable, then takes them into the index. A failure leaves the file as it was. */
  async #write(frames: readonly Frame[]): Promise<void> {
    const entries: IndexEntry[] = [];
    let end = this.#durableBytes;
    for (const frame of frames) {
      const { kind, sequence, byteLength, marksBytes } = frame.header;
      if (kind === "chunk") {
        entries.push({ sequence, byteLength, offsetBytes: end, hasMarks: marksBytes > 0 });
      }
      end += frameBytes(frame);
    }
    const unindexed = [...this.#unindexed, ...entries];
    const isIndexDue = unindexed.length >= CHUNKS_PER_INDEX;
    const written = isIndexDue ? [...frames, this.#indexFrame(unindexed, frames)] : frames;
    await this.#writeDurably(written);

    const receivedAtMs = newestArrivalMs(frames);
    for (const entry of entries) this.#contents.addChunk(entry, receivedAtMs);
    if (isIndexDue) this.#indexOffsetBytes = end;
    this.#unindexed = isIndexDue ? [] : unindexed;
  }

  /** @param frames those that are written with it, of which the contents do not tell yet */
  #indexFrame(entries: readonly IndexEntry[], frames: readonly Frame[]): Frame {
    const { chunkCount, lastChunkAtMs } = this.#contents;
    const newestMs = Math.max(lastChunkAtMs ?? 0, newestArrivalMs(frames));
    return plainFrame("index", encodeIndexPage({ entries, chunkCount, lastChunkAtMs: newestMs }));
  }

  async #writeDurably(frames: readonly Frame[]): Promise<void> {
    const { tag } = this;
    const offset = this.#durableBytes;
    const context: FrameContext = {
      tag,
      writeOffsetBytes: offset,
      indexOffsetBytes: this.#indexOffsetBytes,
    };
    const buffers = frames.flatMap(({ header, payload }) => [
      encodeFrameHeader(header, context),
      payload,
    ]);
    const byteLength = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    try {
      const handle = await this.#opened();
      if (this.#failed) await this.#rollBack(handle);
      await writeFully(handle, buffers, offset);
      await this.#parts.dataSync.sync(handle);
    } catch (error) {
      this.#failed = true;
      const fault = storageFault(error, `append to segment ${this.description.segmentId}`);
      try {
        await this.#rollBack(await this.#opened());
      } catch (rollBackError) {
        // The next write, or the next opening of the file, cuts the tail off before anything else.
        throw new StorageFailedError(
          `${fault.message} Its tail could not be cut off yet (${String(rollBackError)}).`,
          { cause: error },
        );
      }
      throw fault;
    }
    this.#durableBytes = offset + byteLength;
  }

  // What a failed write or sync left behind is cut off before anything else is written. A sync that
  // failed says nothing about the next one's success (the kernel may have dropped the pages), so the
  // bytes are written anew by whoever sends them again, never synced again.
  async #rollBack(handle: FileHandle): Promise<void> {
    await handle.truncate(this.#durableBytes);
    await handle.datasync();
    this.#failed = false;
  }
}

/** A frame of a kind that has no times, and sequence 0. */
export function plainFrame(kind: Exclude<FrameKind, "chunk">, payload: Uint8Array): Frame {
  const header = {
    kind,
    sequence: 0,
    byteLength: payload.length,
    marksBytes: 0,
    capturedAtMs: null,
    receivedAtMs: 0,
    sha256: sha256Of(payload),
  };
  return { header, payload };
}

function frameBytes({ header }: Frame): number {
  return FRAME_HEADER_BYTES + header.byteLength;
}

/** When the newest of them came; frames that have no time say 0. */
function newestArrivalMs(frames: readonly Frame[]): number {
  return Math.max(...frames.map(({ header }) => header.receivedAtMs));
}

/** A chunk's frame, after that of its marks when it has any: both go into the same write. */
function chunkFrames(chunk: NewChunk): Frame[] {
  const { sequence, payload, sha256, capturedAtMs, receivedAtMs, marks } = chunk;
  const before: Frame[] = [];
  if (marks.length > 0) {
    const { header, payload: encoded } = plainFrame("marks", encodeMarks(marks));
    before.push({ header: { ...header, sequence }, payload: encoded });
  }
  const marksBytes = before[0]?.payload.length ?? 0;
  const byteLength = payload.length;
  const times = { capturedAtMs, receivedAtMs };
  const header = { kind: "chunk" as const, sequence, byteLength, marksBytes, ...times, sha256 };
  return [...before, { header, payload }];
}
