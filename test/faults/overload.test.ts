import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { quantile } from "../bench/statistics.ts";
import { RawConnection } from "../http/raw-connection.ts";
import { rawHead, rawUpload } from "../http/raw-upload.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { startSteadyUploads, type SteadyUploadReport } from "./steady-uploads.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const EBML_MAGIC = Buffer.from([0x1a, 0x45, 0xdf, 0xa3]);

/**
 * How much more memory the server may take at any time while it is attacked. Its garbage comes and goes
 * by some tens of MiB; what the attacks would take if they could is a GiB and more.
 */
const GROWTH_BYTES_MAX = 200 * MIB;

/** How long an attack that has no end of its own goes on. */
const ATTACK_MS = campaign({ short: 3_000, long: 60_000 });

/** How long the flood goes on. */
const FLOOD_MS = campaign({ short: 6_000, long: 60_000 });

const WAIT_MS = campaign({ short: 60_000, long: 600_000 });

let server: TrackCaptureServer;
let api: RecordingsApi;

beforeAll(async () => {
  server = await startServer();
  api = new RecordingsApi(server.url);
});

afterAll(() => server[Symbol.asyncDispose]());

/** Memory of the server's process in bytes (proc(5)): now, and at most since the last reset. */
async function memoryOf(pid: number): Promise<{ nowBytes: number; peakBytes: number }> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]);
  return { nowBytes: kib("VmRSS") * KIB, peakBytes: kib("VmHWM") * KIB };
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;

function describeSteady({ latenciesMs }: SteadyUploadReport): string {
  return (
    `${latenciesMs.length} chunks of the others acknowledged, ` +
    `p50 ${quantile(latenciesMs, 0.5).toFixed(0)} ms, p99 ${quantile(latenciesMs, 0.99).toFixed(0)} ms`
  );
}

/** Attacks while a call goes on: the call must not notice, and the server's memory must stay flat. */
async function expectHarmless(name: string, attack: () => Promise<string>): Promise<void> {
  const call = { recordingId: await api.start(), participants: 5, everyMs: 250 };
  // So that what the first requests of any kind take is there before.
  await startSteadyUploads(server.url, call).end();
  const before = await memoryOf(server.pid);
  await writeFile(`/proc/${server.pid}/clear_refs`, "5"); // proc(5): resets the peak
  const uploads = startSteadyUploads(server.url, call);
  const outcome = await attack();
  const report = await uploads.end();
  const { peakBytes } = await memoryOf(server.pid);
  process.stderr.write(
    `${name}: ${outcome}; memory ${mib(before.nowBytes)}, at most ${mib(peakBytes)}; ${describeSteady(report)}\n`,
  );
  expect([...report.statuses.keys()]).toEqual([200]);
  expect(peakBytes - before.nowBytes).toBeLessThan(GROWTH_BYTES_MAX);
}

/** Connections that are reset when the block is left. */
async function openMany(count: number): Promise<RawConnection[] & Disposable> {
  const connections = await Promise.all(
    Array.from({ length: count }, () => RawConnection.open(server.url)),
  );
  return Object.assign(connections, {
    [Symbol.dispose]: () => {
      for (const connection of connections) connection.reset();
    },
  });
}

async function trickle(connections: readonly RawConnection[], drop: string): Promise<string> {
  const timer = setInterval(() => {
    for (const connection of connections) connection.send(drop);
  }, 250);
  await Bun.sleep(ATTACK_MS);
  clearInterval(timer);
  return `${connections.filter(({ isClosed }) => !isClosed).length} of ${connections.length} are still open`;
}

async function statusOf(connection: RawConnection): Promise<number> {
  return until(() => connection.status, { what: "an answer", timeoutMs: WAIT_MS });
}

function* repeated(piece: Uint8Array, times: number): Generator<Uint8Array> {
  for (let i = 0; i < times; i += 1) yield piece;
}

