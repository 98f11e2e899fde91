import { open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RecordingsApi } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { HttpConnection } from "./http-connection.ts";
import { quantile } from "./statistics.ts";

/** Payload of every chunk. */
export const CHUNK_BYTES = 128 * 1024;
/** Chunks of each connection before the time is taken. */
const WARM_UP_CHUNKS = 20;
const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;

/** What one contender did in one run. */
export interface Throughput {
  readonly chunksPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time of the server's process per chunk; undefined for the disk alone. */
  readonly cpuMsPerChunk: number | undefined;
}

/** Gives the next request of a connection. */
type NextRequest = (connection: number, index: number) => readonly Uint8Array[];

/** How a contender is driven. */
export interface Load {
  readonly connections: number;
  readonly durationMs: number;
  /** From one chunk of a connection to its next; 0 sends the next as soon as one is answered. */
  readonly periodMs: number;
}

/** Bytes that pass for the first chunk of a WebM segment, and do not compress away. */
export function makePayload(): Uint8Array {
  const payload = crypto.getRandomValues(new Uint8Array(CHUNK_BYTES / 2));
  const bytes = new Uint8Array(CHUNK_BYTES);
  bytes.set(payload);
  bytes.set(payload, CHUNK_BYTES / 2);
  bytes.set(EBML_MAGIC);
  return bytes;
}

