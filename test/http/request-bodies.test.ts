import { afterAll, describe, expect, test } from "bun:test";
import { RecordingsApi, UnexpectedAnswerError } from "../support/recordings-api.ts";
import { startServer } from "../support/track-capture-server.ts";
import { begunRecording, expectUnchanged } from "./begun-recording.ts";
import { until } from "../support/until.ts";
import { REQUEST_BYTES_MAX, openChunkBed } from "./chunk-bed.ts";
import { chunkFormData, rightFields } from "./chunk-form-data.ts";
import { expectProblem } from "./expect-problem.ts";
import { rawRequest } from "./raw-request.ts";

const UNKNOWN = crypto.randomUUID();

const { server, api, vp9, payloadOf, chunksUrl, post } = await openChunkBed();

afterAll(() => server[Symbol.asyncDispose]());

describe("refused, without changing anything, is", () => {
  test("a body over the limit of bytes", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: { ...rightFields(segmentId), sequence: "2" },
        chunks: { chunk_0: new Uint8Array(10 * REQUEST_BYTES_MAX) },
      });
      await expectProblem(response, 413, "chunk-too-large");
    });
  });

  test("a body over the limit that does not say how long it is", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId }) => {
      const block = new Uint8Array(256 * 1024);
      let left = (4 * REQUEST_BYTES_MAX) / block.length;
      const body = new ReadableStream({
        pull: (controller) => {
          if (left === 0) controller.close();
          else controller.enqueue(block);
          left -= 1;
        },
      });
      const response = await fetch(chunksUrl(recordingId), {
        method: "POST",
        body,
        headers: { "content-type": "multipart/form-data; boundary=x" },
      });
      await expectProblem(response, 413, "chunk-too-large");
    });
  });

  test("a body without a boundary", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId }) => {
      const response = await fetch(chunksUrl(recordingId), {
        method: "POST",
        body: "x",
        headers: { "content-type": "multipart/form-data" },
      });
      await expectProblem(response, 400, "unreadable-body");
    });
  });

  test("a body of another content type", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId }) => {
      const response = await fetch(chunksUrl(recordingId), {
        method: "POST",
        body: "{}",
        headers: { "content-type": "application/json" },
      });
      await expectProblem(response, 415, "unsupported-media-type");
    });
  });

  test("a body whose end is missing", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const form = chunkFormData({
        fields: { ...rightFields(segmentId), sequence: "2" },
        chunks: { chunk_0: payloadOf(2) },
      });
      const whole = new Response(form);
      const bytes = await whole.clone().bytes();
      const response = await fetch(chunksUrl(recordingId), {
        method: "POST",
        body: bytes.subarray(0, -20),
        headers: { "content-type": whole.headers.get("content-type") ?? "" },
      });
      await expectProblem(response, 400, "unreadable-body");
    });
  });

  test("a body whose sender hangs up", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const form = new Response(
        chunkFormData({
          fields: { ...rightFields(segmentId), sequence: "2" },
          chunks: { chunk_0: payloadOf(2) },
        }),
      );
      const contentType = form.headers.get("content-type") ?? "";
      const bytes = await form.bytes();
      await rawRequest(
        server.url,
        [
          `POST /api/recordings/${recordingId}/chunks HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
            `Content-Type: ${contentType}\r\nContent-Length: ${bytes.length}\r\n\r\n`,
          bytes.subarray(0, -20),
        ],
        { hangUpAfterSending: true },
      );
    });
  });
});

describe("a body that is encoded is refused, with what is accepted,", () => {
  const routes = [
    ["by the chunks", (id: string) => `/api/recordings/${id}/chunks`],
    ["by the start", () => "/api/recordings"],
    ["by a segment's end", (id: string) => `/api/recordings/${id}/segments/${UNKNOWN}/end`],
    ["by the exports", (id: string) => `/api/recordings/${id}/exports`],
    ["by the guide's chunks", () => "/api/recording/upload-chunks"],
    ["by the guide's chunk", () => "/recording/upload-chunk"],
    ["by the guide's stop", () => "/recording/stop"],
  ] as const;
  test.each(routes)("%s", async (_name, path) => {
    await expectUnchanged(api, vp9, async ({ recordingId }) => {
      const url = `${server.url}${path(recordingId)}`;
      for (const encoding of ["gzip", "Identity, br", "nonsense"]) {
        const response = await fetch(url, {
          method: "POST",
          body: "{}",
          headers: { "content-type": "application/json", "content-encoding": encoding },
        });
        expect(response.headers.get("accept-encoding")).toBe("identity");
        await expectProblem(response, 415, "unsupported-content-encoding");
      }
    });
  });
});

test("texts that are not UTF-8 are refused: two of them could become the same", async () => {
  const latin1 = Buffer.from('{"name":"Jos\u00e9"}', "latin1");
  const response = await fetch(`${server.url}/api/recordings`, {
    method: "POST",
    body: latin1,
    headers: { "content-type": "application/json" },
  });
  await expectProblem(response, 400, "unreadable-body");

  await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
    const fields = { ...rightFields(segmentId), sequence: "2", participantId: "Jos\u00e9" };
    const form = Object.entries(fields).map(
      ([name, value]) =>
        `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    );
    const chunk =
      '--x\r\nContent-Disposition: form-data; name="chunk_0"; filename="c"\r\n\r\nc\r\n--x--\r\n';
    const answer = await fetch(chunksUrl(recordingId), {
      method: "POST",
      body: Buffer.from(form.join("") + chunk, "latin1"),
      headers: { "content-type": "multipart/form-data; boundary=x" },
    });
    await expectProblem(answer, 422, "invalid-request");
  });
});

