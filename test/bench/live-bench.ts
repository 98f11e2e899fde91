import { fileURLToPath } from "node:url";
import { MemoryWatch } from "../support/memory-watch.ts";
import { RecordingsApi, type TrackName } from "../support/recordings-api.ts";
import { type TrackCaptureServer, startServer } from "../support/track-capture-server.ts";
import { HttpConnection } from "./http-connection.ts";
import { drive, multipartRequest } from "./ingest-contenders.ts";
import { type LiveSource, liveChunks } from "./live-source.ts";
import type { ViewersReport } from "./live-viewers.ts";
import { settleDisk } from "./settle-disk.ts";
import { median, quantile } from "./statistics.ts";
import { printTable } from "./table.ts";

/** How the live bench is run. */
export interface LiveBenchOptions {
  /** How often each kind of viewers takes its turn. */
  readonly runs: number;
  /** How long participants upload beside it each time. */
  readonly durationMs: number;
  /** Participants who upload, and viewers of each kind. */
  readonly people: number;
}

const BYTES_PER_SECOND = 256 * 1024;
/** Of the watched track, before anybody joins: 31 MB. */
const EARLIER_CHUNKS = 118;
/** Of each participant before the time is taken: the first makes its file. */
const WARM_UP_CHUNKS = 10;
const MIB = 1024 * 1024;

const SOURCES: Readonly<Record<string, LiveSource>> = {
  "keyframe 31 MB back": { bytesPerSecond: BYTES_PER_SECOND, keyframeMs: Infinity },
  "keyframe every 2 s": { bytesPerSecond: BYTES_PER_SECOND, keyframeMs: 2_000 },
};

type Pace = "fast" | "slow";

interface Chunk {
  readonly payload: Uint8Array;
  readonly sha256: string;
}

/** A recording in which everybody uploads the same, one chunk a second each. */
class Call {
  readonly recordingId: string;
  readonly #connections: HttpConnection[] = [];
  readonly #segmentIds: string[] = [];
  readonly #sequences: number[] = [];
  readonly #chunks: readonly Chunk[];

  constructor(recordingId: string, chunks: readonly Chunk[]) {
    this.recordingId = recordingId;
    this.#chunks = chunks;
  }

  /** One more uploads from now on, and has uploaded so many chunks already. Gives who it is. */
  async add(port: number, earlierChunks: number): Promise<number> {
    const person = this.#connections.length;
    this.#connections.push(await HttpConnection.open(port));
    this.#segmentIds.push(crypto.randomUUID());
    this.#sequences.push(0);
    for (let i = 0; i < earlierChunks; i += 1) await this.#upload(person);
    return person;
  }