describe("with memory that stays flat, while others are served, come and go", () => {
  test(
    "200 heads that trickle and never end",
    () =>
      expectHarmless("slow heads", async () => {
        using connections = await openMany(200);
        for (const connection of connections)
          connection.send("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        return await trickle(connections, "X-More: yes\r\n");
      }),
    CAMPAIGN_TIMEOUT_MS,
  );

  test.each([
    ["of 64 MiB", `Content-Length: ${64 * MIB}`, "x"],
    ["of a chunk's size", `Content-Length: ${128 * KIB}`, "x"],
    ["of unknown size", "Transfer-Encoding: chunked", "1\r\nx\r\n"],
  ])(
    "500 bodies %s that trickle",
    (size, framing, drop) =>
      expectHarmless(`slow bodies ${size}`, async () => {
        const recordingId = await api.start();
        using connections = await openMany(500);
        for (const connection of connections) connection.send(rawHead(recordingId, framing));
        return await trickle(connections, drop);
      }),
    CAMPAIGN_TIMEOUT_MS,
  );

  test(
    "1,000 idle connections",
    () =>
      expectHarmless("idle connections", async () => {
        using connections = await openMany(1_000);
        for (const connection of connections) {
          connection.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        }
        const statuses = await Promise.all(connections.map(statusOf));
        expect(new Set(statuses)).toEqual(new Set([200]));
        await Bun.sleep(ATTACK_MS);
        return `${connections.length} were answered and stayed`;
      }),
    CAMPAIGN_TIMEOUT_MS,
  );

  test.each([
    ["that says so", true],
    ["that does not say how long it is", false],
  ])(
    "a body of 1 GiB %s",
    (name, isDeclared) =>
      expectHarmless(`1 GiB ${name}`, async () => {
        const recordingId = await api.start();
        using connections = await openMany(1);
        const [connection] = connections;
        if (connection === undefined) throw new Error("There is no connection");
        const framing = isDeclared ? `Content-Length: ${KIB * MIB}` : "Transfer-Encoding: chunked";
        connection.send(rawHead(recordingId, framing));
        const block = new Uint8Array(MIB);
        const piece = isDeclared
          ? block
          : Buffer.concat([Buffer.from("100000\r\n"), block, Buffer.from("\r\n")]);
        await connection.sendEach(repeated(piece, KIB));
        const status = await statusOf(connection);
        expect(status).toBe(413);
        return `answered with ${status}`;
      }),
    CAMPAIGN_TIMEOUT_MS,
  );

  test(
    "a body in 100,000 pieces of a few bytes",
    () =>
      expectHarmless("100,000 pieces", async () => {
        const pieces = 100_000;
        const segment = {
          recordingId: await api.start(),
          participantId: "ada",
          segmentId: crypto.randomUUID(),
        };
        const payload = crypto.getRandomValues(new Uint8Array(4 * pieces));
        payload.set(EBML_MAGIC);
        const { body } = rawUpload({ ...segment, sequence: 0, payload });
        using connections = await openMany(1);
        const [connection] = connections;
        if (connection === undefined) throw new Error("There is no connection");
        connection.send(rawHead(segment.recordingId, "Transfer-Encoding: chunked"));
        const pieceBytes = Math.ceil(body.length / pieces);
        const cut = function* (): Generator<Uint8Array> {
          for (let at = 0; at < body.length; at += pieceBytes) {
            const piece = body.subarray(at, at + pieceBytes);
            yield Buffer.from(
              `${piece.length.toString(16)}\r\n${piece.toString("latin1")}\r\n`,
              "latin1",
            );
          }
          yield Buffer.from("0\r\n\r\n");
        };
        await connection.sendEach(cut());
        expect(await statusOf(connection)).toBe(200);
        const track = { ...segment, trackId: "camera" };
        const stored = await (await fetch(api.trackUrl(track, "source"))).bytes();
        expect(Buffer.compare(stored, payload)).toBe(0);
        return "stored as they were sent";
      }),
    CAMPAIGN_TIMEOUT_MS,
  );

  test(
    "100,000 chunks of one byte",
    () =>
      expectHarmless("100,000 chunks", async () => {
        const perRequest = 250;
        const chunks = campaign({ short: 25_000, long: 100_000 });
        const track = { recordingId: await api.start(), participantId: "ada", trackId: "camera" };
        const segmentId = crypto.randomUUID();
        for (let sequence = 0; sequence < chunks; sequence += perRequest) {
          const payloads = Array.from({ length: perRequest }, (_, i) =>
            sequence + i === 0 ? new Uint8Array(EBML_MAGIC) : new Uint8Array([i]),
          );
          const upload = { ...track, segmentId, sequence, mimeType: "video/webm" };
          await api.upload({ ...upload, chunks: payloads });
        }
        const { nextSequence } = await api.segmentStatus(track.recordingId, segmentId);
        expect(nextSequence).toBe(chunks);
        return `${chunks} stored`;
      }),
    CAMPAIGN_TIMEOUT_MS,
  );
});

/** Statuses and how often each was the answer. */
const floodAnswersSchema = z.record(z.string(), z.int());

test(
  "one who floods with large bodies is told to come again; the others do not notice",
  async () => {
    const limits = {
      CHUNK_BYTES_MAX: 8 * MIB,
      REQUEST_BYTES_MAX: 16 * MIB,
      TOTAL_REQUEST_BYTES_MAX: 64 * MIB,
      SEGMENT_PENDING_BYTES_MAX: 8 * MIB,
      TOTAL_PENDING_BYTES_MAX: 32 * MIB,
    };
    await using small = await startServer({
      env: Object.fromEntries(Object.entries(limits).map(([name, value]) => [name, String(value)])),
    });
    const recordingId = await new RecordingsApi(small.url).start();
    // In a process of its own: it is to take time from the server, not from those who measure.
    const client = fileURLToPath(new URL("flooding-client.ts", import.meta.url));
    const flood = Bun.spawn([process.execPath, client, small.url, recordingId], {
      stdin: "pipe",
      stdout: "pipe",
    });
    const call = { recordingId, participants: 20, everyMs: 1_000 };
    const uploads = startSteadyUploads(small.url, call);
    await Bun.sleep(FLOOD_MS);
    const report = await uploads.end();
    await flood.stdin.end();
    const answers = floodAnswersSchema.parse(await new Response(flood.stdout).json());
    expect(await flood.exited).toBe(0);
    const { peakBytes } = await memoryOf(small.pid);
    process.stderr.write(
      `flood: ${answers[200] ?? 0} of its requests were taken, ${answers[503] ?? 0} refused; ` +
        `${describeSteady(report)}; memory at most ${mib(peakBytes)}\n`,
    );
    expect([...report.statuses.keys()]).toEqual([200]);
    // Without pressure the test would show nothing.
    expect(answers[503] ?? 0).toBeGreaterThan(0);
  },
  CAMPAIGN_TIMEOUT_MS,
);
