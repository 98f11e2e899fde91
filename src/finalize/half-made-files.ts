import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { TrackKey } from "../recording/ports.ts";
import { type RecordingsLayout, TEMPORARY_SUFFIX } from "../storage/layout.ts";
import { systemErrorCode } from "../storage/storage-fault.ts";

/**
 * Directory in a track's own for the files of a run that are not finished. Runs of a track never
 * overlap, so what lies in it when one begins is litter of an interrupted one.
 */
export function workDirectoryOf(layout: RecordingsLayout, key: TrackKey): string {
  return join(layout.trackDirectory(key), "finalizing");
}

/**
 * Removes what an interrupted run of a track left: its work directory, and a manifest of its
 * recording that never got its name. Gives how many files there were. Only for when nothing is
 * being finalized.
 *
 * @throws file system errors
 */
export async function removeHalfMadeFiles(
  layout: RecordingsLayout,
  key: TrackKey,
): Promise<number> {
  const workDirectory = workDirectoryOf(layout, key);
  const unfinished = await namesIn(workDirectory);
  await rm(workDirectory, { recursive: true, force: true });
  return unfinished.length + (await removeHalfMadeManifests(layout, key.recordingId));
}

/** Removes manifests of a recording that never got their name; gives how many there were. */
export async function removeHalfMadeManifests(
  layout: RecordingsLayout,
  recordingId: TrackKey["recordingId"],
): Promise<number> {
  const manifestPath = layout.manifestPath(recordingId);
  const directory = dirname(manifestPath);
  const names = (await namesIn(directory)).filter(
    (name) => name.startsWith(`${basename(manifestPath)}.`) && name.endsWith(TEMPORARY_SUFFIX),
  );
  for (const name of names) await rm(join(directory, name), { force: true });
  return names.length;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}
