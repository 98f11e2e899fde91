import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Elysia } from "elysia";
import { z } from "zod";
import {
  exportIdSchema,
  exportListSchema,
  exportRequestSchema,
  exportSchema,
  type Export,
  type ExportId,
  type ExportList,
  type ExportRequest,
} from "../contract/exports.ts";
import type { RecordingId } from "../contract/ids.ts";
import { ExportFileNotFoundError } from "../exports/export-errors.ts";
import type { ExportRecord } from "../exports/export-queue.ts";
import { sourcesOf } from "../exports/export-tracks.ts";
import type { Catalog } from "../recording/ports.ts";
import { contentDisposition, safeFileName } from "./content-disposition.ts";
import { exportView } from "./export-view.ts";
import { type ServedFile, answerFile, answerFileHead, etagOf } from "./file-answer.ts";
import { downloadQuerySchema } from "./media-routes.ts";
import { jsonInput, jsonOutput, operation } from "./operation-detail.ts";
import { findRecording } from "./recording-routes.ts";
import type { RequestBodies } from "./request-bodies.ts";
import { recordingParamsSchema } from "./route-params.ts";

/** Makes exports; see the exporter for what each promises. */
export interface Exports {
  request(recordingId: RecordingId, request: ExportRequest): Promise<ExportRecord>;
  find(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord>;
  list(recordingId: RecordingId): Promise<ExportRecord[]>;
  cancel(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord>;
  retry(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord>;
  remove(recordingId: RecordingId, exportId: ExportId): Promise<void>;
}

/** Where the files of exports lie. */
export interface ExportPaths {
  exportDirectory(recordingId: RecordingId, exportId: ExportId): string;
}

interface Parts {
  readonly exports: Exports;
  readonly catalog: Catalog;
  readonly paths: ExportPaths;
  readonly bodies: RequestBodies;
}

const exportParamsSchema = recordingParamsSchema.extend({ exportId: exportIdSchema });
const fileParamsSchema = exportParamsSchema.extend({ name: z.string() });

const EXPORTS_ROUTE = "/api/recordings/:recordingId/exports";
const FILE_ROUTE = `${EXPORTS_ROUTE}/:exportId/files/:name` as const;

/** Asks for exports of a recording, shows, cancels, retries and deletes them. */
export function exportRoutes({ exports, catalog, bodies }: Omit<Parts, "paths">) {
  const view = async (record: ExportRecord): Promise<Export> =>
    exportView(record, sourcesOf(await catalog.tracks(record.recordingId)));

  const find = async (params: z.output<typeof exportParamsSchema>): Promise<ExportRecord> => {
    await findRecording(catalog, params.recordingId);
    return exports.find(params.recordingId, params.exportId);
  };

  return new Elysia({ name: "export-routes" })
    .post(
      EXPORTS_ROUTE,
      async ({ params, request, status }) => {
        await findRecording(catalog, params.recordingId);
        const wanted = await bodies.json(request, exportRequestSchema);
        return status(202, await view(await exports.request(params.recordingId, wanted)));
      },
      { parse: "none", params: recordingParamsSchema, detail: DETAILS.request },
    )
    .get(
      EXPORTS_ROUTE,
      async ({ params }): Promise<ExportList> => {
        await findRecording(catalog, params.recordingId);
        const sources = sourcesOf(await catalog.tracks(params.recordingId));
        const records = await exports.list(params.recordingId);
        return { exports: records.map((record) => exportView(record, sources)) };
      },
      { params: recordingParamsSchema, detail: DETAILS.list },
    )
    .get(`${EXPORTS_ROUTE}/:exportId`, async ({ params }) => view(await find(params)), {
      params: exportParamsSchema,
      detail: DETAILS.show,
    })
    .post(
      `${EXPORTS_ROUTE}/:exportId/cancel`,
      async ({ params }) => {
        const { recordingId, exportId } = await find(params);
        return view(await exports.cancel(recordingId, exportId));
      },
      { parse: "none", params: exportParamsSchema, detail: DETAILS.cancel },
    )
    .post(
      `${EXPORTS_ROUTE}/:exportId/retry`,
      async ({ params, status }) => {
        const { recordingId, exportId } = await find(params);
        return status(202, await view(await exports.retry(recordingId, exportId)));
      },
      { parse: "none", params: exportParamsSchema, detail: DETAILS.retry },
    )
    .delete(
      `${EXPORTS_ROUTE}/:exportId`,
      async ({ params }) => {
        await findRecording(catalog, params.recordingId);
        // Also one that cannot be read, which `find` would not give.
        await exports.remove(params.recordingId, params.exportId);
        return new Response(null, { status: 204 });
      },
      { parse: "none", params: exportParamsSchema, detail: DETAILS.remove },
    );
}

/** Serves the files of finished exports. */
export function exportFileRoutes({ exports, catalog, paths }: Omit<Parts, "bodies">) {
  const findFile = async (
    params: z.output<typeof fileParamsSchema>,
    download: string | undefined,
  ): Promise<ServedFile> => {
    const { name: recordingName } = await findRecording(catalog, params.recordingId);
    const record = await exports.find(params.recordingId, params.exportId);
    const file = record.files.find(({ name }) => name === params.name);
    if (file === undefined) throw new ExportFileNotFoundError(params.name, record.state);
    const path = join(paths.exportDirectory(record.recordingId, record.exportId), file.name);
    const { size, mtimeMs } = await stat(path).catch(async (error: unknown) => {
      // A file that is gone is so because the export was deleted just now, or for no reason.
      await exports.find(params.recordingId, params.exportId);
      throw error;
    });
    const [stem = "", extension = ""] = file.name.split(/\.(?=[^.]*$)/);
    const fileName = safeFileName([recordingName ?? "", stem], extension);
    return {
      path,
      bytes: size,
      mediaType: file.mediaType,
      etag: etagOf({ size, mtimeMs }),
      lastModifiedMs: mtimeMs,
      disposition: contentDisposition(download === undefined ? "inline" : "attachment", fileName),
    };
  };

  return new Elysia({ name: "export-file-routes" })
    .get(
      FILE_ROUTE,
      async ({ params, query, request, set }) =>
        answerFile(await findFile(params, query.download), { request, set }),
      { params: fileParamsSchema, query: downloadQuerySchema, detail: DETAILS.file },
    )
    .head(
      FILE_ROUTE,
      async ({ params, query, request }) =>
        answerFileHead(await findFile(params, query.download), request),
      { params: fileParamsSchema, query: downloadQuerySchema, detail: { hide: true } },
    );
}

const anExport = { means: "The export", body: jsonOutput(exportSchema) };

const DETAILS = {
  request: operation({
    tag: "Exports",
    summary: "Ask for an export of a finished recording",
    description:
      "It is made in the background; its progress and files are told by the export itself. " +
      "Asked for again while the same one is queued or running, that one is given.",
    body: { required: true, ...jsonInput(exportRequestSchema) },
    answers: { 202: anExport },
    problems: [400, 404, 408, 409, 413, 415, 422, 429, 507],
  }),
  list: operation({
    tag: "Exports",
    summary: "List the exports of a recording, newest first",
    answers: { 200: { means: "All of them", body: jsonOutput(exportListSchema) } },
    problems: [404],
  }),
  show: operation({
    tag: "Exports",
    summary: "Show an export with its progress and files",
    answers: { 200: anExport },
    problems: [404, 422],
  }),
  cancel: operation({
    tag: "Exports",
    summary: "Cancel an export that is queued or running",
    description: "Nothing runs for it and nothing is left of it when the answer comes.",
    answers: { 200: anExport },
    problems: [404, 409, 422],
  }),
  retry: operation({
    tag: "Exports",
    summary: "Make an export that failed or was cancelled again",
    answers: { 202: anExport },
    problems: [404, 409, 422],
  }),
  remove: operation({
    tag: "Exports",
    summary: "Delete an export with its files",
    answers: { 204: { means: "It is gone" } },
    problems: [404, 422],
  }),
  file: operation({
    tag: "Exports",
    summary: "Play or download a file of an export",
    description: "`?download` offers it as a file to save. Ranges and conditions are heeded.",
    answers: {
      200: { means: "The file", body: { type: "application/octet-stream" } },
      206: { means: "The part that was asked for", body: { type: "application/octet-stream" } },
      304: { means: "The client's copy is still right" },
    },
    problems: [404, 412, 416, 422],
  }),
};
