import { afterAll, beforeAll, expect, test } from "bun:test";
import { z } from "zod";
import { launchChromium } from "../support/chromium.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";

let server: TrackCaptureServer;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => server[Symbol.asyncDispose]());

const operationSchema = z.object({
  summary: z.string().min(1),
  tags: z.array(z.string()),
  requestBody: z.object({ content: z.record(z.string(), z.unknown()) }).optional(),
  responses: z.record(z.string(), z.unknown()),
});
const documentSchema = z.object({
  openapi: z.string().startsWith("3."),
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
});

test("every route of the contract is described, with its bodies", async () => {
  const answer = await fetch(`${server.url}/openapi/json`);
  const { paths } = documentSchema.parse(await answer.json());
  const exports = "/api/recordings/{recordingId}/exports";
  const track = "/api/recordings/{recordingId}/participants/{participantId}/tracks/{trackId}";
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  expect(operations.toSorted()).toEqual(
    [
      "post /api/recordings",
      "get /api/recordings",
      "get /api/recordings/{recordingId}",
      "delete /api/recordings/{recordingId}",
      "post /api/recordings/{recordingId}/stop",
      "post /api/recordings/{recordingId}/retry",
      "post /api/recordings/{recordingId}/chunks",
      "get /api/recordings/{recordingId}/segments/{segmentId}",
      "post /api/recordings/{recordingId}/segments/{segmentId}/end",
      `get ${track}/media.mp4`,
      `get ${track}/poster.jpg`,
      `get ${track}/source`,
      `get ${track}/waveform.json`,
      "get /api/recordings/{recordingId}/download",
      `get ${exports}`,
      `post ${exports}`,
      `get ${exports}/{exportId}`,
      `delete ${exports}/{exportId}`,
      `post ${exports}/{exportId}/cancel`,
      `post ${exports}/{exportId}/retry`,
      `get ${exports}/{exportId}/files/{name}`,
      "get /api/time",
      "get /healthz",
      "get /readyz",
      ...["/api/recording", "/recording"].flatMap((prefix) => [
        `get ${prefix}/start`,
        `post ${prefix}/start`,
        `post ${prefix}/upload-chunks`,
        `post ${prefix}/upload-chunk`,
        `post ${prefix}/stop`,
      ]),
    ].toSorted(),
  );
  // Every reference of the document leads somewhere in it: it has none.
  expect(JSON.stringify(paths)).not.toContain("$ref");
  const upload = paths["/api/recordings/{recordingId}/chunks"]?.["post"];
  expect(upload?.requestBody?.content["multipart/form-data"]).toMatchObject({
    schema: {
      required: expect.arrayContaining(["participantId", "segmentId", "sequence", "chunk_0"]),
      properties: {
        chunk_0: { format: "binary" },
        sha256_0: { type: "string" },
        marks_0: { type: "array" },
      },
    },
  });
  expect(Object.keys(upload?.responses ?? {})).toContain("409");
});

test("the page for it shows the routes and asks no other host for anything", async () => {
  await using browser = await launchChromium();
  const page = await browser.newPage();
  const hosts = new Set<string>();
  const failures: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith("data:")) hosts.add(new URL(request.url()).origin);
  });
  page.on("pageerror", (error) => failures.push(error.message));
  await page.goto(`${server.url}/openapi`);
  await page.locator('[data-path="/api/recordings/{recordingId}/chunks"]').click();
  // A field of the form that uploads chunks.
  await page.getByText("sha256_0").first().waitFor();
  expect([...hosts]).toEqual([server.url]);
  expect(failures).toEqual([]);
}, 60_000);
