import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "./durable-files.ts";

/** When a directory was synced, by a count of all syncs and failures. */
interface SyncHistory {
  /** When the newest sync began that succeeded: names made before are durable. */
  succeededFrom: number;
  /** When a sync failed last. */
  failedAt: number;
}

/**
 * Knows of which directories this process has made the entries durable, and makes those of others so.
 * That a directory or file is there proves nothing: a process that was killed, or whose sync failed,
 * may have left its name in memory only.
 */
export class DurableDirectories {
  readonly #rootDirectory: string;
  /** Directories whose own names, up to the root, are durable. */
  readonly #named = new Set<string>();
  readonly #histories = new Map<string, SyncHistory>();
  #count = 0;

  /** @param rootDirectory itself durable already; all others are in it */
  constructor(rootDirectory: string) {
    this.#rootDirectory = rootDirectory;
  }

  /** Makes a directory and those above it, where they are missing; their names are durable then. */
  async make(directory: string): Promise<void> {
    if (this.#named.has(directory)) return;
    await mkdir(directory, { recursive: true });
    for (let at = directory; at !== this.#rootDirectory && at !== dirname(at); at = dirname(at)) {
      await syncDirectory(dirname(at));
    }
    this.#named.add(directory);
  }

  /** Makes the names of a directory's entries durable that were made before the call. */
  async sync(directory: string): Promise<void> {
    const history = this.#historyOf(directory);
    this.#count += 1;
    const begunAt = this.#count;
    try {
      await syncDirectory(directory);
      history.succeededFrom = Math.max(history.succeededFrom, begunAt);
    } catch (error) {
      this.#count += 1;
      history.failedAt = this.#count;
      throw error;
    }
  }

  /** Like `make` and `sync`, unless this process has done it and nothing failed since. */
  async trust(directory: string): Promise<void> {
    await this.make(directory);
    const { succeededFrom, failedAt } = this.#historyOf(directory);
    if (succeededFrom <= failedAt) await this.sync(directory);
  }

  /** A directory is being removed: what is made under its name later is new. */
  forget(directory: string): void {
    const isInside = (path: string): boolean =>
      path === directory || path.startsWith(`${directory}/`);
    for (const path of this.#named) if (isInside(path)) this.#named.delete(path);
    for (const path of this.#histories.keys()) if (isInside(path)) this.#histories.delete(path);
  }

  #historyOf(directory: string): SyncHistory {
    let history = this.#histories.get(directory);
    if (history === undefined) {
      history = { succeededFrom: 0, failedAt: 0 };
      this.#histories.set(directory, history);
    }
    return history;
  }
}
