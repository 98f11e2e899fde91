import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeDirectory, syncDirectory } from "../storage/durable-files.ts";
import type { RecordingsLayout } from "../storage/layout.ts";
import type { MadeFile } from "./export-maker.ts";
import type { ExportRecord, PublishedFile } from "./export-queue.ts";

type ExportKey = Pick<ExportRecord, "recordingId" | "exportId">;

/** Makes an empty directory for a run; what one before it left is removed. */
export async function makeWorkDirectory(layout: RecordingsLayout, key: ExportKey): Promise<string> {
  await removeExportFiles(layout, key);
  await makeDirectory(layout.exportsDirectory(key.recordingId));
  const workDirectory = layout.exportWorkDirectory(key.recordingId, key.exportId);
  await mkdir(workDirectory);
  return workDirectory;
}

/**
 * Publishes the files of an export, all of them or none: they come to their directory by one rename,
 * and are durable when it resolves. When it rejects, none is there.
 */
export async function publishExport(
  layout: RecordingsLayout,
  { recordingId, exportId }: ExportKey,
  made: readonly MadeFile[],
): Promise<PublishedFile[]> {
  const ready = join(layout.exportWorkDirectory(recordingId, exportId), "ready");
  await mkdir(ready);
  const published: PublishedFile[] = [];
  for (const { path, notes = [], ...file } of made) {
    await syncFile(path);
    const { size } = await stat(path);
    await rename(path, join(ready, file.name));
    published.push({ ...file, bytes: size, notes });
  }
  await syncDirectory(ready);
  const directory = layout.exportDirectory(recordingId, exportId);
  await rename(ready, directory);
  try {
    await syncDirectory(dirname(directory));
  } catch (error) {
    // Not durable is not published.
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return published;
}

/** Removes all files of an export, finished ones and half-made ones; there may be none. */
export async function removeExportFiles(layout: RecordingsLayout, key: ExportKey): Promise<void> {
  await removeWorkDirectory(layout, key);
  const directory = layout.exportDirectory(key.recordingId, key.exportId);
  await rm(directory, { recursive: true, force: true });
}

/** Removes what a run of an export has not published. */
export async function removeWorkDirectory(
  layout: RecordingsLayout,
  { recordingId, exportId }: ExportKey,
): Promise<void> {
  const workDirectory = layout.exportWorkDirectory(recordingId, exportId);
  await rm(workDirectory, { recursive: true, force: true });
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
