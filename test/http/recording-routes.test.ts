import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { recordingListSchema, recordingSummarySchema } from "../../src/contract/recordings.ts";
import { resolveFfmpeg, systemFfmpegLookup } from "../../src/process/ffmpeg-binary.ts";
import { RecordingsApi, trackOf, UnexpectedAnswerError } from "../support/recordings-api.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { expectProblem } from "./expect-problem.ts";
import { rawRequest } from "./raw-request.ts";

const UNKNOWN = "01a20451-b9a9-775b-bf84-76768d5fe3c6";

let server: TrackCaptureServer;
let api: RecordingsApi;

beforeAll(async () => {
  server = await startServer({ env: { STOP_GRACE_MS: "0" } });
  api = new RecordingsApi(server.url);
});

afterAll(() => server[Symbol.asyncDispose]());

const recordingUrl = (recordingId: string, rest = "") =>
  `${server.url}/api/recordings/${recordingId}${rest}`;

const send = (method: string, url: string, body?: string) =>
  fetch(url, {
    method,
    ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
  });

const deepMetadata = (levels: number) =>
  `{"metadata":{"a":${"[".repeat(levels)}${"]".repeat(levels)}}}`;

/** IDs of all recordings; their states change by themselves. */
const listed = async () => (await api.list()).map(({ recordingId }) => recordingId);

describe("starting", () => {
  test("gives an ID, and the name and metadata as they came", async () => {
    const metadata = { room: { id: 7, tags: ["a", null] } };
    const response = await send(
      "POST",
      `${server.url}/api/recordings`,
      JSON.stringify({ name: "  Weekly 🎥 ", metadata }),
    );
    expect(response.status).toBe(201);
    const summary = recordingSummarySchema.parse(await response.json());
    expect(summary).toMatchObject({ name: "Weekly 🎥", metadata, state: "recording" });
    expect(await api.show(summary.recordingId)).toEqual({ ...summary, participants: [] });
  });

  test.each([
    ["a key __proto__ at every level", '{"__proto__":{"__proto__":[{"__proto__":1}]},"a":null}'],
    ["32 levels", `{"a":${'{"a":'.repeat(29)}1${"}".repeat(29)}}`],
    ["brackets and quotes in texts", JSON.stringify({ a: `${"[".repeat(99)}"\\"`, '{"\\': "\\" })],
    ["the characters that JSON escapes", '{"a":"\\u0000\\ud800"}'],
    ["all that the limit allows, escaped", `{"a":"${"\\u00e9".repeat(16_376)}"}`],
  ])("takes metadata with %s, and shows it as it came", async (_name, metadata) => {
    const response = await send("POST", recordingUrl(""), `{"metadata":${metadata}}`);
    const { recordingId } = recordingSummarySchema.parse(await response.clone().json());
    const compact = JSON.stringify(JSON.parse(metadata));
    expect(await response.text()).toContain(`"metadata":${compact},`);
    expect(await (await fetch(recordingUrl(recordingId))).text()).toContain(compact);
    expect(await (await fetch(recordingUrl("", "?limit=1"))).text()).toContain(compact);
  });

  test("takes a name of 128 emoji, which the list finds", async () => {
    const name = "🎥".repeat(128);
    const recordingId = await api.start(name);
    const found = await page(`q=${encodeURIComponent(name)}`);
    expect(found.recordings).toMatchObject([{ recordingId, name }]);
  });

  test("needs no body", async () => {
    const response = await send("POST", `${server.url}/api/recordings`);
    expect(response.status).toBe(201);
    expect(await response.json()).toMatchObject({ name: null, metadata: {} });
  });

  test.each([
    ["broken JSON", "{", 400, "unreadable-body"],
    ["a list", "[]", 422, "invalid-request"],
    ["a name that is no text", '{"name":7}', 422, "invalid-request"],
    ["a name that is too long", JSON.stringify({ name: "x".repeat(200) }), 422, "invalid-request"],
    [
      "too much metadata",
      JSON.stringify({ metadata: { x: "x".repeat(20_000) } }),
      422,
      "invalid-request",
    ],
    ["metadata that is a list", '{"metadata":[]}', 422, "invalid-request"],
    [
      "a number that JSON cannot express again",
      '{"metadata":{"a":[1e999]}}',
      422,
      "invalid-request",
    ],
    ["33 levels of objects", '{"a":'.repeat(33) + "1" + "}".repeat(33), 422, "invalid-request"],
    ["6,500 levels of arrays", deepMetadata(6_500), 422, "invalid-request"],
    ["60,000 levels that nothing closes", "[".repeat(60_000), 422, "invalid-request"],
    ["a name of 129 emoji", JSON.stringify({ name: "🎥".repeat(129) }), 422, "invalid-request"],
    ["a name with NUL", '{"name":"a\\u0000b"}', 422, "invalid-request"],
    ["a name with half of a character", '{"name":"a\\ud83d"}', 422, "invalid-request"],
    [
      "more JSON than any recording needs",
      `{"a":"${"x".repeat(200_000)}"}`,
      413,
      "chunk-too-large",
    ],
  ] as const)("with %s is refused", async (_name, body, status, code) => {
    const before = await listed();
    await expectProblem(await send("POST", `${server.url}/api/recordings`, body), status, code);
    expect(await listed()).toEqual(before);
  });

  test("with a form is refused", async () => {
    const body = new FormData();
    body.append("name", "x");
    await expectProblem(
      await fetch(`${server.url}/api/recordings`, { method: "POST", body }),
      415,
      "unsupported-media-type",
    );
  });
});

