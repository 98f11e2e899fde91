import { afterAll, beforeAll, expect, test } from "bun:test";
import { RecordingsApi } from "../support/recordings-api.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { expectProblem } from "./expect-problem.ts";

let server: TrackCaptureServer;
let api: RecordingsApi;

beforeAll(async () => {
  server = await startServer();
  api = new RecordingsApi(server.url);
});

afterAll(() => server[Symbol.asyncDispose]());

async function twoSegments() {
  const recordingId = await api.start();
  const track = { recordingId, participantId: "ada", trackId: "camera" };
  const segments = await Promise.all([
    recordedSegment("vp9-opus"),
    recordedSegment("mp4-vp9-opus"),
  ]);
  const segmentIds: string[] = [];
  for (const { mimeType, chunks } of segments) {
    const segmentId = crypto.randomUUID();
    segmentIds.push(segmentId);
    // The last chunk first: the order of the bytes is that of the sequence.
    for (const sequence of [1, 0]) {
      const payload = chunks[sequence]?.payload ?? new Uint8Array(0);
      await api.upload({ ...track, segmentId, mimeType, sequence, chunks: [payload] });
    }
  }
  const bytes = segments.map(({ chunks }) => joinChunks(chunks.slice(0, 2)));
  return { track, segmentIds, bytes, url: api.trackUrl(track, "source") };
}

test("the newest segment is given, in order of sequence, unless another is named", async () => {
  const { url, segmentIds, bytes } = await twoSegments();
  const newest = await fetch(url);
  expect(newest.headers.get("content-type")).toBe("video/mp4");
  expect(newest.headers.get("x-content-type-options")).toBe("nosniff");
  expect(await newest.bytes()).toEqual(bytes[1] ?? new Uint8Array(0));

  const named = await fetch(`${url}?segmentId=${segmentIds[0]}&download`);
  expect(named.headers.get("content-type")).toBe("video/x-matroska");
  expect(named.headers.get("content-disposition")).toStartWith("attachment; ");
  expect(await named.bytes()).toEqual(bytes[0] ?? new Uint8Array(0));
});

test("a HEAD gives what a GET would, with the length, without the bytes", async () => {
  const { url, segmentIds, bytes } = await twoSegments();
  for (const [i, segmentId] of segmentIds.entries()) {
    const { headers } = await fetch(`${url}?segmentId=${segmentId}`, { method: "HEAD" });
    expect(headers.get("content-length")).toBe(String(bytes[i]?.length));
  }
  const response = await fetch(url, { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("video/mp4");
  expect(await response.text()).toBe("");
});

test("a track or a segment that is not there is not found", async () => {
  const { url, track } = await twoSegments();
  await expectProblem(
    await fetch(api.trackUrl({ ...track, trackId: "screen" }, "source")),
    404,
    "track-not-found",
  );
  await expectProblem(
    await fetch(`${url}?segmentId=${crypto.randomUUID()}`),
    404,
    "segment-not-found",
  );
  await expectProblem(await fetch(`${url}?segmentId=x`), 422, "invalid-request");
});
