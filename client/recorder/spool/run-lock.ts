/** Names of locks that this library holds in its origin begin so. */
const LOCK_PREFIX = "track-capture-run:";

/** A lock that is held until it is released, or its page or worker is gone. */
export interface RunLock {
  release(): void;
}

/**
 * Takes the lock of a run for this page or worker; null when another one holds it: then the run lives
 * and nothing of its spool may be touched. The browser itself frees the lock of a page that crashed.
 */
export async function takeRunLock(locks: LockManager, ownerId: string): Promise<RunLock | null> {
  return new Promise((resolve, reject) => {
    const held = locks.request(LOCK_PREFIX + ownerId, { ifAvailable: true }, (lock) => {
      if (lock === null) {
        resolve(null);
        return undefined;
      }
      return new Promise<void>((release) => {
        resolve({ release });
      });
    });
    held.catch(reject);
  });
}

/** Owners whose lock is held anywhere in this origin at the moment. */
export async function livingOwners(locks: LockManager): Promise<ReadonlySet<string>> {
  const { held = [] } = await locks.query();
  return new Set(
    held.flatMap(({ name = "" }) =>
      name.startsWith(LOCK_PREFIX) ? [name.slice(LOCK_PREFIX.length)] : [],
    ),
  );
}
