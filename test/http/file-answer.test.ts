import { expect, test } from "bun:test";
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { Elysia } from "elysia";
import { answerFile, etagOf } from "../../src/http/file-answer.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const READS = 1_000;

/** Versions of one file: each of a length and of a byte of its own. */
const VERSIONS = [
  { byte: 1, bytes: 100_000 },
  { byte: 2, bytes: 160_000 },
] as const;

test("a file that is replaced again and again is answered whole, the old one or the new one", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "media.mp4");
  let replacements = 0;
  const replace = async (): Promise<void> => {
    const { byte, bytes } = VERSIONS[replacements % 2] ?? VERSIONS[0];
    const next = join(directory.path, "next");
    await Bun.write(next, Buffer.alloc(bytes, byte));
    await rename(next, path);
    replacements += 1;
  };
  await replace();

  // As the server's own hooks, which set headers of every answer.
  const app = new Elysia()
    .onRequest(({ set }) => {
      set.headers["x-of-every-answer"] = "yes";
      set.headers["cache-control"] = "no-store";
    })
    .get("/", async ({ request, set }) => {
      const { size, mtimeMs } = await stat(path);
      const etag = etagOf({ size, mtimeMs });
      const served = { path, bytes: size, mediaType: "video/mp4", etag, lastModifiedMs: mtimeMs };
      return answerFile({ ...served, disposition: "inline" }, { request, set });
    })
    .listen(0);
  try {
    const url = app.server?.url ?? "";
    const over = new AbortController();
    const replacing = (async (): Promise<void> => {
      while (!over.signal.aborted) await replace();
    })();
    for (let read = 0; read < READS; read += 1) {
      const answer = await fetch(url);
      const body = await answer.bytes();
      expect(answer.status).toBe(200);
      expect(answer.headers.get("x-of-every-answer")).toBe("yes");
      expect(answer.headers.get("cache-control")).toBe("private, no-cache");
      expect(answer.headers.get("content-length")).toBe(String(body.length));
      const version = VERSIONS.find(({ byte }) => byte === body[0]);
      expect(body.length).toBe(version?.bytes ?? -1);
    }
    over.abort();
    await replacing;
    expect(replacements).toBeGreaterThan(2);
  } finally {
    await app.stop(true);
  }
});
