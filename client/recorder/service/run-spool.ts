import type { ChunkSpool } from "../spool/chunk-spool.ts";
import { FailoverSpool } from "../spool/failover-spool.ts";
import { IndexedDbSpool, type SpoolOwner } from "../spool/indexed-db-spool.ts";
import { MemorySpool } from "../spool/memory-spool.ts";
import { takeRunLock, type RunLock } from "../spool/run-lock.ts";
import type { SpoolDatabase } from "../spool/spool-database.ts";
import type { ChunkRecord, SegmentRecord } from "../spool/spool-records.ts";

/** What this browser has to keep chunks beyond the page. */
export interface Disk {
  readonly database: SpoolDatabase;
  readonly locks: LockManager;
}

/** A segment that was left on the disk, with its chunks in order of sequence. */
export interface FoundSegment {
  readonly segment: SegmentRecord;
  readonly chunks: readonly ChunkRecord[];
}

/** Where a run's chunks wait, ready to be used. */
export interface RunSpool {
  readonly spool: ChunkSpool;
  /** The part of it that is in memory only. */
  readonly memory: MemorySpool;
  /** Why nothing is kept on the disk; null where it is. */
  readonly noDiskReason: string | null;
  /** What it held when it was opened. */
  readonly found: readonly FoundSegment[];
  /** To be called when the run is over: from then on others may take over what is left. */
  readonly release: () => void;
}

/** Opens the spool of a new run: on the disk where there is one, else in memory. Never rejects. */
export async function openRunSpool(
  disk: Disk | null,
  owner: SpoolOwner,
  onTrouble: (cause: unknown) => void,
): Promise<RunSpool> {
  if (disk === null) {
    return inMemory("This browser has no storage here that would outlive the page.");
  }
  try {
    const lock = await takeRunLock(disk.locks, owner.ownerId);
    if (lock === null) throw new TypeError(`Run ${owner.ownerId} exists twice`);
    try {
      return await onDisk(disk, owner, lock, onTrouble);
    } catch (cause) {
      lock.release();
      throw cause;
    }
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    return inMemory(`This browser's storage cannot be used (${words}).`);
  }
}

/**
 * Takes over what a dead run left on the disk. Null when the run lives, or something else takes it
 * over, or nothing is left.
 */
export async function adoptRunSpool(
  disk: Disk,
  owner: SpoolOwner,
  onTrouble: (cause: unknown) => void,
): Promise<RunSpool | null> {
  const lock = await takeRunLock(disk.locks, owner.ownerId);
  if (lock === null) return null;
  try {
    const adopted = await onDisk(disk, owner, lock, onTrouble);
    if (adopted.found.length > 0) return adopted;
  } catch (cause) {
    lock.release();
    throw cause;
  }
  lock.release();
  return null;
}

async function onDisk(
  { database }: Disk,
  owner: SpoolOwner,
  lock: RunLock,
  onTrouble: (cause: unknown) => void,
): Promise<RunSpool> {
  const memory = new MemorySpool();
  const persistent = new IndexedDbSpool(database, owner);
  const found = await persistent.load();
  const spool = new FailoverSpool(persistent, memory, onTrouble);
  return { spool, memory, noDiskReason: null, found, release: () => lock.release() };
}

function inMemory(noDiskReason: string): RunSpool {
  const memory = new MemorySpool();
  return { spool: memory, memory, noDiskReason, found: [], release: () => undefined };
}
