import { expect, test } from "bun:test";
import { rename, writeFile } from "node:fs/promises";
import { z } from "zod";
import { serverTimeSchema } from "../../src/contract/time.ts";
import { startServer } from "../support/track-capture-server.ts";
import { expectProblem } from "./expect-problem.ts";

const readySchema = z.object({
  status: z.literal("ready"),
  ffmpeg: z.object({ path: z.string().min(1), source: z.string(), version: z.string().min(1) }),
});

test("the server tells that it lives, what time it has, and which ffmpeg serves", async () => {
  await using server = await startServer();
  expect(await (await fetch(`${server.url}/healthz`)).json()).toEqual({ status: "ok" });
  const before = Date.now();
  const time = serverTimeSchema.parse(await (await fetch(`${server.url}/api/time`)).json());
  expect(time.nowMs).toBeWithin(before, Date.now() + 1);
  expect(Date.parse(time.now)).toBe(time.nowMs);
  const { ffmpeg } = readySchema.parse(await (await fetch(`${server.url}/readyz`)).json());
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
