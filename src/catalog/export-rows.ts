import { z } from "zod";
import { exportIdSchema, exportRequestSchema, exportStateSchema } from "../contract/exports.ts";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../contract/ids.ts";
import type { ExportRecord, LeftExport } from "../exports/export-queue.ts";
import type { ExportJobsTable } from "./catalog-schema.ts";

const filesSchema = z.array(
  z.object({
    name: z.string(),
    bytes: z.number(),
    mediaType: z.string(),
    participantId: participantIdSchema.nullable(),
    trackId: trackIdSchema.nullable(),
    durationMs: z.number(),
    notes: z.array(z.string()),
  }),
);

const sourcesSchema = z.array(
  z.object({
    participantId: participantIdSchema,
    trackId: trackIdSchema,
    publishedAtMs: z.number(),
  }),
);

/** What of a row of `export_jobs` every version of the server can read. */
export function leftExportOf(row: ExportJobsTable): LeftExport {
  return {
    exportId: exportIdSchema.parse(row.export_id),
    recordingId: recordingIdSchema.parse(row.recording_id),
    attempts: row.attempts,
  };
}

/**
 * A row of `export_jobs`, parsed; the progress of a running one (0 to 1) is kept in memory alone.
 * Undefined for a request that this version of the server does not know.
 */
export function exportRecordOf(row: ExportJobsTable, progress: number): ExportRecord | undefined {
  const request = exportRequestSchema.safeParse(JSON.parse(row.request));
  if (!request.success) return undefined;
  const state = exportStateSchema.parse(row.state);
  return {
    ...leftExportOf(row),
    request: request.data,
    state,
    progress: state === "done" ? 1 : progress,
    reason: row.reason,
    createdAtMs: row.created_at_ms,
    endedAtMs: row.ended_at_ms,
    files: filesSchema.parse(JSON.parse(row.files)),
    sources: sourcesSchema.parse(JSON.parse(row.sources)),
  };
}
