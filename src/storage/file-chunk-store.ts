import { type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type RecordingId, type SegmentId, segmentIdSchema } from "../contract/ids.ts";
import type {
  ChunkStore,
  SegmentDescription,
  SegmentLog,
  SegmentReader,
} from "../recording/ports.ts";
import { StorageFailedError } from "../recording/errors.ts";
import type { TurnKind } from "../recording/thread-turns.ts";
import { ChunkFile, plainFrame } from "./chunk-file.ts";
import { ChunkFileReader } from "./chunk-file-reader.ts";
import { type ChunkFileScan, scanChunkFile } from "./chunk-file-scan.ts";
import { TAG_BYTES, encodeFrameHeader } from "./chunk-frame.ts";
import { type DataSync, separateSync } from "./data-sync.ts";
import { DurableDirectories } from "./durable-directories.ts";
import { syncDirectory } from "./durable-files.ts";
import { type RecordingsLayout, TEMPORARY_SUFFIX } from "./layout.ts";
import { readAt, writeFully } from "./whole-transfer.ts";
import { encodeDescription } from "./segment-frame.ts";
import { storageFault, systemErrorCode } from "./storage-fault.ts";

/** Keeps every segment in a chunk file of its own. */
export class FileChunkStore implements ChunkStore {
  readonly #layout: RecordingsLayout;
  readonly #onFound: (finding: string, path: string, bytes: number) => void;
  readonly #dataSync: DataSync;
  readonly #directories: DurableDirectories;
  /** Open logs by path: readers stop where their durable part ends. */
  readonly #logs = new Map<string, ChunkFile>();
  /** Files behind whose durable part a failure left bytes that could not be cut off. */
  readonly #untrustedTails = new Map<string, number>();

  /**
   * @param onFound told when opening a file finds a torn tail or damaged bytes: what, in which file,
   * how many bytes
   * @param dataSync how chunks are made durable
   */
  constructor(
    layout: RecordingsLayout,
    onFound: (finding: string, path: string, bytes: number) => void,
    dataSync: DataSync = separateSync,
  ) {
    this.#layout = layout;
    this.#onFound = onFound;
    this.#dataSync = dataSync;
    this.#directories = new DurableDirectories(layout.rootDirectory);
  }

  async create(description: SegmentDescription): Promise<SegmentLog> {
    const { recordingId, segmentId } = description;
    const directory = this.#layout.segmentsDirectory(recordingId);
    const path = this.#layout.segmentPath(recordingId, segmentId);
    const temporaryPath = `${path}${TEMPORARY_SUFFIX}`;
    try {
      await this.#directories.make(directory);
      const handle = await open(temporaryPath, "w");
      try {
        await handle.writeFile(encodeOpening(description));
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await rename(temporaryPath, path);
      await this.#directories.sync(directory);
    } catch (error) {
      throw storageFault(error, `create segment ${segmentId}`);
    }
    const log = await this.#open(recordingId, segmentId, { isNew: true });
    if (log === undefined) {
      throw storageFault(undefined, `find segment ${segmentId} after it was created`);
    }
    return log;
  }

  open(recordingId: RecordingId, segmentId: SegmentId): Promise<SegmentLog | undefined> {
    return this.#open(recordingId, segmentId, { isNew: false });
  }

  /** @param isNew made just now: it is known that all of it is durable */
  async #open(
    recordingId: RecordingId,
    segmentId: SegmentId,
    { isNew }: { readonly isNew: boolean },
  ): Promise<SegmentLog | undefined> {
    const path = this.#layout.segmentPath(recordingId, segmentId);
    const handle = await openExisting(path, "r+");
    if (handle === undefined) return undefined;
    try {
      const untrustedFromBytes = this.#untrustedTails.get(path);
      if (untrustedFromBytes !== undefined) await handle.truncate(untrustedFromBytes);
      const { size } = await handle.stat();
      const scan = await scanChunkFile(handle, size);
      if (scan === undefined) throw unreadableFile(path);
      if (scan.goodBytes < size) {
        this.#onFound("torn tail cut off", path, size - scan.goodBytes);
        await handle.truncate(scan.goodBytes);
      }
      if (scan.damagedBytes > 0) this.#onFound("damaged bytes", path, scan.damagedBytes);
      if (!isNew) await this.#makeDurable(handle, scan);
      await this.#directories.trust(this.#layout.segmentsDirectory(recordingId));
      this.#untrustedTails.delete(path);
      const log: ChunkFile = new ChunkFile({
        path,
        handle,
        scan,
        dataSync: this.#dataSync,
        onClose: (failedAtBytes) => {
          if (this.#logs.get(path) === log) this.#logs.delete(path);
          if (failedAtBytes !== undefined) this.#untrustedTails.set(path, failedAtBytes);
        },
      });
      this.#logs.set(path, log);
      return log;
    } catch (error) {
      await handle.close();
      throw storageFault(error, `open segment ${segmentId}`);
    }
  }

  /**
   * What an earlier process wrote last may have reached only the page cache, and all that was scanned
   * is acknowledged from now on. A sync alone would not do: if one has failed before, the kernel takes
   * the pages for clean though they are not on the disk (fsync(2), Errors). So the last write is
   * written once more, then synced.
   */
  async #makeDurable(handle: FileHandle, scan: ChunkFileScan): Promise<void> {
    const { lastWriteBytes, goodBytes } = scan;
    const bytes = await readAt(handle, lastWriteBytes, Math.max(0, goodBytes - lastWriteBytes));
    await writeFully(handle, [bytes], lastWriteBytes);
    await this.#dataSync.sync(handle);
  }

