import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rename } from "node:fs/promises";
import type { Recording } from "../../src/contract/recordings.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { expectProblem } from "./expect-problem.ts";
import { finishedRecording } from "./finished-recording.ts";
import { growMedia } from "./grown-media.ts";
import { beginSlowDownload } from "./slow-download.ts";

/** More than the buffers of a connection hold. */
const LARGE_BYTES = 64 * 1024 * 1024;

const TRACK = { participantId: 'Zoë "Z" 🎥/../x', trackId: "camera" };

let server: TrackCaptureServer;
let api: RecordingsApi;
let recording: Recording;
let url: string;
let whole: Uint8Array;
let etag: string;
let lastModified: string;

beforeAll(async () => {
  server = await startServer();
  api = new RecordingsApi(server.url);
  recording = await finishedRecording(api, "Weekly", [TRACK]);
  url = server.url + (trackOf(recording, TRACK).media?.url ?? "");
  const response = await fetch(url);
  whole = await response.bytes();
  etag = response.headers.get("etag") ?? "";
  lastModified = response.headers.get("last-modified") ?? "";
}, 60_000);

afterAll(() => server[Symbol.asyncDispose]());

const get = (headers: Record<string, string>, method = "GET") => fetch(url, { method, headers });

test("the whole MP4 is the one that the recording tells of", async () => {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("video/mp4");
  expect(response.headers.get("content-length")).toBe(String(whole.length));
  expect(response.headers.get("accept-ranges")).toBe("bytes");
  expect(response.headers.get("vary")).toBe("Origin");
  const { media } = trackOf(recording, TRACK);
  const bytes = await response.bytes();
  expect(bytes.length).toBe(media?.bytes ?? 0);
  expect(Buffer.from(bytes.subarray(4, 8)).toString()).toBe("ftyp");
});

test("its file name is safe, in ASCII and in UTF-8", async () => {
  const inline = (await fetch(url)).headers.get("content-disposition");
  expect(inline).toBe(
    `inline; filename="Weekly - Zo_ _Z_ __.._x - camera.mp4"; ` +
      `filename*=UTF-8''Weekly%20-%20Zo%C3%AB%20_Z_%20%F0%9F%8E%A5_.._x%20-%20camera.mp4`,
  );
  const download = (await fetch(`${url}?download`)).headers.get("content-disposition");
  expect(download).toBe(inline?.replace("inline", "attachment") ?? "");
});

describe("a range", () => {
  const cases: [range: string, from: (bytes: Uint8Array) => [number, number]][] = [
    ["bytes=0-0", () => [0, 1]],
    ["bytes=100-", (bytes) => [100, bytes.length]],
    ["bytes=-100", (bytes) => [bytes.length - 100, bytes.length]],
    ["bytes=5-99999999999", (bytes) => [5, bytes.length]],
    ["bytes=-99999999999", (bytes) => [0, bytes.length]],
  ];
  test.each(cases)("%s gives that part", async (range, bounds) => {
    const [from, to] = bounds(whole);
    const response = await get({ range });
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe(`bytes ${from}-${to - 1}/${whole.length}`);
    expect(response.headers.get("content-length")).toBe(String(to - from));
    expect(response.headers.get("etag")).toBe(etag);
    expect(await response.bytes()).toEqual(whole.subarray(from, to));
  });

  test.each(["bytes=99999999999-", "bytes=-0"])("%s is beyond the file", async (range) => {
    const response = await get({ range });
    expect(response.headers.get("content-range")).toBe(`bytes */${whole.length}`);
    await expectProblem(response, 416, "range-not-satisfiable");
  });

  test.each(["bytes=0-1,5-9", "bytes=9-5", "bytes=x-", "lines=1-2"])(
    "%s counts as none",
    async (range) => {
      const response = await get({ range });
      expect(response.status).toBe(200);
      expect(await response.bytes()).toEqual(whole);
    },
  );

  test("counts only if the client's part is of this version", async () => {
    const range = "bytes=0-9";
    expect((await get({ range, "if-range": etag })).status).toBe(206);
    expect((await get({ range, "if-range": lastModified })).status).toBe(206);
    for (const ifRange of ['"other"', `W/${etag}`, "Thu, 01 Jan 1970 00:00:00 GMT"]) {
      const response = await get({ range, "if-range": ifRange });
      expect(response.status).toBe(200);
      expect(await response.bytes()).toEqual(whole);
    }
  });
});

