import { afterAll, beforeAll, expect, test } from "bun:test";
import { segmentIdSchema } from "../../src/contract/ids.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { recordedSegment, type RecordedSegment } from "../support/recorded-media.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { expectProblem } from "./expect-problem.ts";

let server: TrackCaptureServer;
let api: RecordingsApi;
let segment: RecordedSegment;

beforeAll(async () => {
  [server, segment] = await Promise.all([startServer(), recordedSegment("h264-opus")]);
  api = new RecordingsApi(server.url);
});

afterAll(() => server[Symbol.asyncDispose]());

async function begunSegment() {
  const recordingId = await api.start();
  const segmentId = crypto.randomUUID();
  await api.upload({
    recordingId,
    participantId: "ada",
    trackId: "camera",
    segmentId,
    sequence: 0,
    mimeType: segment.mimeType,
    chunks: segment.chunks.slice(0, 2).map(({ payload }) => payload),
  });
  const url = `${server.url}/api/recordings/${recordingId}/segments/${segmentId}`;
  const end = (body: string) =>
    fetch(`${url}/end`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
  return { recordingId, segmentId, url, end };
}

test("a segment tells where to resume", async () => {
  const { recordingId, segmentId } = await begunSegment();
  expect(await api.segmentStatus(recordingId, segmentId.toUpperCase())).toEqual({
    segmentId: segmentIdSchema.parse(segmentId),
    nextSequence: 2,
    missing: [],
    bytes: segment.chunks.slice(0, 2).reduce((sum, { payload }) => sum + payload.length, 0),
    ended: false,
  });
});

test("a segment that is ended tells what is missing up to its end", async () => {
  const { recordingId, segmentId } = await begunSegment();
  expect(await api.endSegment(recordingId, segmentId, 5)).toMatchObject({
    nextSequence: 2,
    missing: [{ from: 2, to: 4 }],
    ended: true,
  });
  expect(await api.segmentStatus(recordingId, segmentId)).toMatchObject({ ended: true });
});

test("a segment cannot end before chunks that are there", async () => {
  const { end, recordingId, segmentId } = await begunSegment();
  await expectProblem(await end('{"chunkCount":1}'), 409, "chunk-conflict");
  expect(await api.segmentStatus(recordingId, segmentId)).toMatchObject({ ended: false });
});

test.each([
  ["{", 400, "unreadable-body"],
  ["", 422, "invalid-request"],
  ['{"chunkCount":-1}', 422, "invalid-request"],
  ['{"chunkCount":"5"}', 422, "invalid-request"],
  ['{"chunkCount":2147483649}', 422, "invalid-request"],
] as const)("an end of %p is refused", async (body, status, code) => {
  const { end, recordingId, segmentId } = await begunSegment();
  await expectProblem(await end(body), status, code);
  expect(await api.segmentStatus(recordingId, segmentId)).toMatchObject({ ended: false });
});

test("a segment that is not there is not found", async () => {
  const { url } = await begunSegment();
  const other = url.replace(/[^/]+$/, crypto.randomUUID());
  await expectProblem(await fetch(other), 404, "segment-not-found");
});

test("a segment ID that is no UUID is refused", async () => {
  const { url } = await begunSegment();
  await expectProblem(await fetch(url.replace(/[^/]+$/, "..%2Fx")), 422, "invalid-request");
});
