// A client that floods the server: 64 connections, each with one chunk of 8 MiB after the other, without
// ever waiting as it is told. Started by overload.test.ts: `bun flooding-client.ts SERVER_URL
// RECORDING_ID`. It ends with its stdin and prints its answers as JSON: status to number.
import { RawConnection } from "../http/raw-connection.ts";
import { rawUpload } from "../http/raw-upload.ts";
import { until } from "../support/until.ts";

const CONNECTIONS = 64;
const CHUNK_BYTES = 8 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 60_000;
const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;

const [serverUrl, recordingId] = process.argv.slice(2);
if (serverUrl === undefined || recordingId === undefined) {
  throw new Error("usage: bun flooding-client.ts SERVER_URL RECORDING_ID");
}

const payload = new Uint8Array(CHUNK_BYTES);
payload.set(EBML_MAGIC);
const statuses: Record<number, number> = {};
const over = new AbortController();

async function flood(url: string, recording: string): Promise<void> {
  while (!over.signal.aborted) {
    const connection = await RawConnection.open(url);
    const { head, parts } = rawUpload({
      recordingId: recording,
      participantId: "flood",
      segmentId: crypto.randomUUID(),
      sequence: 0,
      payload,
      withHash: false,
    });
    connection.send(head, ...parts);
    const isDone = () => connection.isClosed || over.signal.aborted;
    await until(() => connection.status ?? (isDone() || undefined), {
      what: "an answer to the flood",
      timeoutMs: ANSWER_TIMEOUT_MS,
    });
    const { status } = connection;
    if (status !== undefined) statuses[status] = (statuses[status] ?? 0) + 1;
    connection.reset();
  }
}

const flooding = Array.from({ length: CONNECTIONS }, () => flood(serverUrl, recordingId));
await Bun.stdin.text();
over.abort();
await Promise.all(flooding);
process.stdout.write(JSON.stringify(statuses));
