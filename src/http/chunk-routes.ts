import { Elysia } from "elysia";
import { z } from "zod";
import {
  chunkUploadFieldsSchema,
  chunkUploadResultSchema,
  epochMsSchema,
  sha256HexSchema,
} from "../contract/chunks.ts";
import { marksSchema } from "../contract/marks.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import { readChunkForm } from "./chunk-form.ts";
import { inputSchema, jsonOutput, operation } from "./operation-detail.ts";
import type { RequestBodies } from "./request-bodies.ts";
import { recordingParamsSchema } from "./route-params.ts";

/** Takes chunks: when the answer is out, every chunk that it names is on stable storage. */
export function chunkRoutes({
  engine,
  bodies,
}: {
  readonly engine: RecordingEngine;
  readonly bodies: RequestBodies;
}) {
  return new Elysia({ name: "chunk-routes" }).post(
    "/api/recordings/:recordingId/chunks",
    ({ params: { recordingId }, request }) =>
      bodies.multipart(request, (form) => {
        const { fields, chunks } = readChunkForm(form);
        const { participantId, trackId, segmentId, sequence, mimeType } = fields;
        return engine.append({
          recordingId,
          participantId,
          trackId,
          segmentId,
          mimeType,
          firstSequence: sequence,
          chunks,
        });
      }),
    {
      parse: "none",
      params: recordingParamsSchema,
      detail: operation({
        tag: "Chunks",
        summary: "Upload chunks",
        description:
          "Every chunk that the answer names is on stable storage. All chunks of a request are taken, or none. " +
          "The parts after `chunk_0` are `chunk_1`, `chunk_2`, ... without a hole, each with an optional `sha256_i`, `capturedAt_i` and `marks_i`. " +
          "`marks_i` is a JSON array of what happened while chunk i was recorded, and becomes durable with it: " +
          "an upload of a chunk that is stored already does not change its marks.",
        body: {
          required: true,
          type: "multipart/form-data",
          schema: multipartSchema(),
        },
        answers: {
          200: { means: "The chunks are durable", body: jsonOutput(chunkUploadResultSchema) },
        },
        problems: [400, 404, 408, 409, 410, 413, 415, 422, 429, 503, 507],
      }),
    },
  );
}

/** JSON Schema of the form; of the numbered parts only the first are named, as an example. */
function multipartSchema(): Record<string, unknown> {
  const fields = inputSchema(
    chunkUploadFieldsSchema.extend({
      chunk_0: z.file(),
      sha256_0: sha256HexSchema.optional(),
      capturedAt_0: epochMsSchema.optional(),
      marks_0: marksSchema.optional(),
      chunk_1: z.file().optional(),
    }),
  );
  return { ...fields, additionalProperties: true };
}
