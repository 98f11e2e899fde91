import type { Logger } from "pino";
import type { RecordingId } from "../contract/ids.ts";
import { manifestSchema, type Manifest } from "../contract/manifest.ts";
import { buildManifest, type ManifestPaths } from "../finalize/manifest.ts";
import type { Catalog } from "../recording/ports.ts";
import { findRecording } from "./recording-routes.ts";

/** What reading manifests needs. */
export interface StoredManifestParts {
  readonly catalog: Catalog;
  readonly paths: ManifestPaths & { manifestPath(recordingId: RecordingId): string };
  readonly log: Logger;
}

/**
 * The manifest of a recording as it was written. One that is missing or cannot be read is made from the
 * catalogue again: the MP4s are worth downloading without it.
 *
 * @throws RecordingNotFoundError when the recording was deleted meanwhile
 */
export async function storedManifest(
  recordingId: RecordingId,
  { catalog, paths, log }: StoredManifestParts,
): Promise<Manifest> {
  try {
    return manifestSchema.parse(await Bun.file(paths.manifestPath(recordingId)).json());
  } catch (error) {
    const record = await findRecording(catalog, recordingId);
    log.error({ err: error, recordingId }, "a manifest cannot be read");
    return buildManifest(record, await catalog.tracks(recordingId), paths);
  }
}
