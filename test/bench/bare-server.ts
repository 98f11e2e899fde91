// The reference of the ingest bench: the least that a server on Bun can do. It appends each request's
// raw body to the file that the path names, and answers; with `sync` as its second argument it calls
// fdatasync first. Started by ingest-bench.ts: `bun bare-server.ts DIRECTORY [sync]`.
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

const [directory, mode] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: bun bare-server.ts DIRECTORY [sync]");

const handles = new Map<string, Promise<FileHandle>>();

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const name = new URL(request.url).pathname.slice(1);
    let opening = handles.get(name);
    if (opening === undefined) {
      opening = open(join(directory, name), "a");
      handles.set(name, opening);
    }
    const handle = await opening;
    await handle.write(new Uint8Array(await request.arrayBuffer()));
    if (mode === "sync") await handle.datasync();
    return Response.json({ stored: true });
  },
});

process.stdout.write(`${server.port}\n`);
