import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { systemErrorCode } from "./storage-fault.ts";

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

/**
 * Creates a directory with all its parents. Its name and theirs are durable when it resolves, also
 * when a process made them that was killed before it could say so; parents that this user may not
 * read are left out, since nobody made those for us.
 */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  for (let at = resolve(path); at !== dirname(at); at = dirname(at)) {
    try {
      await syncDirectory(dirname(at));
    } catch (error) {
      if (systemErrorCode(error) === "EACCES") return;
      throw error;
    }
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