const page = async (query: string) =>
  recordingListSchema.parse(await (await fetch(recordingUrl("", `?${query}`))).json());

describe("the list", () => {
  test("is in pages, newest first, and can be searched", async () => {
    const ids: string[] = [];
    for (const i of [1, 2, 3]) ids.unshift(await api.start(`paged ${i}`));
    const first = await page("q=PAGED&limit=2");
    const second = await page(`q=PAGED&limit=2&cursor=${first.nextCursor}`);
    expect(first.nextCursor).not.toBeNull();
    expect(second.nextCursor).toBeNull();
    expect([...first.recordings, ...second.recordings].map((it): string => it.recordingId)).toEqual(
      ids,
    );

    await api.stop(ids[0] ?? "");
    const running = await page("q=paged&state=recording");
    expect(running.recordings.map((it): string => it.recordingId)).toEqual(ids.slice(1));
  });

  test.each([
    "limit=0",
    "limit=1000",
    "limit=x",
    "limit=0x10",
    "limit=1e1",
    "limit=%2010",
    "q=%00",
    "state=paused",
    "cursor=x",
  ])("with %s is refused", async (query) => {
    await expectProblem(await fetch(recordingUrl("", `?${query}`)), 422, "invalid-request");
  });
});

describe("a recording that is not there", () => {
  test.each([
    ["GET", ""],
    ["POST", "/stop"],
    ["POST", "/retry"],
    ["DELETE", ""],
    ["GET", "/download"],
    ["GET", "/participants/a/tracks/b/media.mp4"],
    ["GET", "/participants/a/tracks/b/source"],
    ["GET", `/segments/${crypto.randomUUID()}`],
  ])("is not found by %s %s", async (method, rest) => {
    for (const recordingId of [UNKNOWN, "nonsense", "%00", "..%2Fcatalog.sqlite"]) {
      await expectProblem(
        await send(method, recordingUrl(recordingId, rest)),
        404,
        "recording-not-found",
      );
    }
  });
});

