import { expect, test } from "bun:test";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { serverTimeSchema } from "../../src/contract/time.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { expectProblem } from "./expect-problem.ts";

const readySchema = z.object({
  status: z.literal("ready"),
  storage: z.object({
    writable: z.literal(true),
    freeBytes: z.number().positive(),
    takesNewRecordings: z.boolean(),
  }),
  ffmpeg: z.object({ path: z.string().min(1), source: z.string(), version: z.string().min(1) }),
});

test("the server tells that it lives, what time it has, and which ffmpeg serves", async () => {
  await using server = await startServer();
  expect(await (await fetch(`${server.url}/healthz`)).json()).toEqual({ status: "ok" });
  const before = Date.now();
  const time = serverTimeSchema.parse(await (await fetch(`${server.url}/api/time`)).json());
  expect(time.nowMs).toBeWithin(before, Date.now() + 1);
  expect(Date.parse(time.now)).toBe(time.nowMs);
  const ready = await (await fetch(`${server.url}/readyz`)).json();
  const { ffmpeg, storage } = readySchema.parse(ready);
  expect(storage.takesNewRecordings).toBe(true);
  expect(server.stderr()).toContain(JSON.stringify(ffmpeg.path));
});

test("a server that cannot write is not ready, and says what is broken", async () => {
  await using server = await startServer();
  // A file in the directory's place: a permission would not keep root out.
  await rename(server.recordingsDirectory, `${server.recordingsDirectory}-away`);
  await writeFile(server.recordingsDirectory, "");
  const { detail } = await expectProblem(
    await fetch(`${server.url}/readyz`),
    503,
    "storage-failed",
  );
  expect(detail).toContain("storage");
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

test("with little space no recording is started, and those that run go on, at a server that is ready", async () => {
  await using directory = await temporaryDirectory();
  const recordingsDirectory = join(directory.path, "recordings");
  const vp9 = await recordedSegment("vp9-opus");
  const upload = {
    participantId: "ada",
    trackId: "camera",
    segmentId: crypto.randomUUID(),
    mimeType: vp9.mimeType,
  };
  const payloads = vp9.chunks.map(({ payload }) => payload);
  let recordingId: string;
  {
    await using server = await startServer({ recordingsDirectory });
    const api = new RecordingsApi(server.url);
    recordingId = await api.start();
    await api.upload({ ...upload, recordingId, sequence: 0, chunks: payloads.slice(0, 1) });
  }
  await using server = await startServer({
    recordingsDirectory,
    env: { FREE_SPACE_BYTES_MIN: String(2 ** 50) },
  });
  const api = new RecordingsApi(server.url);
  for (const path of ["/api/recordings", "/api/recording/start"]) {
    const refused = await fetch(`${server.url}${path}`, { method: "POST" });
    expect(refused.headers.get("retry-after")).toBe("10");
    const { detail } = await expectProblem(refused, 507, "storage-full");
    expect(detail).toContain(String(2 ** 50));
  }
  const rest = { ...upload, recordingId, sequence: 1, chunks: payloads.slice(1) };
  expect((await api.upload(rest)).nextSequence).toBe(payloads.length);
  const ready = readySchema.parse(await (await fetch(`${server.url}/readyz`)).json());
  expect(ready.storage.takesNewRecordings).toBe(false);
}, 60_000);