test("the encoding identity is none", async () => {
  const response = await fetch(`${server.url}/api/recordings`, {
    method: "POST",
    body: "{}",
    headers: { "content-type": "application/json", "content-encoding": "Identity" },
  });
  expect(response.status).toBe(201);
});

test("bodies whose senders hang up do not use up the room for others", async () => {
  await using small = await startServer({
    env: {
      CHUNK_BYTES_MAX: "100000",
      SEGMENT_PENDING_BYTES_MAX: "100000",
      REQUEST_BYTES_MAX: "200000",
      TOTAL_REQUEST_BYTES_MAX: "200000",
    },
  });
  const smallApi = new RecordingsApi(small.url);
  const { recordingId, segmentId, track } = await begunRecording(smallApi, vp9);
  for (const framing of ["Content-Length: 150000", "Transfer-Encoding: chunked"]) {
    const head =
      `POST /api/recordings/${recordingId}/chunks HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
      `Content-Type: multipart/form-data; boundary=x\r\n${framing}\r\n\r\n`;
    await rawRequest(small.url, [head, "186A0\r\n", new Uint8Array(90_000)], {
      hangUpAfterSending: true,
    });
  }
  // The server may learn of the last hang-up only after this request: then it is told to come again.
  const result = await until(
    async () => {
      try {
        return await smallApi.upload({
          ...track,
          segmentId,
          sequence: 2,
          mimeType: "video/webm",
          chunks: [new Uint8Array(90_000)],
        });
      } catch (error) {
        if (error instanceof UnexpectedAnswerError && error.status === 503) return undefined;
        throw error;
      }
    },
    { what: "there is room again", timeoutMs: 10_000 },
  );
  expect(result.nextSequence).toBe(3);
});

test("a body that has no room now is refused with the time to come again", async () => {
  await using small = await startServer({
    env: {
      CHUNK_BYTES_MAX: "100000",
      SEGMENT_PENDING_BYTES_MAX: "100000",
      REQUEST_BYTES_MAX: "200000",
      TOTAL_REQUEST_BYTES_MAX: "200000",
    },
  });
  const recordingId = await new RecordingsApi(small.url).start();
  const url = `${small.url}/api/recordings/${recordingId}/chunks`;
  const headers = { "content-type": "multipart/form-data; boundary=x" };
  // Both stay half sent until one of them, whichever the server saw second, is refused.
  const rest = Promise.withResolvers<void>();
  const halfSent = (): Promise<Response> => {
    const body = new ReadableStream({
      type: "bytes",
      start: async (controller) => {
        controller.enqueue(new Uint8Array(150_000));
        await rest.promise;
        controller.close();
      },
    });
    return fetch(url, { method: "POST", body, headers });
  };
  const answers = [halfSent(), halfSent()];
  const refused = await Promise.race(answers);
  expect(refused.headers.get("retry-after")).toBe("1");
  await expectProblem(refused, 503, "overloaded");
  rest.resolve();
  const other = (await Promise.all(answers)).find((answer) => answer !== refused);
  expect(other?.status).toBe(400);
});
