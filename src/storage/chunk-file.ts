import { type FileHandle, open } from "node:fs/promises";
import { StorageFailedError } from "../recording/errors.ts";
import type { NewChunk, SegmentDescription, SegmentLog } from "../recording/ports.ts";
import {
  FRAME_HEADER_BYTES,
  type FrameHeader,
  decodeFrameHeader,
  encodeFrameHeader,
  sha256Of,
} from "./chunk-frame.ts";
import type { ChunkFileContents } from "./chunk-file-contents.ts";
import { type ChunkFileScan, SYNC_BYTES_MAX, encodeEnd, readAt } from "./chunk-file-scan.ts";
import { storageFault } from "./storage-fault.ts";

// writev takes at most IOV_MAX buffers (1,024 on Linux); a frame is two.
const FRAMES_PER_WRITE_MAX = 512;

/** A frame that is to be written. */
interface Frame {
  readonly header: FrameHeader;
  readonly payload: Uint8Array;
}

/**
 * The log of one segment: frames appended to one file, each group made durable by one write and one
 * fdatasync. fdatasync also makes the new length durable, as data could not be read without it
 * (fdatasync(2)).
 */
export class ChunkFile implements SegmentLog {
  readonly description: SegmentDescription;
  readonly #path: string;
  /** Undefined while suspended. */
  #handle: FileHandle | undefined;
  readonly #scan: ChunkFileScan;
  readonly #onClose: (failedAtBytes: number | undefined) => void;
  #durableBytes: number;
  #failed = false;

  /**
   * @param path of the file, to open it again after `suspend`
   * @param handle of the file, cut at `scan.goodBytes`; closed by `close`
   * @param onClose told of where the durable part ends when a failure left bytes behind it
   */
  constructor(
    path: string,
    handle: FileHandle,
    scan: ChunkFileScan,
    onClose: (failedAtBytes: number | undefined) => void,
  ) {
    this.description = scan.description;
    this.#path = path;
    this.#handle = handle;
    this.#scan = scan;
    this.#durableBytes = scan.goodBytes;
    this.#onClose = onClose;
  }

  get state(): ChunkFileContents {
    return this.#scan.contents;
  }

  async hashOf(sequence: number): Promise<Uint8Array | undefined> {
    const place = this.#scan.contents.frames.get(sequence);
    if (place === undefined) return undefined;
    const handle = await this.#opened();
    const header = decodeFrameHeader(await readAt(handle, place.offsetBytes, FRAME_HEADER_BYTES));
    return header?.sequence === sequence ? header.sha256 : undefined;
  }

  async append(chunks: readonly NewChunk[]): Promise<void> {
    let group: Frame[] = [];
    let groupBytes = 0;
    for (const chunk of chunks) {
      const header = chunkHeader(chunk);
      const frameBytes = FRAME_HEADER_BYTES + chunk.payload.length;
      const full =
        groupBytes + frameBytes > SYNC_BYTES_MAX || group.length === FRAMES_PER_WRITE_MAX;
      if (group.length > 0 && full) {
        await this.#write(group);
        group = [];
        groupBytes = 0;
      }
      group.push({ header, payload: chunk.payload });
      groupBytes += frameBytes;
    }
    if (group.length > 0) await this.#write(group);
  }

  async end(chunkCount: number): Promise<void> {
    const payload = encodeEnd(chunkCount);
    const header = endHeader(payload);
    await this.#write([{ header, payload }]);
    this.#scan.contents.chunkCount = chunkCount;
  }

  async suspend(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async close(): Promise<void> {
    this.#onClose(this.#failed ? this.#durableBytes : undefined);
    await this.suspend();
  }

  async #opened(): Promise<FileHandle> {
    this.#handle ??= await open(this.#path, "r+");
    return this.#handle;
  }

  /** Makes frames durable, then takes them into the index. A failure leaves the file as it was. */
  async #write(frames: readonly Frame[]): Promise<void> {
    const offset = this.#durableBytes;
    const buffers = frames.flatMap(({ header, payload }) => [encodeFrameHeader(header), payload]);
    const byteLength = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    try {
      const handle = await this.#opened();
      if (this.#failed) await this.#rollBack(handle);
      await writeFully(handle, buffers, byteLength, offset);
      await handle.datasync();
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
    let frameOffset = offset;
    for (const { header } of frames) {
      if (header.kind === "chunk") this.#scan.contents.addChunk(header, frameOffset);
      frameOffset += FRAME_HEADER_BYTES + header.byteLength;
    }
    this.#durableBytes = frameOffset;
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

function chunkHeader(chunk: NewChunk): FrameHeader {
  const { sequence, payload, sha256, capturedAtMs, receivedAtMs } = chunk;
  return {
    kind: "chunk",
    sequence,
    byteLength: payload.length,
    capturedAtMs,
    receivedAtMs,
    sha256,
  };
}

function endHeader(payload: Uint8Array): FrameHeader {
  return {
    kind: "end",
    sequence: 0,
    byteLength: payload.length,
    capturedAtMs: null,
    receivedAtMs: 0,
    sha256: sha256Of(payload),
  };
}

/** Writes all buffers at `offsetBytes`; a short write is continued where it stopped. */
async function writeFully(
  handle: FileHandle,
  buffers: readonly Uint8Array[],
  byteLength: number,
  offsetBytes: number,
): Promise<void> {
  const { bytesWritten } = await handle.writev([...buffers], offsetBytes);
  if (bytesWritten === byteLength) return;
  const rest = Buffer.concat(buffers).subarray(bytesWritten);
  let written = 0;
  while (written < rest.length) {
    const result = await handle.write(
      rest,
      written,
      rest.length - written,
      offsetBytes + bytesWritten + written,
    );
    written += result.bytesWritten;
  }
}
