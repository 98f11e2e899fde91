import type { Export } from "../contract/exports.ts";
import type { ExportRecord, ExportSource } from "../exports/export-queue.ts";

/**
 * An export as the API shows it.
 *
 * @param newest the MP4s of its recording as they are now
 */
export function exportView(record: ExportRecord, newest: readonly ExportSource[]): Export {
  const { exportId, recordingId, request, state, progress, reason } = record;
  const { kind, ...options } = request;
  const path = `/api/recordings/${recordingId}/exports/${exportId}/files`;
  return {
    exportId,
    recordingId,
    kind,
    options,
    state,
    progress,
    reason,
    createdAt: new Date(record.createdAtMs).toISOString(),
    endedAt: record.endedAtMs === null ? null : new Date(record.endedAtMs).toISOString(),
    files: record.files.map((file) => ({
      ...file,
      notes: [...file.notes],
      url: `${path}/${encodeURIComponent(file.name)}`,
    })),
    isOutdated: state === "done" && !newest.every((source) => isAmong(source, record.sources)),
  };
}

function isAmong(wanted: ExportSource, sources: readonly ExportSource[]): boolean {
  return sources.some(
    ({ participantId, trackId, publishedAtMs }) =>
      participantId === wanted.participantId &&
      trackId === wanted.trackId &&
      publishedAtMs === wanted.publishedAtMs,
  );
}
