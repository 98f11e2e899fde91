import { recordingIdSchema, segmentIdSchema } from "../../../src/contract/ids.ts";
import { RecordingsLayout, TEMPORARY_SUFFIX } from "../../../src/storage/layout.ts";

/** System calls that write into a file, as strace takes them. */
export const WRITE_CALLS = "write,pwrite64,writev,pwritev,pwritev2";

/** System calls that make files or directories durable. */
export const SYNC_CALLS = "fdatasync,fsync,syncfs,sync_file_range";

/** System calls that give a file another name. */
export const RENAME_CALLS = "rename,renameat,renameat2";

/** System calls that make a file or open one. */
export const OPEN_CALLS = "open,openat,creat";

/** Where a segment lies. */
export interface SegmentPlaces {
  /** Directory of all recordings. */
  readonly root: string;
  readonly recording: string;
  readonly segments: string;
  readonly chunkFile: string;
  /** Name of the chunk file while it is being made. */
  readonly newChunkFile: string;
}

/** The paths of a segment in a directory of recordings. */
export function placesOf(
  recordingsDirectory: string,
  { recordingId, segmentId }: { readonly recordingId: string; readonly segmentId: string },
): SegmentPlaces {
  const layout = new RecordingsLayout(recordingsDirectory);
  const id = recordingIdSchema.parse(recordingId);
  const chunkFile = layout.segmentPath(id, segmentIdSchema.parse(segmentId));
  return {
    root: layout.rootDirectory,
    recording: layout.recordingDirectory(id),
    segments: layout.segmentsDirectory(id),
    chunkFile,
    newChunkFile: `${chunkFile}${TEMPORARY_SUFFIX}`,
  };
}
