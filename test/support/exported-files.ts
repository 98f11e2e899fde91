import { join } from "node:path";
import { ExportsApi } from "./exports-api.ts";
import type { RecordingsApi } from "./recordings-api.ts";

/** A file of an export, on this side. */
export interface ExportedFile {
  readonly path: string;
  readonly participantId: string | null;
  readonly trackId: string | null;
  readonly durationMs: number;
}

/** Asks for an export, waits for its end and downloads its files; throws when it fails. */
export async function exportedFiles(
  api: RecordingsApi,
  recordingId: string,
  request: { readonly kind: string },
  { directory, timeoutMs }: { readonly directory: string; readonly timeoutMs: number },
): Promise<ExportedFile[]> {
  const exports = new ExportsApi(api.serverUrl, recordingId, timeoutMs);
  const { exportId } = await exports.request(request);
  const { files } = await exports.done(exportId);
  return Promise.all(
    files.map(async ({ url, name, participantId, trackId, durationMs }) => {
      const path = join(directory, `${exportId}-${name}`);
      await api.download(new URL(url, api.serverUrl).href, path);
      return { path, participantId, trackId, durationMs };
    }),
  );
}
