import { Elysia } from "elysia";
import { endSegmentRequestSchema, segmentStatusSchema } from "../contract/chunks.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import { jsonInput, jsonOutput, operation } from "./operation-detail.ts";
import type { RequestBodies } from "./request-bodies.ts";
import { segmentParamsSchema } from "./route-params.ts";

/** Resume points of segments, and their ends. */
export function segmentRoutes({
  engine,
  bodies,
}: {
  readonly engine: RecordingEngine;
  readonly bodies: RequestBodies;
}) {
  return new Elysia({
    name: "segment-routes",
    prefix: "/api/recordings/:recordingId/segments/:segmentId",
  })
    .get(
      "",
      ({ params: { recordingId, segmentId } }) => engine.segmentStatus(recordingId, segmentId),
      {
        params: segmentParamsSchema,
        detail: operation({
          tag: "Chunks",
          summary: "Where to resume a segment's upload",
          answers: { 200: { means: "What is durable", body: jsonOutput(segmentStatusSchema) } },
          problems: [404, 422],
        }),
      },
    )
    .post(
      "/end",
      async ({ params: { recordingId, segmentId }, request }) => {
        const { chunkCount } = await bodies.json(request, endSegmentRequestSchema);
        return engine.endSegment(recordingId, segmentId, chunkCount);
      },
      {
        parse: "none",
        params: segmentParamsSchema,
        detail: operation({
          tag: "Chunks",
          summary: "Tell how many chunks a segment has",
          description: "The segment is complete once all of them are durable.",
          body: { required: true, ...jsonInput(endSegmentRequestSchema) },
          answers: { 200: { means: "What is durable", body: jsonOutput(segmentStatusSchema) } },
          problems: [400, 404, 408, 409, 410, 413, 415, 422, 503, 507],
        }),
      },
    );
}
