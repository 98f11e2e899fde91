import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  ApiClient,
  RequestRefusedError,
  ServerUnreachableError,
  zipPath,
} from "../../../client/studio/api-client.ts";
import type { ProblemCode } from "../../../src/contract/problem.ts";

/** Answers as told, and notes what it was asked. */
let server: Bun.Server<undefined>;
let answer: () => Response;
let asked: { method: string; path: string; body: string }[] = [];
let api: ApiClient;

beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      asked.push({ method: request.method, path: pathname + search, body: await request.text() });
      return answer();
    },
  });
  api = new ApiClient((path, init) => fetch(new URL(path, server.url), init));
});
afterAll(() => server.stop(true));

const problem = (status: number, code: ProblemCode, detail: string) => () =>
  Response.json(
    { type: "about:blank", title: code, status, code, detail },
    { status, headers: { "content-type": "application/problem+json" } },
  );

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable(),
    (error: unknown) => error,
  );

describe("ApiClient", () => {
  test("sends the name of a new recording as JSON", async () => {
    asked = [];
    answer = () => Response.json({ recordingId: "r" }, { status: 201 });
    await api.startRecording({ name: "Weekly" });
    expect(asked).toEqual([{ method: "POST", path: "/api/recordings", body: '{"name":"Weekly"}' }]);
  });

  test("asks for a page of the list, and for the next one by its cursor", async () => {
    asked = [];
    answer = () => Response.json({ recordings: [], nextCursor: null });
    await api.recordings({ limit: 10 });
    await api.recordings({ limit: 10, cursor: "a b" });
    expect(asked.map(({ path }) => path)).toEqual([
      "/api/recordings?limit=10",
      "/api/recordings?limit=10&cursor=a+b",
    ]);
  });

  test("takes an answer without a body", async () => {
    answer = () => new Response(null, { status: 204 });
    expect(await api.deleteRecording("r")).toBeUndefined();
  });

  test("rejects a refusal with the problem's code, status and words", async () => {
    answer = problem(409, "recording-in-progress", "Stop it first.");
    const error = await failureOf(api.deleteRecording("r"));
    expect(error).toBeInstanceOf(RequestRefusedError);
    expect(error).toMatchObject({
      status: 409,
      code: "recording-in-progress",
      message: "Stop it first.",
    });
  });

  test("rejects a proxy's refusal, which has no problem body, with its status", async () => {
    answer = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
    const error = await failureOf(api.recording("r"));
    expect(error).toMatchObject({ status: 502, code: null });
  });

  test("rejects with its own error when no server answers", async () => {
    const nobody = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const { url } = nobody;
    await nobody.stop(true);
    const alone = new ApiClient((path, init) => fetch(new URL(path, url), init));
    expect(await failureOf(alone.recording("r"))).toBeInstanceOf(ServerUnreachableError);
  });
});

test("a recording's ID cannot leave its place in a path", () => {
  expect(zipPath("../x")).toBe("/api/recordings/..%2Fx/download");
});
