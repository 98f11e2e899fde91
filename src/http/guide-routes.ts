import { Elysia } from "elysia";
import { z } from "zod";
import {
  DEFAULT_TRACK_ID,
  participantIdSchema,
  recordingIdSchema,
  trackIdSchema,
} from "../contract/ids.ts";
import { RecordingNotFoundError } from "../recording/errors.ts";
import type { ArrivalNumbering } from "../recording/arrival-numbering.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import { chunkPayloads, textOf } from "./chunk-form.ts";
import { jsonInput, jsonOutput, operation } from "./operation-detail.ts";
import { parseRequest } from "./parse-request.ts";
import type { RequestBodies } from "./request-bodies.ts";

/** Any text: one that is no ID of ours names no recording, which is 404 and not 422. */
const anyRecordingIdSchema = z.string().transform((text) => {
  const parsed = recordingIdSchema.safeParse(text);
  if (!parsed.success) throw new RecordingNotFoundError(text);
  return parsed.data;
});

const uploadFieldsSchema = z.object({
  recordingId: anyRecordingIdSchema,
  participantId: participantIdSchema,
  trackId: trackIdSchema.default(trackIdSchema.parse(DEFAULT_TRACK_ID)),
});

/** What the guide calls the kind of a chunk, as the track that it belongs to. */
const trackOfTypeSchema = trackIdSchema
  .default(trackIdSchema.parse("video"))
  .transform((type) => trackIdSchema.parse(TRACK_OF_TYPE.get(type) ?? type));

const TRACK_OF_TYPE: ReadonlyMap<string, string> = new Map([
  ["video", DEFAULT_TRACK_ID],
  ["audio", "microphone"],
]);

const uploadChunkSchema = z.object({
  recordingId: anyRecordingIdSchema,
  participantId: participantIdSchema,
  chunk: z.base64({
    error: ({ input }) =>
      typeof input === "string" && input.endsWith(";base64")
        ? // The guide's own example sends this for a MediaRecorder whose type names two codecs.
          "chunk is no base64 but a part of the data URL's type, which has a comma of its own: take what follows the last comma, dataUrl.split(',').pop()"
        : "chunk must be base64",
  }),
  type: trackOfTypeSchema,
});

const stopSchema = z.object({ recordingId: anyRecordingIdSchema });

const startedSchema = z.object({ recordingId: z.string() });
const takenSchema = z.object({ success: z.literal(true) });
const stoppedSchema = takenSchema.extend({ recordingId: z.string(), state: z.string() });

interface Parts {
  readonly engine: RecordingEngine;
  readonly numbering: ArrivalNumbering;
  readonly bodies: RequestBodies;
}

/**
 * The routes of the track capture guide, for apps that were written to it, each with and without
 * the prefix `/api`: thin translations into the same engine. Chunks carry no sequence here and are
 * numbered in order of arrival.
 */
export function guideRoutes(parts: Parts) {
  return new Elysia({ name: "guide-routes" })
    .use(guideRoutesBelow("/api/recording", parts))
    .use(guideRoutesBelow("/recording", parts));
}

function guideRoutesBelow(
  prefix: "/api/recording" | "/recording",
  { engine, numbering, bodies }: Parts,
) {
  const start = async () => {
    const { recordingId } = await engine.startRecording({});
    return { recordingId };
  };

  return (
    new Elysia({ name: "guide-routes", seed: prefix, prefix })
      .get("/start", start, { detail: DETAILS.start })
      // HEAD changes nothing (RFC 9110, 9.2.1); Elysia would answer it by the handler of GET.
      .head("/start", () => new Response(null), { detail: { hide: true } })
      .post("/start", start, { parse: "none", detail: DETAILS.start })
      .post(
        "/upload-chunks",
        ({ request }) =>
          bodies.multipart(request, async (form) => {
            const key = parseRequest(
              uploadFieldsSchema,
              {
                recordingId: textOf(form, "recordingId"),
                participantId: textOf(form, "participantId"),
                trackId: textOf(form, "trackId"),
              },
              (path) => `body.${path}`,
            );
            await numbering.append({ ...key, chunks: chunkPayloads(form) });
            return { success: true };
          }),
        { parse: "none", detail: DETAILS.uploadChunks },
      )
      .post(
        "/upload-chunk",
        async ({ request }) => {
          const { recordingId, participantId, chunk, type } = await bodies.json(
            request,
            uploadChunkSchema,
            Infinity,
          );
          await numbering.append({
            recordingId,
            participantId,
            trackId: type,
            chunks: [Uint8Array.fromBase64(chunk)],
          });
          return { success: true };
        },
        { parse: "none", detail: DETAILS.uploadChunk },
      )
      .post(
        "/stop",
        async ({ request }) => {
          const { recordingId } = await bodies.json(request, stopSchema);
          const { state } = await engine.stopRecording(recordingId);
          return { success: true, recordingId, state };
        },
        { parse: "none", detail: DETAILS.stop },
      )
  );
}

const UPLOAD_PROBLEMS = [400, 404, 408, 410, 413, 415, 422, 429, 503, 507];

const DETAILS = {
  start: operation({
    tag: "Guide",
    summary: "Start a recording",
    answers: { 200: { means: "It is started", body: jsonOutput(startedSchema) } },
    problems: [503, 507],
  }),
  uploadChunks: operation({
    tag: "Guide",
    summary: "Upload chunks that are numbered in order of arrival",
    body: {
      required: true,
      type: "multipart/form-data",
      schema: {
        type: "object",
        required: ["recordingId", "participantId", "chunk_0"],
        properties: {
          recordingId: { type: "string" },
          participantId: { type: "string" },
          trackId: { type: "string", default: DEFAULT_TRACK_ID },
          chunk_0: { type: "string", format: "binary" },
          chunk_1: { type: "string", format: "binary" },
        },
      },
    },
    answers: { 200: { means: "The chunks are durable", body: jsonOutput(takenSchema) } },
    problems: UPLOAD_PROBLEMS,
  }),
  uploadChunk: operation({
    tag: "Guide",
    summary: "Upload one chunk in base64",
    body: { required: true, ...jsonInput(uploadChunkSchema) },
    answers: { 200: { means: "The chunk is durable", body: jsonOutput(takenSchema) } },
    problems: UPLOAD_PROBLEMS,
  }),
  stop: operation({
    tag: "Guide",
    summary: "Stop a recording",
    body: { required: true, ...jsonInput(stopSchema) },
    answers: { 200: { means: "It is stopped", body: jsonOutput(stoppedSchema) } },
    problems: [400, 404, 408, 413, 415, 422, 503],
  }),
};