  async read(
    recordingId: RecordingId,
    segmentId: SegmentId,
    turnKind: TurnKind = "reader",
  ): Promise<SegmentReader | undefined> {
    const path = this.#layout.segmentPath(recordingId, segmentId);
    const handle = await openExisting(path, "r");
    if (handle === undefined) return undefined;
    const log = this.#logs.get(path);
    if (log !== undefined) {
      const { description, tag } = log;
      const file = { description, tag, contents: log.state.snapshot() };
      return new ChunkFileReader(handle, file, turnKind);
    }
    try {
      const { size } = await handle.stat();
      const scan = await scanChunkFile(handle, this.#untrustedTails.get(path) ?? size);
      if (scan === undefined) throw unreadableFile(path);
      return new ChunkFileReader(handle, scan, turnKind);
    } catch (error) {
      await handle.close();
      throw storageFault(error, `read segment ${segmentId}`);
    }
  }

  async list(recordingId: RecordingId): Promise<SegmentId[]> {
    let names: string[];
    try {
      names = await readdirOrNone(this.#layout.segmentsDirectory(recordingId));
    } catch (error) {
      throw storageFault(error, `list the segments of recording ${recordingId}`);
    }
    return names.flatMap((name) => {
      const parsed = segmentIdSchema.safeParse(this.#layout.segmentIdOf(name));
      return parsed.success ? [parsed.data] : [];
    });
  }

  async removeUnfinished(recordingId: RecordingId): Promise<number> {
    const directory = this.#layout.segmentsDirectory(recordingId);
    try {
      const names = await readdirOrNone(directory);
      const unfinished = names.filter((name) => name.endsWith(TEMPORARY_SUFFIX));
      await Promise.all(unfinished.map((name) => rm(join(directory, name))));
      return unfinished.length;
    } catch (error) {
      throw storageFault(error, `clear the segments of recording ${recordingId}`);
    }
  }

  async deleteRecording(recordingId: RecordingId): Promise<void> {
    const directory = this.#layout.recordingDirectory(recordingId);
    try {
      this.#directories.forget(directory);
      await rm(directory, { recursive: true, force: true });
      await syncDirectory(this.#layout.rootDirectory);
    } catch (error) {
      throw storageFault(error, `delete recording ${recordingId}`);
    }
  }
}

/**
 * The beginning of a chunk file: the segment's description, twice, since nothing else of the file can
 * be used without it.
 */
function encodeOpening(description: SegmentDescription): Uint8Array {
  const { header, payload } = plainFrame("segment", encodeDescription(description));
  const tag = crypto.getRandomValues(new Uint8Array(TAG_BYTES));
  const encoded = encodeFrameHeader(header, { tag, writeOffsetBytes: 0, indexOffsetBytes: 0 });
  return Buffer.concat([encoded, payload, encoded, payload]);
}

/** A chunk file that does not say what it holds: the disk gave its bytes, but they are no description. */
function unreadableFile(path: string): StorageFailedError {
  return new StorageFailedError(
    `${path} is empty, damaged at its beginning, or no chunk file: it does not say what it holds.`,
  );
}

/** The names in a directory; none when it was not made yet, which comes with its first file. */
async function readdirOrNone(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function openExisting(path: string, flags: "r" | "r+") {
  try {
    return await open(path, flags);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw storageFault(error, `open ${path}`);
  }
}
