import { type FileHandle, open } from "node:fs/promises";
import { systemErrorCode } from "../storage/storage-fault.ts";

/** How much more is written before the disk is asked to take it. */
const SYNC_STEP_BYTES = 4 * 1024 * 1024;

/**
 * Has the disk take a file while another process is still writing it, so that little is left to sync
 * at its end. A matter of speed alone: what makes the file durable is the sync of publishing it.
 */
export class SyncAhead {
  readonly #path: string;
  #unsyncedBytes = 0;
  #handle: FileHandle | undefined;
  #syncing: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Told that about so many more bytes were written. */
  wrote(bytes: number): void {
    this.#unsyncedBytes += bytes;
    if (this.#unsyncedBytes < SYNC_STEP_BYTES || this.#syncing !== undefined) return;
    this.#unsyncedBytes = 0;
    this.#syncing = this.#sync().finally(() => {
      this.#syncing = undefined;
    });
  }

  /** Waits for a sync that is under way, and closes the file. */
  async stop(): Promise<void> {
    await this.#syncing;
    await this.#handle?.close();
  }

  async #sync(): Promise<void> {
    try {
      this.#handle ??= await open(this.#path, "r+");
      await this.#handle.datasync();
    } catch (error) {
      // The other process has not made it yet, or the disk failed: then publishing fails too, since
      // the kernel tells each handle of a file that could not be written (fsync(2), Linux 4.13).
      if (systemErrorCode(error) !== "ENOENT") this.#unsyncedBytes = Number.NEGATIVE_INFINITY;
    }
  }
}
