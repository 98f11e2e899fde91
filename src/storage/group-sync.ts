import type { FileHandle } from "node:fs/promises";
import type { DataSync } from "./data-sync.ts";

/** Syncs a whole file system. */
export interface FileSystemSync {
  /**
   * Syncs all that was written to the file system before the call. Gives false when that failed, or
   * when anything on it could not be written back since the call before: which file, it does not
   * tell.
   */
  syncAll(): Promise<boolean>;
}

/** How a `GroupSync` decides. */
export interface GroupSyncLimits {
  /** Syncs of single files at once; what comes on top shares a sync of the file system. */
  readonly separateMax: number;
  /** A sync of the file system that takes longer is not waited for. */
  readonly slowMs: number;
  /** How long after such a one all files are synced separately. */
  readonly slowCoolDownMs: number;
  /** The same after one that failed: longer than a write can be under way. */
  readonly failureCoolDownMs: number;
}

/**
 * Five or more files cost less by one sync together than each by its own, on ext4. A sync of the file
 * system also writes what other programs wrote: one that copies a disk image would hold every
 * acknowledgement up, so it gets a quarter of a second.
 */
export const GROUP_SYNC_LIMITS: GroupSyncLimits = {
  separateMax: 4,
  slowMs: 250,
  slowCoolDownMs: 10_000,
  failureCoolDownMs: 600_000,
};

/** A file that waits for its sync. */
interface Waiting {
  readonly handle: FileHandle;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: files that wait at the same time share one sync of their file system. While few wait,
 * each is synced by itself, which is faster for them. The promise is the same either way: a sync of
 * the file system covers every byte that was written before it began, and when it fails, or takes too
 * long, it proves nothing: every file that waited for it, or was written while it ran, is then synced,
 * and its failure seen, alone.
 */
export class GroupSync implements DataSync {
  readonly #fileSystem: FileSystemSync;
  readonly #limits: GroupSyncLimits;
  readonly #nowMs: () => number;
  #waiting: Waiting[] = [];
  #separateUnderWay = 0;
  #isSyncingAll = false;
  #separateUntilMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs a clock that only moves forward */
  constructor(
    fileSystem: FileSystemSync,
    limits: GroupSyncLimits = GROUP_SYNC_LIMITS,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#fileSystem = fileSystem;
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  async sync(handle: FileHandle): Promise<void> {
    const isAlone = !this.#isSyncingAll && this.#separateUnderWay < this.#limits.separateMax;
    if (isAlone || this.#isCoolingDown()) return this.#syncSeparately(handle);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ handle, resolve, reject });
    if (!this.#isSyncingAll) void this.#syncAllThatWait();
    return promise;
  }

  async #syncSeparately(handle: FileHandle): Promise<void> {
    this.#separateUnderWay += 1;
    try {
      await handle.datasync();
    } finally {
      this.#separateUnderWay -= 1;
    }
  }

  /** Never rejects. */
  async #syncAllThatWait(): Promise<void> {
    this.#isSyncingAll = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      const isCrowded = group.length + this.#separateUnderWay > this.#limits.separateMax;
      if (isCrowded && !this.#isCoolingDown() && (await this.#syncGroup())) {
        for (const { resolve } of group) resolve();
      } else {
        for (const { handle, resolve, reject } of group) {
          this.#syncSeparately(handle).then(resolve, reject);
        }
      }
    }
    this.#isSyncingAll = false;
  }

  #isCoolingDown(): boolean {
    return this.#nowMs() < this.#separateUntilMs;
  }

  /** Whether the file system was synced in time. */
  async #syncGroup(): Promise<boolean> {
    const { slowMs, slowCoolDownMs, failureCoolDownMs } = this.#limits;
    const syncing = this.#fileSystem.syncAll();
    const slow = Promise.withResolvers<"slow">();
    const timer = setTimeout(() => slow.resolve("slow"), slowMs);
    const outcome = await Promise.race([syncing, slow.promise]);
    clearTimeout(timer);
    if (outcome === "slow") {
      this.#separateUntilMs = Number.POSITIVE_INFINITY;
      void syncing.then((succeeded) =>
        this.#coolDown(succeeded ? slowCoolDownMs : failureCoolDownMs),
      );
      return false;
    }
    // The failure is told once (syncfs(2), Errors), and may be that of a file that is being written
    // now: a later sync of the file system would say nothing of it, only the file's own does.
    if (!outcome) this.#coolDown(failureCoolDownMs);
    return outcome;
  }

  #coolDown(durationMs: number): void {
    this.#separateUntilMs = this.#nowMs() + durationMs;
  }
}
