import { Elysia } from "elysia";
import type { RecordingId } from "../contract/ids.ts";
import {
  listRecordingsQuerySchema,
  recordingListSchema,
  recordingSchema,
  recordingSummarySchema,
  startRecordingRequestSchema,
  type Recording,
  type RecordingList,
} from "../contract/recordings.ts";
import { RecordingNotFoundError } from "../recording/errors.ts";
import type { Catalog, RecordingRecord } from "../recording/ports.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import { jsonInput, jsonOutput, operation } from "./operation-detail.ts";
import { recordingSummary, recordingView } from "./recording-view.ts";
import type { RequestBodies } from "./request-bodies.ts";
import { recordingParamsSchema } from "./route-params.ts";

/** Makes the failed tracks of a recording anew. */
export interface Retrier {
  /** @throws RecordingNotFoundError, RecordingInProgressError, NothingToRetryError */
  retry(recordingId: RecordingId): Promise<unknown>;
}

interface Parts {
  readonly engine: RecordingEngine;
  readonly catalog: Catalog;
  readonly retrier: Retrier;
  readonly bodies: RequestBodies;
}

/**
 * A recording that is there.
 *
 * @throws RecordingNotFoundError also for one that was deleted.
 */
export async function findRecording(
  catalog: Catalog,
  recordingId: RecordingId,
): Promise<RecordingRecord> {
  const record = await catalog.findRecording(recordingId);
  if (record === undefined || record.deletedAtMs !== null) {
    throw new RecordingNotFoundError(recordingId);
  }
  return record;
}

/** Starts, lists, shows, stops, retries and deletes recordings. */
export function recordingRoutes({ engine, catalog, retrier, bodies }: Parts) {
  const summaryOf = async (recordingId: RecordingId) =>
    recordingSummary(await findRecording(catalog, recordingId));

  const whole = async (recordingId: RecordingId): Promise<Recording> => {
    const record = await findRecording(catalog, recordingId);
    const [tracks, segments] = await Promise.all([
      catalog.tracks(recordingId),
      engine.segments(recordingId),
    ]);
    return recordingView(record, tracks, segments);
  };

  return new Elysia({ name: "recording-routes", prefix: "/api/recordings" })
    .post(
      "",
      async ({ request, status }) => {
        const wanted = await bodies.json(request, startRecordingRequestSchema.default({}));
        return status(201, recordingSummary(await engine.startRecording(wanted)));
      },
      { parse: "none", detail: DETAILS.start },
    )
    .get(
      "",
      async ({ query }): Promise<RecordingList> => {
        const { recordings, nextCursor } = await catalog.listRecordings(query);
        return { recordings: recordings.map(recordingSummary), nextCursor };
      },
      { query: listRecordingsQuerySchema, detail: DETAILS.list },
    )
    .get("/:recordingId", ({ params }) => whole(params.recordingId), {
      params: recordingParamsSchema,
      detail: DETAILS.show,
    })
    .post(
      "/:recordingId/stop",
      async ({ params, status }) =>
        status(202, recordingSummary(await engine.stopRecording(params.recordingId))),
      { parse: "none", params: recordingParamsSchema, detail: DETAILS.stop },
    )
    .post(
      "/:recordingId/retry",
      async ({ params, status }) => {
        await retrier.retry(params.recordingId);
        return status(202, await summaryOf(params.recordingId));
      },
      { parse: "none", params: recordingParamsSchema, detail: DETAILS.retry },
    )
    .delete(
      "/:recordingId",
      async ({ params }) => {
        await engine.deleteRecording(params.recordingId);
        return new Response(null, { status: 204 });
      },
      { parse: "none", params: recordingParamsSchema, detail: DETAILS.delete },
    );
}

const DETAILS = {
  start: operation({
    tag: "Recordings",
    summary: "Start a recording",
    body: { required: false, ...jsonInput(startRecordingRequestSchema) },
    answers: { 201: { means: "The recording", body: jsonOutput(recordingSummarySchema) } },
    problems: [400, 408, 413, 415, 422, 503, 507],
  }),
  list: operation({
    tag: "Recordings",
    summary: "List recordings, newest first",
    answers: { 200: { means: "A page", body: jsonOutput(recordingListSchema) } },
    problems: [422],
  }),
  show: operation({
    tag: "Recordings",
    summary: "Show a recording with its participants, tracks, segments and files",
    answers: { 200: { means: "The recording", body: jsonOutput(recordingSchema) } },
    problems: [404],
  }),
  stop: operation({
    tag: "Recordings",
    summary: "Stop a recording",
    description: "Its tracks are finalized from now on. Stopping again gives the same answer.",
    answers: { 202: { means: "The recording", body: jsonOutput(recordingSummarySchema) } },
    problems: [404],
  }),
  retry: operation({
    tag: "Recordings",
    summary: "Finalize failed tracks again",
    answers: { 202: { means: "The recording", body: jsonOutput(recordingSummarySchema) } },
    problems: [404, 409],
  }),
  delete: operation({
    tag: "Recordings",
    summary: "Delete a stopped recording with all its files",
    answers: { 204: { means: "It is gone" } },
    problems: [404, 409],
  }),
};