  /** Everybody uploads for so long; gives how long each acknowledgement took. */
  async go(durationMs: number): Promise<number[]> {
    const load = { connections: this.#connections.length, durationMs, periodMs: 1_000 };
    return (await drive(load, (person) => this.#upload(person))).latenciesMs;
  }

  end(): void {
    for (const connection of this.#connections) connection.close();
  }

  async #upload(person: number): Promise<void> {
    const sequence = this.#sequences[person] ?? 0;
    this.#sequences[person] = sequence + 1;
    const { payload, sha256 } = this.#chunks[sequence] ?? { payload: new Uint8Array(), sha256: "" };
    const answer = await this.#connections[person]?.send(
      multipartRequest({
        recordingId: this.recordingId,
        participantId: participantOf(person),
        segmentId: this.#segmentIds[person] ?? "",
        sequence,
        payload,
        sha256,
      }),
    );
    if (answer?.status !== 200) throw new Error(`Refused: ${answer?.status} ${answer?.body}`);
  }
}

function participantOf(person: number): string {
  return `participant ${person}`;
}

function trackOf({ recordingId }: Call, person: number): TrackName {
  return { recordingId, participantId: participantOf(person), trackId: "camera" };
}

/** Starts viewers that wait; what it resolves with has them go and gives what became of them. */
async function prepare(
  { url, count, pace }: Viewers,
  durationMs: number,
): Promise<() => Promise<ViewersReport>> {
  const script = fileURLToPath(new URL("live-viewers.ts", import.meta.url));
  const child = Bun.spawn(
    [process.execPath, script, url, String(count), pace, String(durationMs)],
    { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
  );
  const reader = child.stdout.getReader();
  await reader.read();
  return async () => {
    await child.stdin.write("go");
    await child.stdin.end();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += new TextDecoder().decode(part.value);
    }
    await child.exited;
    return JSON.parse(text);
  };
}

interface Viewers {
  readonly url: string;
  readonly count: number;
  readonly pace: Pace;
}

/** What one run found. */
interface Run {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly peakBytes: number;
  readonly firstByteMs: readonly number[];
  readonly answers: Readonly<Record<string, number>>;
  readonly readBytes: number;
}

/** Uploads beside viewers, and what both found. */
async function contend(
  server: TrackCaptureServer,
  call: Call,
  durationMs: number,
  viewers: readonly Viewers[],
): Promise<Run> {
  await settleDisk();
  const begin = await Promise.all(viewers.map((each) => prepare(each, durationMs)));
  const memory = new MemoryWatch(server.pid);
  const watching = begin.map((go) => go());
  const latenciesMs = await call.go(durationMs);
  const reports = await Promise.all(watching);
  const peakBytes = await memory.stop();
  const answers: Record<string, number> = {};
  for (const { statuses } of reports) {
    for (const [status, count] of Object.entries(statuses)) {
      answers[status] = (answers[status] ?? 0) + count;
    }
  }
  return {
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    maxMs: Math.max(...latenciesMs),
    peakBytes,
    firstByteMs: reports.flatMap((report) => report.firstByteMs),
    answers,
    readBytes: reports.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

const HEAD = [
  "beside",
  "ack p50 ms",
  "p99 ms",
  "of nobody's",
  "max ms",
  "peak RSS MiB",
  "first byte p50 ms",
  "max ms",
  "answers",
  "read MiB",
];

function rowOf(name: string, runs: readonly Run[], beside: readonly Run[]): string[] {
  const firstByteMs = runs.flatMap((run) => run.firstByteMs);
  const answers = runs.map((run) => JSON.stringify(run.answers).replaceAll(/[{}"]/g, ""));
  const p99Ms = median(runs.map((run) => run.p99Ms));
  return [
    name,
    median(runs.map((run) => run.p50Ms)).toFixed(1),
    p99Ms.toFixed(1),
    (p99Ms / median(beside.map((run) => run.p99Ms))).toFixed(2),
    Math.max(...runs.map((run) => run.maxMs)).toFixed(0),
    (Math.max(...runs.map((run) => run.peakBytes)) / MIB).toFixed(0),
    firstByteMs.length === 0 ? "" : quantile(firstByteMs, 0.5).toFixed(0),
    firstByteMs.length === 0 ? "" : Math.max(...firstByteMs).toFixed(0),
    [...new Set(answers)].join(" / "),
    (median(runs.map((run) => run.readBytes)) / MIB).toFixed(0),
  ];
}

/** Has kinds of viewers take turns, nobody first; prints the medians of the runs of each. */
async function takeTurns(
  title: string,
  { runs, durationMs }: LiveBenchOptions,
  { server, call }: { readonly server: TrackCaptureServer; readonly call: Call },
  kinds: Readonly<Record<string, () => Promise<readonly Viewers[]>>>,
): Promise<void> {
  const all = { nobody: async () => [], ...kinds };
  const results = new Map<string, Run[]>();
  for (let run = 0; run < runs; run += 1) {
    for (const [name, viewers] of Object.entries(all)) {
      const result = await contend(server, call, durationMs, await viewers());
      results.set(name, [...(results.get(name) ?? []), result]);
    }
  }
  const nobody = results.get("nobody") ?? [];
  printTable(
    title,
    HEAD,
    [...results].map(([name, each]) => rowOf(name, each, nobody)),
  );
}

async function chunksOf(source: LiveSource, count: number): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const payload of liveChunks(source)) {
    chunks.push({ payload, sha256: new Bun.CryptoHasher("sha256").update(payload).digest("hex") });
    if (chunks.length >= count) break;
  }
  return chunks;
}

/**
 * How long participants wait for their acknowledgements, and what memory the server takes, without
 * viewers and beside many who join a live view at once, or read slowly.
 */
export async function benchLive(options: LiveBenchOptions): Promise<void> {
  const { runs, durationMs, people } = options;
  const seconds = (runs * 3 * durationMs) / 1_000;
  for (const [name, source] of Object.entries(SOURCES)) {
    const chunks = await chunksOf(source, EARLIER_CHUNKS + 2 * seconds);
    await using server = await startServer({ env: { LOG_LEVEL: "warn" } });
    const api = new RecordingsApi(server.url);
    const port = Number(new URL(server.url).port);
    const call = new Call(await api.start("call"), chunks);
    for (let i = 0; i < people; i += 1) await call.add(port, WARM_UP_CHUNKS);
    // One that has just begun to be watched: nothing of it is known yet.
    const watched = async (): Promise<string> => {
      const person = await call.add(port, EARLIER_CHUNKS);
      return `${api.trackUrl(trackOf(call, person), "source")}?live`;
    };
    await takeTurns(
      `Live views beside ${people} participants: ${name}`,
      options,
      { server, call },
      {
        [`${people} joins`]: async () => [{ url: await watched(), count: people, pace: "fast" }],
        [`${people} joins, ${people} slow`]: async () => {
          const url = await watched();
          return (["fast", "slow"] as const).map((pace) => ({ url, count: people, pace }));
        },
      },
    );
    call.end();
  }
}

/** The same beside many who download, half of them slowly. */
export async function benchReads(options: LiveBenchOptions): Promise<void> {
  const { runs, durationMs, people } = options;
  const seconds = (runs * 4 * durationMs) / 1_000;
  const source = { bytesPerSecond: BYTES_PER_SECOND, keyframeMs: 2_000 };
  const chunks = await chunksOf(source, EARLIER_CHUNKS + 2 * seconds);
  await using server = await startServer({ env: { LOG_LEVEL: "warn" } });
  const api = new RecordingsApi(server.url);
  const port = Number(new URL(server.url).port);
  const finished = new Call(await api.start("finished"), chunks);
  const track = trackOf(finished, await finished.add(port, EARLIER_CHUNKS));
  finished.end();
  await api.stop(finished.recordingId);
  await api.ready(finished.recordingId);
  const call = new Call(await api.start("call"), chunks);
  for (let i = 0; i < people; i += 1) await call.add(port, WARM_UP_CHUNKS);
  const of = (url: string) => async () =>
    (["fast", "slow"] as const).map((pace) => ({ url, count: people, pace }));
  const title = `Downloads beside ${people} participants, by ${people} fast and ${people} slow readers`;
  await takeTurns(
    title,
    options,
    { server, call },
    {
      source: of(api.trackUrl(track, "source")),
      "media.mp4": of(api.trackUrl(track, "media.mp4")),
      ZIP: of(`${server.url}/api/recordings/${finished.recordingId}/download`),
    },
  );
  call.end();
}
