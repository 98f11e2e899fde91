import { join, resolve } from "node:path";
import type { ExportId } from "../contract/exports.ts";
import type { RecordingId, SegmentId } from "../contract/ids.ts";
import type { TrackKey } from "../recording/ports.ts";

/** Suffix of files that are being made; whatever has it after a crash is litter. */
export const TEMPORARY_SUFFIX = ".tmp";

const CHUNK_FILE_SUFFIX = ".chunks";
const READABLE_LENGTH_MAX = 40;
const HASH_HEX_LENGTH = 32;

/**
 * A directory name for one of the app's own words: its readable part, for people, and 128 bits of
 * its SHA-256, which make it unique. It holds only `a-z`, `0-9`, `-` and `_`, so no word can leave
 * its directory, be too long, or collide with another on a file system that ignores case.
 */
export function directoryNameOf(word: string): string {
  const readable = word
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "-")
    .slice(0, READABLE_LENGTH_MAX)
    .replace(/^-+|-+$/g, "");
  const hash = new Bun.CryptoHasher("sha256").update(word).digest("hex").slice(0, HASH_HEX_LENGTH);
  return readable === "" ? hash : `${readable}-${hash}`;
}

/**
 * Where everything lies:
 *
 * ```
 * catalog.sqlite
 * <recordingId>/manifest.json
 * <recordingId>/segments/<segmentId>.chunks
 * <recordingId>/tracks/<participant>/<track>/media.mp4
 * <recordingId>/tracks/<participant>/<track>/poster.jpg
 * <recordingId>/tracks/<participant>/<track>/waveform.json
 * <recordingId>/exports/<exportId>/<name>
 * ```
 *
 * The only place that turns IDs into file names. `recordingId`, `segmentId` and `exportId` are UUIDs,
 * which are safe as they stand; the names of an export's files are made by the server.
 */
export class RecordingsLayout {
  readonly rootDirectory: string;

  /** @param rootDirectory relative ones are taken from the working directory of this moment */
  constructor(rootDirectory: string) {
    // An absolute path is no option, no URL with a scheme, and begins with no white space.
    this.rootDirectory = resolve(rootDirectory);
  }

  get catalogPath(): string {
    return join(this.rootDirectory, "catalog.sqlite");
  }

  /** Where posters and waveforms are made, of one track at a time. */
  get extrasWorkDirectory(): string {
    return join(this.rootDirectory, `extras${TEMPORARY_SUFFIX}`);
  }

  recordingDirectory(recordingId: RecordingId): string {
    return join(this.rootDirectory, recordingId);
  }

  manifestPath(recordingId: RecordingId): string {
    return join(this.recordingDirectory(recordingId), "manifest.json");
  }

  segmentsDirectory(recordingId: RecordingId): string {
    return join(this.recordingDirectory(recordingId), "segments");
  }

  segmentPath(recordingId: RecordingId, segmentId: SegmentId): string {
    return join(this.segmentsDirectory(recordingId), `${segmentId}${CHUNK_FILE_SUFFIX}`);
  }

  /** The segment that a file of `segmentsDirectory` holds; undefined for files of other kinds. */
  segmentIdOf(fileName: string): string | undefined {
    return fileName.endsWith(CHUNK_FILE_SUFFIX)
      ? fileName.slice(0, -CHUNK_FILE_SUFFIX.length)
      : undefined;
  }

  trackDirectory({ recordingId, participantId, trackId }: TrackKey): string {
    return join(
      this.recordingDirectory(recordingId),
      "tracks",
      directoryNameOf(participantId),
      directoryNameOf(trackId),
    );
  }

  mediaPath(key: TrackKey): string {
    return join(this.trackDirectory(key), "media.mp4");
  }

  /** Of all exports of a recording; there is none before its first. */
  exportsDirectory(recordingId: RecordingId): string {
    return join(this.recordingDirectory(recordingId), "exports");
  }

  /** The files of a finished export. */
  exportDirectory(recordingId: RecordingId, exportId: ExportId): string {
    return join(this.exportsDirectory(recordingId), exportId);
  }

  /** Where an export is being made. */
  exportWorkDirectory(recordingId: RecordingId, exportId: ExportId): string {
    return `${this.exportDirectory(recordingId, exportId)}${TEMPORARY_SUFFIX}`;
  }

  posterPath(key: TrackKey): string {
    return join(this.trackDirectory(key), "poster.jpg");
  }

  waveformPath(key: TrackKey): string {
    return join(this.trackDirectory(key), "waveform.json");
  }
}