/** CPU time that a process has used, in ms (proc(5): utime and stime in ticks of 10 ms). */
async function cpuMsOf(pid: number): Promise<number> {
  const stat = await Bun.file(`/proc/${pid}/stat`).text();
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Runs a loop for each connection until the time is over; gives how long every turn took. */
export async function drive(
  { connections, durationMs, periodMs }: Load,
  turn: (connection: number, index: number) => Promise<void>,
): Promise<{ latenciesMs: number[]; elapsedMs: number }> {
  const latenciesMs: number[] = [];
  const startedAt = performance.now();
  const deadline = startedAt + durationMs;
  await Promise.all(
    Array.from({ length: connections }, async (_, connection) => {
      // Participants do not send in step.
      const phaseMs = (periodMs * connection) / connections;
      for (let index = 0; performance.now() < deadline; index += 1) {
        const waitMs = startedAt + phaseMs + index * periodMs - performance.now();
        if (periodMs > 0 && waitMs > 0) await Bun.sleep(waitMs);
        const sentAt = performance.now();
        await turn(connection, index);
        latenciesMs.push(performance.now() - sentAt);
      }
    }),
  );
  return { latenciesMs, elapsedMs: performance.now() - startedAt };
}

async function driveServer(
  port: number,
  pid: number,
  load: Load,
  nextRequest: NextRequest,
): Promise<Throughput> {
  const connections = await Promise.all(
    Array.from({ length: load.connections }, () => HttpConnection.open(port)),
  );
  const send = async (connection: number, index: number): Promise<void> => {
    const answer = await connections[connection]?.send(nextRequest(connection, index));
    if (answer?.status !== 200) throw new Error(`Refused: ${answer?.status} ${answer?.body}`);
  };
  // Not timed: the first chunk of each makes its file, and the next ones let the code be compiled.
  for (let index = 0; index < WARM_UP_CHUNKS; index += 1) {
    await Promise.all(connections.map((_, connection) => send(connection, index)));
  }
  const cpuBeforeMs = await cpuMsOf(pid);
  const { latenciesMs, elapsedMs } = await drive(load, (connection, index) =>
    send(connection, WARM_UP_CHUNKS + index),
  );
  const cpuMs = (await cpuMsOf(pid)) - cpuBeforeMs;
  for (const connection of connections) connection.close();
  return summarise(latenciesMs, elapsedMs, cpuMs);
}

function summarise(
  latenciesMs: readonly number[],
  elapsedMs: number,
  cpuMs: number | undefined,
): Throughput {
  return {
    chunksPerSecond: (latenciesMs.length / elapsedMs) * 1_000,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    cpuMsPerChunk: cpuMs === undefined ? undefined : cpuMs / latenciesMs.length,
  };
}

/** The least that a server can do (bare-server.ts). */
export async function driveBareServer(
  load: Load,
  payload: Uint8Array,
  mode: "sync" | "no sync",
): Promise<Throughput> {
  await using directory = await temporaryDirectory();
  const script = fileURLToPath(new URL("bare-server.ts", import.meta.url));
  const child = Bun.spawn([process.execPath, script, directory.path, mode], { stdout: "pipe" });
  try {
    const { value } = await child.stdout.getReader().read();
    const port = Number(new TextDecoder().decode(value));
    return await driveServer(port, child.pid, load, (connection) => [
      Buffer.from(
        `POST /${connection} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${payload.length}\r\n\r\n`,
      ),
      payload,
    ]);
  } finally {
    child.kill();
    await child.exited;
  }
}

/** One chunk on its way. */
export interface ChunkRequest {
  readonly recordingId: string;
  readonly participantId: string;
  readonly segmentId: string;
  readonly sequence: number;
  readonly payload: Uint8Array;
  /** Of the payload, hexadecimal. */
  readonly sha256: string;
}

/** A multipart request as the client library sends it, in parts. */
export function multipartRequest(chunk: ChunkRequest): readonly Uint8Array[] {
  const { recordingId, payload } = chunk;
  const boundary = "----TrackCaptureBench";
  const fields = {
    participantId: chunk.participantId,
    trackId: "camera",
    segmentId: chunk.segmentId,
    sequence: String(chunk.sequence),
    mimeType: "video/x-matroska;codecs=avc1,opus",
    sha256_0: chunk.sha256,
    capturedAt_0: String(Date.now()),
  };
  const text = Object.entries(fields)
    .map(
      ([name, value]) =>
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    )
    .join("");
  const head = Buffer.from(
    `${text}--${boundary}\r\nContent-Disposition: form-data; name="chunk_0"; filename="blob"\r\n` +
      "Content-Type: video/x-matroska\r\n\r\n",
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const request = Buffer.from(
    `POST /api/recordings/${recordingId}/chunks HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
      `Content-Type: multipart/form-data; boundary=${boundary}\r\n` +
      `Content-Length: ${head.length + payload.length + tail.length}\r\n\r\n`,
  );
  return [request, head, payload, tail];
}

function multipartRequests(recordingId: string, payload: Uint8Array): NextRequest {
  const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest("hex");
  const segmentIds: string[] = [];
  return (connection, sequence) => {
    const segmentId = (segmentIds[connection] ??= crypto.randomUUID());
    const participantId = `participant ${connection}`;
    return multipartRequest({ recordingId, participantId, segmentId, sequence, payload, sha256 });
  };
}

/** The real server, with multipart uploads. */
export async function driveTrackCapture(load: Load, payload: Uint8Array): Promise<Throughput> {
  await using server = await startServer({ env: { LOG_LEVEL: "warn" } });
  const recordingId = await new RecordingsApi(server.url).start("bench");
  const port = Number(new URL(server.url).port);
  return await driveServer(port, server.pid, load, multipartRequests(recordingId, payload));
}

/** Appends to one file for each connection, each chunk with an fdatasync of its own. */
export async function driveDisk(load: Load, payload: Uint8Array): Promise<Throughput> {
  await using directory = await temporaryDirectory();
  const handles = await Promise.all(
    Array.from({ length: load.connections }, (_, i) => open(join(directory.path, String(i)), "a")),
  );
  try {
    const { latenciesMs, elapsedMs } = await drive(load, async (file) => {
      await handles[file]?.write(payload);
      await handles[file]?.datasync();
    });
    return summarise(latenciesMs, elapsedMs, undefined);
  } finally {
    for (const handle of handles) await handle.close();
  }
}
