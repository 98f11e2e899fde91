import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { RecordingsApi } from "../support/recordings-api.ts";
import { joinChunks, recordedSegment, type RecordedSegment } from "../support/recorded-media.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { expectProblem } from "./expect-problem.ts";

let server: TrackCaptureServer;
let api: RecordingsApi;
let segment: RecordedSegment;

beforeAll(async () => {
  [server, segment] = await Promise.all([startServer(), recordedSegment("vp8-opus")]);
  api = new RecordingsApi(server.url);
});

afterAll(() => server[Symbol.asyncDispose]());

const startedSchema = z.object({ recordingId: z.string() });

const sourceOf = async (recordingId: string, trackId: string) => {
  const track = { recordingId, participantId: "ada", trackId };
  return (await fetch(api.trackUrl(track, "source"))).bytes();
};

describe.each(["/api/recording", "/recording"])("the guide's routes below %s", (prefix) => {
  const start = async (method: "GET" | "POST") => {
    const response = await fetch(`${server.url}${prefix}/start`, { method });
    expect(response.status).toBe(200);
    return startedSchema.parse(await response.json()).recordingId;
  };

  const postJson = (path: string, body: unknown) =>
    fetch(`${server.url}${prefix}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });

  const postForm = (recordingId: string, chunks: readonly Uint8Array<ArrayBuffer>[]) => {
    const body = new FormData();
    body.append("recordingId", recordingId);
    body.append("participantId", "ada");
    for (const [i, chunk] of chunks.entries()) body.append(`chunk_${i}`, new Blob([chunk]));
    return fetch(`${server.url}${prefix}/upload-chunks`, { method: "POST", body });
  };

  test("record what a multipart client uploads, also when it repeats itself", async () => {
    const recordingId = await start("POST");
    const payloads = segment.chunks.map(({ payload }) => payload);
    for (const part of [payloads.slice(0, 3), payloads.slice(2, 5), payloads.slice(5)]) {
      const response = await postForm(recordingId, part);
      expect(await response.json()).toEqual({ success: true });
    }
    expect(await sourceOf(recordingId, "camera")).toEqual(joinChunks(segment.chunks));
    const stopped = await postJson("/stop", { recordingId });
    expect(await stopped.json()).toEqual({ success: true, recordingId, state: "finalizing" });
  });

  test("record what a base64 client uploads, each kind as a track of its own", async () => {
    const recordingId = await start("GET");
    for (const [type, trackId] of [
      ["video", "camera"],
      ["audio", "microphone"],
      ["screen", "screen"],
    ] as const) {
      for (const { payload } of segment.chunks.slice(0, 3)) {
        const chunk = payload.toBase64();
        const response = await postJson("/upload-chunk", {
          recordingId,
          participantId: "ada",
          chunk,
          type,
        });
        expect(await response.json()).toEqual({ success: true });
      }
      expect(await sourceOf(recordingId, trackId)).toEqual(joinChunks(segment.chunks.slice(0, 3)));
    }
  });

  test("start nothing when they are asked with HEAD", async () => {
    const before = await api.settledList();
    const { status } = await fetch(`${server.url}${prefix}/start`, { method: "HEAD" });
    expect(status).toBe(200);
    expect(await api.list()).toEqual(before);
  });

  test("refuse what is wrong", async () => {
    const recordingId = await start("POST");
    const right = { recordingId, participantId: "ada", chunk: "", type: "video" };
    await expectProblem(
      await postJson("/upload-chunk", { ...right, chunk: "%%%" }),
      422,
      "invalid-request",
    );
    // What the guide's own example cuts out of "data:video/webm;codecs=vp8,opus;base64,...".
    const cut = await postJson("/upload-chunk", { ...right, chunk: "opus;base64" });
    expect(await cut.clone().text()).toContain("split(',').pop()");
    await expectProblem(cut, 422, "invalid-request");
    await expectProblem(
      await postJson("/upload-chunk", { ...right, participantId: "a\u0000" }),
      422,
      "invalid-request",
    );
    await expectProblem(
      await postJson("/upload-chunk", { ...right, recordingId: "x" }),
      404,
      "recording-not-found",
    );
    await expectProblem(await postJson("/upload-chunk", "{"), 400, "unreadable-body");
    await expectProblem(await postForm("../x", [new Uint8Array(1)]), 404, "recording-not-found");
    await expectProblem(await postForm(recordingId, []), 422, "invalid-request");
    await expectProblem(
      await postForm(recordingId, [new TextEncoder().encode("#EXTM3U\nfile:///etc/passwd")]),
      422,
      "chunk-malformed",
    );
    await expectProblem(await postJson("/stop", {}), 422, "invalid-request");
    expect((await api.show(recordingId)).participants).toEqual([]);
  });

  test.each([
    ["empty objects", `[${"{},".repeat(200_000)}0]`],
    ["names", `{${Array.from({ length: 50_000 }, (_, i) => `"${i}":0,`).join("")}"last":0}`],
    ["escaped quotes", `"${'\\"'.repeat(200_000)}"`],
  ])(
    "refuse a body of too many %s, which take much more memory when parsed",
    async (_what, json) => {
      const recordingId = await start("POST");
      const body = `{"recordingId":"${recordingId}","participantId":"ada","chunk":"","more":${json}}`;
      const refused = await postJson("/upload-chunk", body);
      expect(await refused.clone().text()).toContain("131072 brackets, commas and quotation marks");
      await expectProblem(refused, 422, "invalid-request");
      // Within a text they are but characters.
      const inText = JSON.stringify("[{,".repeat(200_000));
      await expectProblem(
        await postJson("/upload-chunk", `{"recordingId":"x","more":${inText}}`),
        404,
        "recording-not-found",
      );
    },
  );
});