describe("a condition", () => {
  test("that the client's copy fulfils is answered with 304", async () => {
    for (const headers of [
      { "if-none-match": etag },
      { "if-none-match": `"x", W/${etag}` },
      { "if-none-match": "*" },
      { "if-modified-since": lastModified },
    ]) {
      const response = await get(headers);
      expect(response.status).toBe(304);
      expect(response.headers.get("etag")).toBe(etag);
      // A copy that is still right stays in the cache.
      expect(response.headers.get("cache-control")).toBe("private, no-cache");
    }
  });

  test("for another version is answered with 412, before any range and any copy", async () => {
    for (const headers of [
      { "if-match": '"x"' },
      { "if-match": `W/${etag}`, "if-none-match": etag },
      { "if-match": '"x"', range: "bytes=0-9", "if-range": etag },
      { "if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT" },
    ]) {
      await expectProblem(await get(headers), 412, "precondition-failed");
      expect((await get(headers, "HEAD")).status).toBe(412);
    }
    expect((await get({ "if-match": `"x", ${etag}` })).status).toBe(200);
    expect((await get({ "if-match": etag, range: "bytes=0-9" })).status).toBe(206);
    expect((await get({ "if-unmodified-since": lastModified }, "HEAD")).status).toBe(200);
  });

  test("that it does not fulfil is answered with the file", async () => {
    for (const headers of [
      { "if-none-match": '"x"' },
      { "if-none-match": '"x"', "if-modified-since": lastModified },
      { "if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT" },
      { "if-modified-since": "some day" },
    ]) {
      expect((await get(headers)).status).toBe(200);
    }
  });
});

test("a HEAD tells what a GET would give, without the bytes", async () => {
  const response = await get({}, "HEAD");
  expect(response.status).toBe(200);
  expect(response.headers.get("content-length")).toBe(String(whole.length));
  expect(response.headers.get("etag")).toBe(etag);
  expect(await response.text()).toBe("");
  expect((await get({ "if-none-match": etag }, "HEAD")).status).toBe(304);
});

test("a track that is still recorded has no MP4 yet, and the answer says why", async () => {
  const recordingId = await api.start();
  const track = { ...TRACK, recordingId };
  await expectProblem(await fetch(api.trackUrl(track, "media.mp4")), 404, "track-not-found");
  await api.upload({
    ...track,
    segmentId: crypto.randomUUID(),
    sequence: 0,
    mimeType: "video/webm",
    chunks: [new Uint8Array([0x1a, 0x45, 0xdf, 0xa3])],
  });
  const { detail } = await expectProblem(
    await fetch(api.trackUrl(track, "media.mp4")),
    404,
    "media-not-ready",
  );
  expect(detail).toContain("is being recorded");
});

test("neither a deletion nor a better MP4 breaks a download that runs", async () => {
  const { recordingId } = await finishedRecording(api, "to be deleted", [TRACK]);
  const track = { ...TRACK, recordingId };
  const path = await growMedia(server.recordingsDirectory, track, LARGE_BYTES);
  const mediaUrl = api.trackUrl(track, "media.mp4");

  const first = await beginSlowDownload(mediaUrl);
  await Bun.write(`${path}.new`, "better");
  await rename(`${path}.new`, path);
  expect(await (await fetch(mediaUrl)).text()).toBe("better");
  const { head, body } = await first.finish();
  expect(head).toContain(`content-length: ${LARGE_BYTES}`);
  expect(body.length).toBe(LARGE_BYTES);

  await Bun.write(path, new Uint8Array(LARGE_BYTES));
  const second = await beginSlowDownload(mediaUrl);
  const gone = await fetch(`${server.url}/api/recordings/${recordingId}`, { method: "DELETE" });
  expect(gone.status).toBe(204);
  await expectProblem(await fetch(mediaUrl), 404, "recording-not-found");
  expect((await second.finish()).body.length).toBe(LARGE_BYTES);
}, 60_000);
