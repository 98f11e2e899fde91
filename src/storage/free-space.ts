import { statfs } from "node:fs/promises";
import type { FreeSpace } from "../recording/ports.ts";
import { storageFault } from "./storage-fault.ts";

/** The free space of the file system that a directory is on. */
export class FileSystemSpace implements FreeSpace {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async freeBytes(): Promise<number> {
    try {
      // What a process without privileges may still write (statvfs(3), f_bavail).
      const { bavail, bsize } = await statfs(this.#directory);
      return bavail * bsize;
    } catch (error) {
      throw storageFault(error, "tell its free space");
    }
  }
}
