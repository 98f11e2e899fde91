import { open, type FileHandle } from "node:fs/promises";
import { makeZip, predictLength } from "client-zip";
import { Elysia } from "elysia";
import type { Logger } from "pino";
import type { RecordingId } from "../contract/ids.ts";
import type { Manifest } from "../contract/manifest.ts";
import { MediaNotReadyError } from "../recording/errors.ts";
import type { Catalog, RecordingRecord, TrackRecord } from "../recording/ports.ts";
import { contentDisposition, safeFileName } from "./content-disposition.ts";
import { fileBlocks, streamOf } from "./file-blocks.ts";
import type { MediaPaths } from "./media-routes.ts";
import { operation } from "./operation-detail.ts";
import { findRecording } from "./recording-routes.ts";
import { recordingParamsSchema } from "./route-params.ts";
import { storedManifest } from "./stored-manifest.ts";
import { whyNotReady } from "./track-lookup.ts";
import { MANIFEST_ENTRY_NAME, zipEntryNames } from "./zip-entry-names.ts";

/** Where the files of a recording lie. */
export interface RecordingPaths extends MediaPaths {
  manifestPath(recordingId: RecordingId): string;
  recordingDirectory(recordingId: RecordingId): string;
}

interface Parts {
  readonly catalog: Catalog;
  readonly paths: RecordingPaths;
  readonly log: Logger;
}

/** A file of an archive. */
interface ArchiveFile {
  readonly name: string;
  readonly path: string;
}

/** An open file on its way into an archive. */
interface OpenFile extends ArchiveFile {
  readonly file: FileHandle;
  readonly bytes: number;
  readonly lastModified: Date;
}

/** What an archive is made of. */
interface Archive {
  /** Open; whoever has opened the archive closes them. */
  readonly files: readonly OpenFile[];
  readonly manifestBytes: Uint8Array;
}

const DOWNLOAD_ROUTE = "/api/recordings/:recordingId/download";

/** Serves a recording's MP4s and its manifest as one ZIP. */
export function downloadRoutes({ catalog, paths, log }: Parts) {
  const findFinished = async (recordingId: RecordingId) => {
    const record = await findRecording(catalog, recordingId);
    refuseUnfinished(record, await catalog.tracks(recordingId));
    return record;
  };

  /** All files are open when it resolves: a deletion afterwards does not break the archive. */
  const openArchive = async (recordingId: RecordingId): Promise<Archive> => {
    const manifest = await storedManifest(recordingId, { catalog, paths, log });
    const keys = manifest.participants.flatMap(({ participantId, tracks }) =>
      tracks.flatMap(({ trackId, media }) =>
        media === null ? [] : [{ recordingId, participantId, trackId }],
      ),
    );
    const names = zipEntryNames(keys);
    const text = `${JSON.stringify(withArchivePaths(manifest, names))}\n`;
    const manifestBytes = new TextEncoder().encode(text);
    const files = await openAll(
      keys.map((key, i) => ({ name: names[i] ?? "", path: paths.mediaPath(key) })),
    );
    return { files, manifestBytes };
  };

  /** Opens the archive, and gives what `use` makes of it. */
  const withArchive = async (
    recordingId: RecordingId,
    use: (archive: Archive, headers: Record<string, string>) => Promise<Response> | Response,
  ): Promise<Response> => {
    const record = await findFinished(recordingId);
    try {
      const archive = await openArchive(recordingId);
      return await use(archive, headersOf(record, archive));
    } catch (error) {
      // Files that are gone are so because the recording was deleted just now, or for no reason.
      await findRecording(catalog, recordingId);
      throw error;
    }
  };

  return new Elysia({ name: "download-routes" })
    .get(
      DOWNLOAD_ROUTE,
      ({ params }) =>
        withArchive(params.recordingId, (archive, headers) => {
          const body = streamOf(zip(archive), () => closeAll(archive.files));
          return new Response(body, { headers });
        }),
      {
        params: recordingParamsSchema,
        detail: operation({
          tag: "Media",
          summary: "Download all MP4s of a recording and its manifest as a ZIP",
          answers: { 200: { means: "The archive", body: { type: "application/zip" } } },
          problems: [404],
        }),
      },
    )
    .head(
      DOWNLOAD_ROUTE,
      ({ params }) =>
        withArchive(params.recordingId, async ({ files }, headers) => {
          await closeAll(files);
          return new Response(null, { headers });
        }),
      { params: recordingParamsSchema, detail: { hide: true } },
    );
}

function refuseUnfinished(record: RecordingRecord, tracks: readonly TrackRecord[]): void {
  if (record.state === "ready" || record.state === "failed") return;
  const waiting = tracks.filter(({ result }) => result === null);
  throw new MediaNotReadyError(
    [
      `Recording ${record.recordingId} is ${record.state}.`,
      ...waiting.map((track) => whyNotReady(record, track)),
    ].join(" "),
  );
}

async function openAll(wanted: readonly ArchiveFile[]): Promise<OpenFile[]> {
  const handles: FileHandle[] = [];
  try {
    const files: OpenFile[] = [];
    for (const { name, path } of wanted) {
      const file = await open(path);
      handles.push(file);
      const { size, mtime } = await file.stat();
      files.push({ name, path, file, bytes: size, lastModified: mtime });
    }
    return files;
  } catch (error) {
    await Promise.all(handles.map((file) => file.close()));
    throw error;
  }
}

async function closeAll(files: readonly OpenFile[]): Promise<void> {
  await Promise.all(files.map(({ file }) => file.close()));
}

/** The manifest with the names that the files have in the archive, which are in the same order. */
function withArchivePaths(manifest: Manifest, names: readonly string[]): Manifest {
  const remaining = names.values();
  return {
    ...manifest,
    participants: manifest.participants.map((participant) => ({
      ...participant,
      tracks: participant.tracks.map((track) =>
        track.media === null
          ? track
          : { ...track, media: { ...track.media, path: remaining.next().value ?? "" } },
      ),
    })),
  };
}

/**
 * The archive's bytes. When a download ends early the iterator is just dropped: client-zip's stream
 * rejects when it is cancelled, and holds nothing but the files, which the caller closes.
 */
async function* zip({
  files,
  manifestBytes,
}: Archive): AsyncGenerator<Uint8Array, void, undefined> {
  const archive = makeZip([
    ...files.map(({ name, file, bytes, lastModified }) => ({
      name,
      lastModified,
      // With the size told beforehand, ZIP64 is used exactly where the archive needs it.
      size: bytes,
      input: fileBlocks(file, bytes),
    })),
    { name: MANIFEST_ENTRY_NAME, input: manifestBytes },
  ]);
  const reader = archive.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** Bytes of the archive, exactly: its files have the sizes that they had when they were opened. */
function lengthOf({ files, manifestBytes }: Archive): bigint {
  return predictLength([
    ...files.map(({ name, bytes }) => ({ name, size: bytes })),
    { name: MANIFEST_ENTRY_NAME, size: manifestBytes.length },
  ]);
}

function headersOf(record: RecordingRecord, archive: Archive): Record<string, string> {
  const started = new Date(record.startedAtMs).toISOString().slice(0, 16).replaceAll(":", ".");
  const fileName = safeFileName([record.name ?? "recording", started], "zip");
  return {
    "content-type": "application/zip",
    // Bun sends it with HEAD alone: it gives every stream in chunks (oven-sh/bun#10507).
    "content-length": String(lengthOf(archive)),
    "content-disposition": contentDisposition("attachment", fileName),
    "x-content-type-options": "nosniff",
  };
}
