import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes the entries of a directory durable: a new or renamed file survives a crash only when its
 * directory was synced too (fsync(2), Notes).
 */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Creates a directory with all its parents; every entry that is new is durable when it resolves. */
export async function makeDirectory(path: string): Promise<void> {
  // With `recursive`, mkdir gives the first directory that it had to create.
  const firstCreated = await mkdir(path, { recursive: true });
  if (firstCreated === undefined) return;
  for (let created = path; ; created = dirname(created)) {
    await syncDirectory(dirname(created));
    if (created === firstCreated || dirname(created) === created) return;
  }
}

/**
 * Puts a finished temporary file in its place, replacing what stood there in one step. The file, its
 * bytes and its name are durable when it resolves. Both paths must be in the same directory tree.
 */
export async function publishFile(temporaryPath: string, finalPath: string): Promise<void> {
  const handle = await open(temporaryPath, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporaryPath, finalPath);
  await syncDirectory(dirname(finalPath));
}

/** Writes a small text file durably; a reader sees the old text or the new, never a part. */
export async function writeFileDurably(path: string, text: string): Promise<void> {
  const temporaryPath = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await Bun.write(temporaryPath, text);
    await publishFile(temporaryPath, path);
  } catch (error) {
    await rm(temporaryPath, { force: true });
    throw error;
  }
}
