import type { FileHandle } from "node:fs/promises";

/** Makes what was written to files durable. */
export interface DataSync {
  /**
   * Resolves when all bytes that were written to the file before the call, and its length, are on
   * stable storage. `handle` must have been open before they were written: only then does a failure
   * to write them back, which may have happened long before this call, show (fsync(2), Errors).
   *
   * Rejects with the system's error. What was written since the last success is then in an unknown
   * state, and no later success says anything about it.
   */
  sync(handle: FileHandle): Promise<void>;
}

/** Each file by an fdatasync of its own, which makes a new length durable as well (fdatasync(2)). */
export const separateSync: DataSync = {
  sync: (handle) => handle.datasync(),
};
