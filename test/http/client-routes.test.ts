import { afterAll, beforeAll, expect, test } from "bun:test";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";

let server: TrackCaptureServer;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => server[Symbol.asyncDispose]());

test("the client library is one module that exports the recorder", async () => {
  const response = await fetch(`${server.url}/client/recorder.js`, {
    headers: { origin: "http://localhost:5173" },
  });
  expect(response.headers.get("content-type")).toContain("javascript");
  expect(response.headers.get("cache-control")).toBe("no-cache");
  expect(response.headers.get("access-control-allow-origin")).toBe("http://localhost:5173");
  const code = await response.text();
  expect(code).toMatch(/export\s*\{[^}]*\bClientRecorder\b/);
  expect(code).not.toMatch(/\bimport\s*["'{]/);
});

test("its types are there for TypeScript users", async () => {
  const response = await fetch(`${server.url}/client/recorder.d.ts`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(await response.text()).toContain("ClientRecorder");
});

test("the page loads files that are there, and may be kept for good", async () => {
  const page = await fetch(server.url);
  expect(page.headers.get("content-type")).toBe("text/html;charset=utf-8");
  expect(page.headers.get("cache-control")).toBe("no-cache");
  const html = await page.text();
  const paths = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path);
  expect(paths.length).toBeGreaterThan(0);
  for (const path of paths) {
    const asset = await fetch(`${server.url}${path}`);
    expect({ path, status: asset.status }).toEqual({ path, status: 200 });
    expect(asset.headers.get("cache-control")).toContain("immutable");
  }
});

test.each(["/", "/client/recorder.js"])("a browser's copy of %s is asked about", async (path) => {
  const first = await fetch(server.url + path);
  const etag = first.headers.get("etag") ?? "";
  expect(etag).not.toBe("");
  const again = await fetch(server.url + path, { headers: { "if-none-match": etag } });
  expect(again.status).toBe(304);
});

test.each(["/client/", "/client/..%2Frecorder.ts", "/assets/..%2Findex.html"])(
  "%s leads nowhere",
  async (path) => {
    expect((await fetch(server.url + path)).status).toBe(404);
  },
);
