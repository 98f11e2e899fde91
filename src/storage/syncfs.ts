import { type FileHandle, open, statfs } from "node:fs/promises";
import { release } from "node:os";
import type { FileSystemSync } from "./group-sync.ts";

/**
 * File systems of which it is known that syncfs writes data, metadata and flushes the disk's cache
 * (statfs(2), "Filesystem type constants"): ext4, measured, and XFS, whose log force does the same for
 * files that grew. On others, such as network ones, files are synced one by one.
 */
const EXT_MAGIC = 0xef53;
const XFS_MAGIC = 0x58465342;

/** Since this version syncfs tells of writes that failed (syncfs(2), Errors). */
const LINUX_VERSION_MIN = [5, 8] as const;

/** Calls syncfs(2) on one directory's file system, in a worker. */
export class Syncfs implements FileSystemSync {
  readonly #worker: Worker;
  readonly #directory: FileHandle;
  readonly #waiting: ((succeeded: boolean) => void)[] = [];

  private constructor(worker: Worker, directory: FileHandle) {
    this.#worker = worker;
    this.#directory = directory;
    worker.addEventListener("message", (event: MessageEvent<boolean>) => {
      this.#waiting.shift()?.(event.data);
    });
  }

  /**
   * Starts the worker. Gives undefined where syncfs cannot serve: not on Linux, on an old one, on a
   * file system that is not known to be safe, without the C library's function.
   */
  static async start(directoryPath: string): Promise<Syncfs | undefined> {
    if (process.platform !== "linux" || !isLinuxRecent(release())) return undefined;
    const { type } = await statfs(directoryPath);
    if (type !== EXT_MAGIC && type !== XFS_MAGIC) return undefined;
    const worker = new Worker(new URL("./syncfs-worker.ts", import.meta.url).href);
    // The server ends by itself when nothing else runs.
    worker.unref();
    const canSync = await new Promise<boolean>((resolve) => {
      worker.addEventListener("message", ({ data }) => resolve(data === true), { once: true });
      worker.addEventListener("error", () => resolve(false), { once: true });
    });
    if (!canSync) {
      worker.terminate();
      return undefined;
    }
    // Opened once: a failed write is told to each descriptor that was open before it.
    return new Syncfs(worker, await open(directoryPath, "r"));
  }

  syncAll(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#worker.postMessage(this.#directory.fd);
    });
  }

  /** Ends the worker; nothing must wait for it any more. */
  async stop(): Promise<void> {
    this.#worker.terminate();
    await this.#directory.close();
  }
}

function isLinuxRecent(kernelRelease: string): boolean {
  const [major = 0, minor = 0] = kernelRelease.split(".").map((part) => Number.parseInt(part, 10));
  const [majorMin, minorMin] = LINUX_VERSION_MIN;
  return major > majorMin || (major === majorMin && minor >= minorMin);
}