describe("stopping", () => {
  test("twice gives the same answer", async () => {
    const recordingId = await api.start();
    const segment = await recordedSegment("vp9-opus");
    await api.upload({
      recordingId,
      participantId: "ada",
      trackId: "camera",
      segmentId: crypto.randomUUID(),
      sequence: 0,
      mimeType: segment.mimeType,
      chunks: segment.chunks.slice(0, 2).map(({ payload }) => payload),
    });
    const first = await send("POST", recordingUrl(recordingId, "/stop"));
    const second = await send("POST", recordingUrl(recordingId, "/stop"));
    expect([first.status, second.status]).toEqual([202, 202]);
    const [one, two] = [await first.json(), await second.json()].map((answer) =>
      recordingSummarySchema.parse(answer),
    );
    expect(one?.state).toBe("finalizing");
    expect(two?.stoppedAt).toBe(one?.stoppedAt ?? "");
  });

  test("an empty recording makes it ready, without tracks", async () => {
    const recordingId = await api.start();
    await api.stop(recordingId);
    expect(await api.ready(recordingId)).toMatchObject({ state: "ready", participants: [] });
  });
});

test("a manifest is written once and is not much larger than its metadata", async () => {
  // A thousand lines, each of which indentation would make 60 characters longer.
  const metadata = `{"a":${"[".repeat(28)}${Array(1_000).fill(1).join()}${"]".repeat(28)}}`;
  const started = await send("POST", recordingUrl(""), `{"metadata":${metadata}}`);
  const { recordingId } = recordingSummarySchema.parse(await started.json());
  await Promise.all(Array.from({ length: 20 }, () => api.stop(recordingId)));
  await api.ready(recordingId);
  const manifest = Bun.file(join(server.recordingsDirectory, recordingId, "manifest.json"));
  const written = await manifest.stat();
  expect(written.size).toBeLessThan(metadata.length + 1_000);
  await Promise.all(Array.from({ length: 20 }, () => api.stop(recordingId)));
  expect((await manifest.stat()).mtimeMs).toBe(written.mtimeMs);
});

describe("deleting", () => {
  test("a recording in progress is refused", async () => {
    const recordingId = await api.start();
    await expectProblem(
      await send("DELETE", recordingUrl(recordingId)),
      409,
      "recording-in-progress",
    );
    expect((await api.show(recordingId)).state).toBe("recording");
  });

  test("a stopped one removes it and its files for good", async () => {
    const recordingId = await api.start();
    await api.stop(recordingId);
    await api.ready(recordingId);
    expect((await send("DELETE", recordingUrl(recordingId))).status).toBe(204);
    await expectProblem(
      await send("DELETE", recordingUrl(recordingId)),
      404,
      "recording-not-found",
    );
    expect(api.show(recordingId)).rejects.toBeInstanceOf(UnexpectedAnswerError);
    const left = await Array.fromAsync(
      new Bun.Glob(`${recordingId}/**`).scan({ cwd: server.recordingsDirectory }),
    );
    expect(left).toEqual([]);
  });
});

test("a track that failed keeps its chunks, tells why, and can be tried again", async () => {
  await using directory = await temporaryDirectory();
  const real = await resolveFfmpeg(systemFfmpegLookup({ PATH: process.env["PATH"] }));
  const repaired = join(directory.path, "repaired");
  const broken = join(directory.path, "ffmpeg");
  await writeFile(
    broken,
    `#!/bin/sh\ncase "$*" in *-version*) exec '${real.path}' "$@";; esac\n` +
      `[ -e '${repaired}' ] && exec '${real.path}' "$@"\necho 'no such luck' >&2\nexit 1\n`,
    { mode: 0o755 },
  );
  await using other = await startServer({
    env: { FFMPEG_PATH: broken, FINALIZE_ATTEMPTS_MAX: "1" },
  });
  const otherApi = new RecordingsApi(other.url);
  const track = { participantId: "ada", trackId: "camera" };
  const { mimeType, chunks } = await recordedSegment("vp8-opus");
  const recordingId = await otherApi.start();
  const segmentId = crypto.randomUUID();
  const payloads = chunks.map(({ payload }) => payload);
  const upload = { ...track, recordingId, segmentId, sequence: 0, mimeType, chunks: payloads };
  await otherApi.upload(upload);
  await otherApi.endSegment(recordingId, segmentId, chunks.length);
  await otherApi.stop(recordingId);
  const failed = await until(
    async () => {
      const recording = await otherApi.show(recordingId);
      return recording.state === "failed" ? recording : undefined;
    },
    { what: "the recording failed", timeoutMs: 20_000 },
  );
  expect(failed.reason).toContain("could be decoded");
  // ffmpeg's own words are for the log.
  expect(failed.reason).not.toContain("no such luck");
  expect(trackOf(failed, track)).toMatchObject({ state: "failed", media: null });
  const source = await fetch(otherApi.trackUrl({ ...track, recordingId }, "source"));
  expect(await source.bytes()).toEqual(joinChunks(chunks));
  const { detail } = await expectProblem(
    await fetch(otherApi.trackUrl({ ...track, recordingId }, "media.mp4")),
    404,
    "media-not-ready",
  );
  expect(detail).toContain("could be decoded");

  await writeFile(repaired, "");
  const retry = await fetch(`${other.url}/api/recordings/${recordingId}/retry`, { method: "POST" });
  expect(retry.status).toBe(202);
  const ready = await until(
    async () => {
      const recording = await otherApi.show(recordingId);
      return recording.state === "ready" ? recording : undefined;
    },
    { what: "the recording is ready", timeoutMs: 40_000 },
  );
  expect(trackOf(ready, track)).toMatchObject({ state: "ready", verdict: "complete" });
}, 90_000);

