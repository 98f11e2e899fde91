import { link, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../storage/storage-fault.ts";
import { ExportSourceReplacedError } from "./export-errors.ts";
import type { ExportTrack } from "./export-maker.ts";

/** What file systems answer that know no second name of a file, or no more of them (link(2)). */
const NO_LINKS: ReadonlySet<string> = new Set([
  "EPERM",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EMLINK",
]);

/**
 * Gives the MP4s of all tracks a second name in the work directory: a better MP4, which late chunks can
 * bring at any time, takes the first name only, and an export is of the files that its times belong to.
 *
 * @throws ExportSourceReplacedError when a file is not the one of its track already, file system errors
 */
export async function holdSources(
  tracks: readonly ExportTrack[],
  workDirectory: string,
): Promise<readonly ExportTrack[]> {
  const directory = join(workDirectory, "sources");
  await mkdir(directory);
  const held: ExportTrack[] = [];
  for (const [i, track] of tracks.entries()) {
    const path = await secondName(track.path, join(directory, `${i}.mp4`));
    // A better one has its name shortly before the catalogue knows of it.
    if ((await stat(path)).size !== track.media.bytes) {
      throw new ExportSourceReplacedError(track.trackId);
    }
    held.push({ ...track, path });
  }
  return held;
}

async function secondName(path: string, wanted: string): Promise<string> {
  try {
    await link(path, wanted);
    return wanted;
  } catch (error) {
    if (NO_LINKS.has(systemErrorCode(error) ?? "")) return path;
    throw error;
  }
}
