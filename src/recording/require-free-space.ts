import { StorageFullError } from "./errors.ts";
import type { FreeSpace } from "./ports.ts";

/**
 * Refuses what can wait while so little space is free that it is better left to recordings that run.
 *
 * @param what is begun, such as "a recording is started"
 * @throws StorageFullError, StorageFailedError
 */
export async function requireFreeSpace(
  freeSpace: FreeSpace,
  bytesMin: number,
  what: string,
): Promise<void> {
  const freeBytes = await freeSpace.freeBytes();
  if (freeBytes >= bytesMin) return;
  throw new StorageFullError(`${freeBytes} bytes are free; ${what} with ${bytesMin} or more.`);
}
