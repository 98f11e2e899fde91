import type { TrackKey } from "../recording/ports.ts";
import { PortableFileNames } from "../storage/portable-file-names.ts";

/** Beside the participants' folders. */
export const MANIFEST_ENTRY_NAME = "manifest.json";

/**
 * Names of tracks in an archive, `participant/track.mp4`, in the same order: every system can unpack
 * them, and none replaces another.
 */
export function zipEntryNames(
  tracks: readonly Pick<TrackKey, "participantId" | "trackId">[],
): string[] {
  const folderNames = new PortableFileNames();
  // A participant of that name gets a folder of another one.
  folderNames.add(MANIFEST_ENTRY_NAME, "");
  // One folder for one participant, and never one for two.
  const folders = new Map<string, { name: string; fileNames: PortableFileNames }>();
  return tracks.map(({ participantId, trackId }) => {
    let folder = folders.get(participantId);
    if (folder === undefined) {
      folder = { name: folderNames.add(participantId, ""), fileNames: new PortableFileNames() };
      folders.set(participantId, folder);
    }
    return `${folder.name}/${folder.fileNames.add(trackId, "mp4")}`;
  });
}
