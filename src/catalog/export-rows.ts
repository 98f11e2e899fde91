import { z } from "zod";
import { exportIdSchema, exportRequestSchema, exportStateSchema } from "../contract/exports.ts";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../contract/ids.ts";
import type { ExportRecord, LeftExport } from "../exports/export-queue.ts";
import type { ExportJobsTable } from "./catalog-schema.ts";
import { countOrZero, type ReportFault, readOr, readTimeMs, textOrNull } from "./row-faults.ts";

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

/**
 * What of a row of `export_jobs` every version of the server can read. Undefined when its IDs cannot be
 * read.
 */
export function leftExportOf(row: ExportJobsTable, report: ReportFault): LeftExport | undefined {
  return readOr("export_id", report, () => ({
    exportId: exportIdSchema.parse(row.export_id),
    recordingId: recordingIdSchema.parse(row.recording_id),
    attempts: countOrZero(row.attempts),
  }));
}

/**
 * A row of `export_jobs`, parsed; the progress of a running one (0 to 1) is kept in memory alone. One
 * whose state or files cannot be read counts as failed. Undefined for a request that this version of the
 * server does not know: nobody can say what it is.
 */
export function exportRecordOf(
  row: ExportJobsTable,
  progress: number,
  report: ReportFault,
): ExportRecord | undefined {
  const left = leftExportOf(row, report);
  const request = readOr("request", report, () =>
    exportRequestSchema.parse(JSON.parse(row.request)),
  );
  if (left === undefined || request === undefined) return undefined;
  const state = readOr("state", report, () => exportStateSchema.parse(row.state));
  const files = readOr("files", report, () => filesSchema.parse(JSON.parse(row.files)));
  const sources = readOr("sources", report, () => sourcesSchema.parse(JSON.parse(row.sources)));
  const endedAtMs =
    row.ended_at_ms === null
      ? null
      : readOr("ended_at_ms", report, () => readTimeMs(row.ended_at_ms));
  const isReadable = state !== undefined && files !== undefined && sources !== undefined;
  return {
    ...left,
    request,
    state: isReadable ? state : "failed",
    progress: state === "done" ? 1 : progress,
    reason: isReadable
      ? textOrNull(row.reason)
      : "The catalogue's record of the export cannot be read; delete it and ask for it again.",
    createdAtMs: readOr("created_at_ms", report, () => readTimeMs(row.created_at_ms)) ?? 0,
    endedAtMs: endedAtMs ?? null,
    files: isReadable ? files : [],
    sources: isReadable ? sources : [],
  };
}
