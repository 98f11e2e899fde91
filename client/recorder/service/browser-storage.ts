import { SpoolDatabase } from "../spool/spool-database.ts";
import type { StorageFigures } from "../spool/storage-watch.ts";
import type { Disk } from "./run-spool.ts";

/**
 * What this page or worker has to keep chunks beyond the page; null without IndexedDB, and without
 * locks, which only secure contexts have: nobody could tell then whose segments are whose. Null in an
 * opaque origin, too, such as a sandboxed frame's: no storage outlives that page.
 */
export function browserDisk(): Disk | null {
  if (globalThis.origin === "null") return null;
  // The DOM's types know only secure contexts of browsers that have it all.
  const factory: IDBFactory | undefined = globalThis.indexedDB;
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  if (factory === undefined || locks === undefined) return null;
  return { database: new SpoolDatabase(factory), locks };
}

/** What the browser grants this origin; null when it does not tell. */
export async function estimateBrowserStorage(): Promise<StorageFigures | null> {
  const storage: StorageManager | undefined = globalThis.navigator?.storage;
  const { usage, quota } = (await storage?.estimate()) ?? {};
  return usage === undefined || quota === undefined
    ? null
    : { usedBytes: usage, quotaBytes: quota };
}
