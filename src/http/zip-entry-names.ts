import type { TrackKey } from "../recording/ports.ts";
import { safeWord } from "./content-disposition.ts";

/**
 * Names of tracks in an archive, `participant/track.mp4`, in the same order: safe to unpack
 * anywhere, and different from each other also where the case of letters does not count.
 */
export function zipEntryNames(
  tracks: readonly Pick<TrackKey, "participantId" | "trackId">[],
): string[] {
  // One folder for one participant, and never one for two.
  const folders = new Map<string, string>();
  const takenFolders = new Set<string>();
  const takenNames = new Set<string>();
  return tracks.map(({ participantId, trackId }) => {
    let folder = folders.get(participantId);
    if (folder === undefined) {
      folder = untaken(takenFolders, (suffix) => `${safeWord(participantId) || "_"}${suffix}`);
      folders.set(participantId, folder);
    }
    return untaken(takenNames, (suffix) => `${folder}/${safeWord(trackId) || "_"}${suffix}.mp4`);
  });
}

function untaken(taken: Set<string>, nameWith: (suffix: string) => string): string {
  for (let count = 1; ; count += 1) {
    const name = nameWith(count === 1 ? "" : ` (${count})`);
    // NFC: some file systems compare names in it.
    const key = name.normalize("NFC").toLowerCase();
    if (taken.has(key)) continue;
    taken.add(key);
    return name;
  }
}