test("retrying when nothing has failed is refused", async () => {
  const recordingId = await api.start();
  await api.stop(recordingId);
  await api.ready(recordingId);
  await expectProblem(
    await send("POST", recordingUrl(recordingId, "/retry")),
    409,
    "nothing-to-retry",
  );
});

test.each([
  ["GET", "/api/nothing"],
  ["OPTIONS", "/api/nothing"],
  ["GET", "/../../etc/passwd"],
])("%s %s is a problem that says so", async (method, path) => {
  const { detail } = await expectProblem(await send(method, server.url + path), 404, "not-found");
  expect(detail).toContain("/openapi");
});

test.each([
  "/client/..\\api/recordings",
  "/client/x\\..\\..\\api/recordings",
  "/client/../api/recordings",
  "/client/%2e%2e/api/recordings",
  "/./api/recordings",
  "/api\\recordings",
  "//api/recordings",
])("GET %s does not lead to /api/recordings", async (target) => {
  const { statusLine, text } = await rawRequest(server.url, [
    `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
  ]);
  expect(statusLine).toBe("HTTP/1.1 404 Not Found");
  expect(text).toContain('"not-found"');
});

test("a slash at the end leads to the path without it", async () => {
  for (const target of ["/api/recordings/?limit=1", "/client/..\\api/recordings/?limit=1"]) {
    const { text } = await rawRequest(server.url, [
      `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    ]);
    expect(text).toStartWith("HTTP/1.1 308 Permanent Redirect");
    expect(text).toMatch(/^location: \/api\/recordings\?limit=1\r$/im);
  }
});

test.each([
  ["PUT", "/api/recordings", "GET, HEAD, OPTIONS, POST"],
  ["DELETE", "/api/recordings/", "GET, HEAD, OPTIONS, POST"],
  ["PATCH", `/api/recordings/${UNKNOWN}`, "DELETE, GET, HEAD, OPTIONS"],
  ["GET", `/api/recordings/${UNKNOWN}/stop`, "OPTIONS, POST"],
  ["POST", "/", "GET, HEAD, OPTIONS"],
  ["POST", "/openapi/assets/swagger-ui.css", "GET, HEAD, OPTIONS"],
  ["DELETE", "/recording/start", "GET, HEAD, OPTIONS, POST"],
])("%s %s is not allowed, and the answer lists what is", async (method, path, allowed) => {
  const response = await send(method, server.url + path);
  expect(response.headers.get("allow")).toBe(allowed);
  await expectProblem(response, 405, "method-not-allowed");
  const options = await send("OPTIONS", server.url + path);
  expect([options.status, options.headers.get("allow")]).toEqual([204, allowed]);
});
