import type { UnacknowledgedChunk } from "../recorder.d.ts";
import type { Disk } from "../service/run-spool.ts";
import { readSegment } from "../spool/indexed-db-spool.ts";
import { livingOwners, takeRunLock } from "../spool/run-lock.ts";
import { DATABASE_NAME } from "../spool/spool-database.ts";
import type { SegmentRecord } from "../spool/spool-records.ts";

/** Segments on the disk whose run is over or died. Makes no database where there is none. */
export async function orphanedSegments(disk: Disk): Promise<readonly SegmentRecord[]> {
  if (!(await mayExist())) return [];
  const segments = await disk.database.segments();
  const living = await livingOwners(disk.locks);
  return segments.filter(({ ownerId }) => !living.has(ownerId));
}

/** What is left of one of them, or of all. */
export async function orphanedChunks(
  disk: Disk,
  segmentId: string | undefined,
): Promise<readonly UnacknowledgedChunk[]> {
  const found: UnacknowledgedChunk[] = [];
  for (const segment of await orphanedSegments(disk)) {
    if (segmentId !== undefined && segment.segmentId !== segmentId) continue;
    found.push(...(await readSegment(disk.database, segment)));
  }
  return found;
}

/** Removes one with its chunks; false when there is no such, or its run lives. */
export async function removeOrphanedSegment(disk: Disk, segmentId: string): Promise<boolean> {
  const orphans = await orphanedSegments(disk);
  const segment = orphans.find((orphan) => orphan.segmentId === segmentId);
  if (segment === undefined) return false;
  const lock = await takeRunLock(disk.locks, segment.ownerId);
  if (lock === null) return false;
  try {
    await disk.database.removeSegment(segmentId);
    return true;
  } finally {
    lock.release();
  }
}

/** Firefox before 126 cannot tell; there an empty database is made. */
async function mayExist(): Promise<boolean> {
  if (!("databases" in indexedDB)) return true;
  let databases: readonly IDBDatabaseInfo[];
  try {
    databases = await indexedDB.databases();
  } catch (cause) {
    // Chromium 156 rejects with undefined where a page may have no storage.
    if (cause !== undefined) throw cause;
    throw new DOMException("The page may have no storage", "SecurityError");
  }
  return databases.some(({ name }) => name === DATABASE_NAME);
}
