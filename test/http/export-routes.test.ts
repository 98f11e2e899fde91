import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Export } from "../../src/contract/exports.ts";
import type { Recording } from "../../src/contract/recordings.ts";
import { ExportsApi, exportOf } from "../support/exports-api.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { expectProblem } from "./expect-problem.ts";
import { finishedRecording } from "./finished-recording.ts";

const UNKNOWN = "01a20451-b9a9-775b-bf84-76768d5fe3c6";
const TRACK = { participantId: 'Zoë "Z" 🎥/../x', trackId: "camera" };

let server: TrackCaptureServer;
let api: RecordingsApi;
let recording: Recording;
let exports: ExportsApi;
let aligned: Export;

beforeAll(async () => {
  server = await startServer();
  api = new RecordingsApi(server.url);
  recording = await finishedRecording(api, "Weekly", [
    TRACK,
    { participantId: TRACK.participantId, trackId: "CAMERA" },
  ]);
  exports = new ExportsApi(server.url, recording.recordingId);
  const { exportId } = await exports.request({ kind: "aligned" });
  aligned = await exports.done(exportId);
}, 60_000);

afterAll(() => server[Symbol.asyncDispose]());

describe("asking for an export", () => {
  test("gives it with the options that hold, and it is made in the background", () => {
    expect(aligned).toMatchObject({
      recordingId: recording.recordingId,
      kind: "aligned",
      options: { padding: "edit-list" },
      state: "done",
      progress: 1,
      reason: null,
      isOutdated: false,
    });
    expect(aligned.files).toMatchObject([
      { name: "Zoë-Z-x-camera.mp4", ...TRACK, mediaType: "video/mp4" },
      { name: "Zoë-Z-x-CAMERA-2.mp4", trackId: "CAMERA" },
    ]);
    expect(Date.parse(aligned.endedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(aligned.createdAt));
  });

  test.each([
    [
      "an unknown kind",
      { kind: "vhs" },
      "kind must be one of aligned, compatible, audio, composite",
    ],
    ["no kind", {}, "kind must be one of aligned, compatible, audio, composite"],
    ["an unknown option", { kind: "audio", quality: 7 }, "quality"],
    ["a rate beyond all", { kind: "compatible", frameRate: 1e9 }, "frameRate"],
    ["a kind of padding that there is not", { kind: "aligned", padding: "x" }, "padding"],
  ])("with %s is refused", async (_name, body, words) => {
    const problem = await expectProblem(await exports.ask(body), 422, "invalid-request");
    expect(problem.detail).toContain(words);
  });

  test("with a body that is no JSON is refused", async () => {
    const url = `${server.url}/api/recordings/${recording.recordingId}/exports`;
    const headers = { "content-type": "application/json" };
    await expectProblem(
      await fetch(url, { method: "POST", body: "{", headers }),
      400,
      "unreadable-body",
    );
  });

  test("of a recording in progress is refused", async () => {
    const recordingId = await api.start();
    const asked = await new ExportsApi(server.url, recordingId).ask({ kind: "aligned" });
    await expectProblem(asked, 409, "recording-in-progress");
  });

  test("of a recording without an MP4 is refused", async () => {
    const recordingId = await api.start();
    await api.stop(recordingId);
    await api.ready(recordingId);
    const asked = await new ExportsApi(server.url, recordingId).ask({ kind: "aligned" });
    await expectProblem(asked, 409, "nothing-to-export");
  });

  test("of a recording that there is not is refused", async () => {
    for (const id of [UNKNOWN, "x"]) {
      const asked = await new ExportsApi(server.url, id).ask({ kind: "aligned" });
      await expectProblem(asked, 404, "recording-not-found");
    }
  });

  test("again while it is under way gives the same one; other options make another", async () => {
    const asked = await Promise.all([
      exports.request({ kind: "compatible" }),
      exports.request({ frameRate: 30, kind: "compatible" }),
      exports.request({ kind: "compatible", frameRate: 25 }),
    ]);
    const [one, same, other] = asked.map(({ exportId }) => exportId);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
    const listed = (await exports.list()).map(({ exportId }) => exportId);
    expect(listed).toEqual(listed.toSorted().toReversed());
    expect(listed).toEqual(expect.arrayContaining([one, other, aligned.exportId]));
    for (const id of [one!, other!]) expect((await exports.remove(id)).status).toBe(204);
  });
});

describe("an export that there is not", () => {
  test.each(["show", "cancel", "retry", "remove"] as const)("is refused by %s", async (what) => {
    const answer =
      what === "show" ? await fetch(exports.url(UNKNOWN)) : await exports[what](UNKNOWN);
    await expectProblem(answer, 404, "export-not-found");
  });

  test("is that of another recording", async () => {
    const recordingId = await api.start();
    const others = new ExportsApi(server.url, recordingId);
    await expectProblem(await fetch(others.url(aligned.exportId)), 404, "export-not-found");
    await expectProblem(await others.remove(aligned.exportId), 404, "export-not-found");
  });
});

describe("a finished export", () => {
  test("can neither be cancelled nor retried", async () => {
    for (const what of ["cancel", "retry"] as const) {
      const answer = await exports[what](aligned.exportId);
      await expectProblem(answer, 409, "export-conflict");
    }
    expect(await exports.show(aligned.exportId)).toEqual(aligned);
  });

  test("has files to be downloaded, whole, in part and by condition", async () => {
    const [file] = aligned.files;
    const url = `${server.url}${file?.url}`;
    const whole = await fetch(url);
    expect(whole.status).toBe(200);
    expect(whole.headers.get("content-type")).toBe("video/mp4");
    const bytes = await whole.bytes();
    expect(bytes).toHaveLength(file?.bytes ?? 0);
    const etag = whole.headers.get("etag") ?? "";
    const part = await fetch(url, { headers: { range: "bytes=100-199", "if-range": etag } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe(`bytes 100-199/${bytes.length}`);
    expect(await part.bytes()).toEqual(bytes.subarray(100, 200));
    const beyond = await fetch(url, { headers: { range: `bytes=${bytes.length}-` } });
    await expectProblem(beyond, 416, "range-not-satisfiable");
    const same = await fetch(url, { headers: { "if-none-match": etag } });
    expect(same.status).toBe(304);
    const other = await fetch(url, { headers: { "if-match": `W/${etag}`, range: "bytes=0-9" } });
    await expectProblem(other, 412, "precondition-failed");
    const head = await fetch(url, { method: "HEAD" });
    expect(head.headers.get("content-length")).toBe(String(bytes.length));
    expect(head.headers.get("content-disposition")).toBe(
      `inline; filename="Weekly - Zo_-Z-x-camera.mp4"; ` +
        `filename*=UTF-8''Weekly%20-%20Zo%C3%AB-Z-x-camera.mp4`,
    );
    const saved = await fetch(`${url}?download`, { method: "HEAD" });
    expect(saved.headers.get("content-disposition")).toStartWith("attachment; ");
  });

  test.each(["x.mp4", "..%2f..%2fmanifest.json", "%2e%2e%2fmanifest.json"])(
    "has no file %s",
    async (name) => {
      const answer = await fetch(exports.url(aligned.exportId, `/files/${name}`));
      await expectProblem(answer, 404, "export-file-not-found");
    },
  );

  test("is gone with its files when it was deleted", async () => {
    const { exportId } = await exports.request({ kind: "audio" });
    const { files } = await exports.done(exportId);
    expect(files.map(({ name }) => name)).toEqual(["Zoë-Z-x.flac", "Zoë-Z-x.m4a"]);
    expect((await exports.remove(exportId)).status).toBe(204);
    await expectProblem(await fetch(exports.url(exportId)), 404, "export-not-found");
    await expectProblem(await fetch(`${server.url}${files[0]?.url}`), 404, "export-not-found");
    const directory = join(server.recordingsDirectory, recording.recordingId, "exports");
    expect(await readdir(directory)).not.toContain(exportId);
  });
});

test("a cancelled export can be retried, and has files then", async () => {
  const { exportId } = await exports.request({ kind: "compatible", frameRate: 60 });
  const cancelled = await exportOf(await exports.cancel(exportId));
  expect(cancelled).toMatchObject({ state: "cancelled", files: [], reason: null });
  expect(cancelled.endedAt).not.toBeNull();
  expect(await exportOf(await exports.cancel(exportId))).toEqual(cancelled);
  const file = await fetch(exports.url(exportId, "/files/Zo%C3%AB-Z-x-camera.mp4"));
  const problem = await expectProblem(file, 404, "export-file-not-found");
  expect(problem.detail).toContain("it is cancelled");
  const queued = await exports.retry(exportId);
  expect(queued.status).toBe(202);
  expect(await exportOf(queued)).toMatchObject({ endedAt: null });
  expect((await exports.done(exportId)).files).toHaveLength(2);
});

test("deleting a recording ends its exports and removes their files", async () => {
  const { recordingId } = await finishedRecording(api, "x", [TRACK]);
  const own = new ExportsApi(server.url, recordingId);
  const first = await own.request({ kind: "aligned" });
  await own.done(first.exportId);
  const second = await own.request({ kind: "compatible" });
  await own.untilState(second.exportId, "running", "done");
  const url = `${server.url}/api/recordings/${recordingId}`;
  expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
  await expectProblem(await fetch(own.url(first.exportId)), 404, "recording-not-found");
  expect(await readdir(server.recordingsDirectory)).not.toContain(recordingId);
});

test("a composite is one file of all", async () => {
  const { exportId } = await exports.request({ kind: "composite", height: 360 });
  const { files, options } = await exports.done(exportId);
  expect(options).toEqual({ height: 360, frameRate: 30 });
  expect(files).toMatchObject([
    { mediaType: "video/mp4", participantId: null, trackId: null, notes: expect.any(Array) },
  ]);
  expect((await fetch(`${server.url}${files[0]?.url}`)).status).toBe(200);
  await exports.remove(exportId);
});

test("an export tells when late chunks have made a better MP4", async () => {
  await using late = await startServer({ env: { STOP_GRACE_MS: "0", STOP_WAIT_MS_MAX: "0" } });
  const lateApi = new RecordingsApi(late.url);
  const { mimeType, chunks } = await recordedSegment("h264-opus");
  const payloads = chunks.map(({ payload }) => payload);
  const recordingId = await lateApi.start();
  const upload = { ...TRACK, recordingId, segmentId: crypto.randomUUID(), mimeType };
  await lateApi.upload({ ...upload, sequence: 0, chunks: payloads.slice(0, 3) });
  await lateApi.stop(recordingId);
  await lateApi.ready(recordingId);
  const own = new ExportsApi(late.url, recordingId);
  const { exportId } = await own.request({ kind: "aligned" });
  expect(await own.done(exportId)).toMatchObject({ isOutdated: false });
  await lateApi.upload({ ...upload, sequence: 3, chunks: payloads.slice(3) });
  await lateApi.endSegment(recordingId, upload.segmentId, chunks.length);
  // The chunks alone can have made a better MP4 already, which the end then completes.
  await until(
    async () => trackOf(await lateApi.show(recordingId), TRACK).verdict === "complete" || undefined,
    { what: "the better MP4 is published", timeoutMs: 60_000 },
  );
  expect(await own.show(exportId)).toMatchObject({ state: "done", isOutdated: true });
  expect((await own.list()).map(({ isOutdated }) => isOutdated)).toEqual([true]);
  const again = await own.request({ kind: "aligned" });
  expect(await own.done(again.exportId)).toMatchObject({ isOutdated: false });
}, 120_000);

test("with little space left no export is begun, so that recordings that run have it", async () => {
  await using directory = await temporaryDirectory();
  const recordingsDirectory = join(directory.path, "recordings");
  const begun = await startServer({ recordingsDirectory });
  const { recordingId } = await finishedRecording(new RecordingsApi(begun.url), "Full", [TRACK]);
  await begun.stop();
  await using full = await startServer({
    recordingsDirectory,
    env: { FREE_SPACE_BYTES_MIN: String(2 ** 50) },
  });
  const answer = await new ExportsApi(full.url, recordingId).ask({ kind: "aligned" });
  const { detail } = await expectProblem(answer, 507, "storage-full");
  expect(detail).toContain("an export is made with 1125899906842624 or more");
});
