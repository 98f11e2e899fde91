import { afterAll, beforeAll, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { Glob } from "bun";
import type { Track } from "../../src/contract/recordings.ts";
import { waveformSchema } from "../../src/contract/waveform.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { expectProblem } from "./expect-problem.ts";

const CAMERA = { participantId: 'Zoë "Z" 🎥/../x', trackId: "camera" };
const MICROPHONE = { participantId: "bob", trackId: "microphone" };

let server: TrackCaptureServer;
let cameraUrl: string;
let microphoneUrl: string;
let camera: Track;
let microphone: Track;

beforeAll(async () => {
  server = await startServer();
  const api = new RecordingsApi(server.url);
  const recordingId = await api.start("Weekly");
  for (const [track, name] of [
    [CAMERA, "vp9-opus"],
    [MICROPHONE, "audio-opus"],
  ] as const) {
    const { mimeType, chunks } = await recordedSegment(name);
    const segmentId = crypto.randomUUID();
    const payloads = chunks.map(({ payload }) => payload);
    await api.upload({ ...track, recordingId, segmentId, sequence: 0, mimeType, chunks: payloads });
    await api.endSegment(recordingId, segmentId, chunks.length);
  }
  await api.stop(recordingId);
  const recording = await api.ready(recordingId);
  camera = trackOf(recording, CAMERA);
  microphone = trackOf(recording, MICROPHONE);
  const urlOf = (track: typeof CAMERA) =>
    server.url + (trackOf(recording, track).media?.url ?? "").replace("/media.mp4", "");
  cameraUrl = urlOf(CAMERA);
  microphoneUrl = urlOf(MICROPHONE);
}, 60_000);

afterAll(() => server[Symbol.asyncDispose]());

/** Waits until it is made, which is after the recording is ready. */
function made(url: string): Promise<Response> {
  return until(
    async () => {
      const answer = await fetch(url);
      if (answer.status === 200) return answer;
      await expectProblem(answer, 404, "media-not-ready");
      return undefined;
    },
    { what: `${url} is there`, timeoutMs: 60_000 },
  );
}

test("the recording tells where they are, of a track that has pictures, or sound", () => {
  const paths = [camera, microphone].map(({ posterUrl, waveformUrl }) => [posterUrl, waveformUrl]);
  const [cameraPath, microphonePath] = [cameraUrl, microphoneUrl].map((url) =>
    url.slice(server.url.length),
  );
  expect(paths).toEqual([
    [`${cameraPath}/poster.jpg`, `${cameraPath}/waveform.json`],
    [null, `${microphonePath}/waveform.json`],
  ]);
});

test("a camera has a poster, and a copy of it is not sent twice", async () => {
  const url = `${cameraUrl}/poster.jpg`;
  const poster = await made(url);
  expect(poster.headers.get("content-type")).toBe("image/jpeg");
  const bytes = await poster.bytes();
  expect([...bytes.subarray(0, 3)]).toEqual([0xff, 0xd8, 0xff]);
  const etag = poster.headers.get("etag") ?? "";
  const again = await fetch(url, { headers: { "if-none-match": etag } });
  expect([again.status, (await again.bytes()).length]).toEqual([304, 0]);
});

test("another poster or waveform than the one that is asked for is refused", async () => {
  for (const url of [`${cameraUrl}/poster.jpg`, `${cameraUrl}/waveform.json`]) {
    const etag = (await made(url)).headers.get("etag") ?? "";
    for (const method of ["GET", "HEAD"]) {
      const ask = (headers: Record<string, string>) => fetch(url, { method, headers });
      expect((await ask({ "if-match": '"x"' })).status).toBe(412);
      expect((await ask({ "if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT" })).status).toBe(
        412,
      );
      expect((await ask({ "if-match": etag })).status).toBe(200);
    }
    await expectProblem(
      await fetch(url, { headers: { "if-match": '"x"' } }),
      412,
      "precondition-failed",
    );
  }
});

test("a poster and a waveform are served in parts, as MP4s are", async () => {
  for (const url of [`${cameraUrl}/poster.jpg`, `${cameraUrl}/waveform.json`]) {
    const whole = await made(url);
    expect(whole.headers.get("x-content-type-options")).toBe("nosniff");
    const etag = whole.headers.get("etag") ?? "";
    const bytes = await whole.bytes();
    const ask = (headers: Record<string, string>, method = "GET") =>
      fetch(url, { method, headers });

    const part = await ask({ range: "bytes=2-5", "if-range": etag });
    expect([part.status, part.headers.get("content-range")]).toEqual([
      206,
      `bytes 2-5/${bytes.length}`,
    ]);
    expect(await part.bytes()).toEqual(bytes.slice(2, 6));
    const other = await ask({ range: "bytes=2-5", "if-range": '"x"' });
    expect([other.status, (await other.bytes()).length]).toEqual([200, bytes.length]);
    await expectProblem(await ask({ range: "bytes=9999999-" }), 416, "range-not-satisfiable");
    const head = await ask({ range: "bytes=2-5" }, "HEAD");
    expect([head.status, head.headers.get("content-length")]).toEqual([200, String(bytes.length)]);
  }
});

test("both tracks have a waveform of their length", async () => {
  for (const url of [cameraUrl, microphoneUrl]) {
    const { stepMs, peaks } = waveformSchema.parse(
      await (await made(`${url}/waveform.json`)).json(),
    );
    // Recordings of six seconds, of a tone that is louder than silence.
    expect(stepMs * peaks.length).toBeGreaterThan(5_000);
    expect(stepMs * peaks.length).toBeLessThan(8_000);
    expect(Math.max(...peaks)).toBeGreaterThan(0.05);
  }
});

test("a microphone has no poster, and says why", async () => {
  const { detail } = await expectProblem(
    await fetch(`${microphoneUrl}/poster.jpg`),
    404,
    "media-not-ready",
  );
  expect(detail).toBe('Track "microphone" of "bob" has no poster, since it has no pictures.');
});

test("one that is missing, as after a crash, is made when it is asked for", async () => {
  await made(`${cameraUrl}/poster.jpg`);
  const files = new Glob("*/tracks/*/*/poster.jpg");
  for await (const path of files.scan({ cwd: server.recordingsDirectory, absolute: true })) {
    await rm(path);
  }
  await expectProblem(await fetch(`${cameraUrl}/poster.jpg`), 404, "media-not-ready");
  await made(`${cameraUrl}/poster.jpg`);
});

test("a track that is not there has neither", async () => {
  const url = cameraUrl.replace(/camera$/, "screen");
  await expectProblem(await fetch(`${url}/poster.jpg`), 404, "track-not-found");
  await expectProblem(await fetch(`${url}/waveform.json`), 404, "track-not-found");
});
