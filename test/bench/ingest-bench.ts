import {
  CHUNK_BYTES,
  type Load,
  type Throughput,
  driveBareServer,
  driveDisk,
  driveTrackCapture,
  makePayload,
} from "./ingest-contenders.ts";
import { settleDisk } from "./settle-disk.ts";
import { median } from "./statistics.ts";
import { printTable } from "./table.ts";

/** How the ingest benches are run. */
export interface IngestBenchOptions {
  readonly runs: number;
  readonly durationMs: number;
}

type Contenders = Readonly<Record<string, () => Promise<Throughput>>>;

/** Has the contenders take turns; gives the runs of each. */
async function takeTurns(
  contenders: Contenders,
  runs: number,
): Promise<ReadonlyMap<string, readonly Throughput[]>> {
  const results = new Map<string, Throughput[]>();
  for (let run = 0; run < runs; run += 1) {
    for (const [name, contend] of Object.entries(contenders)) {
      await settleDisk();
      results.set(name, [...(results.get(name) ?? []), await contend()]);
    }
  }
  return results;
}

function medianOf(runs: readonly Throughput[], figure: (run: Throughput) => number): number {
  return median(runs.map(figure));
}

/** CPU time of the server's process per chunk, for a table. */
function cpuCell(runs: readonly Throughput[]): string {
  const cpu = runs.flatMap(({ cpuMsPerChunk }) => cpuMsPerChunk ?? []);
  return cpu.length === 0 ? "" : median(cpu).toFixed(2);
}

/**
 * Durable multipart ingest against the least that a server can do and against the disk alone, all in
 * the same run; each contender's figures are the medians of its runs, which take turns.
 */
export async function benchIngest(
  { runs, durationMs }: IngestBenchOptions,
  connections: number,
): Promise<void> {
  const payload = makePayload();
  const load: Load = { connections, durationMs, periodMs: 0 };
  const results = await takeTurns(
    {
      "bare server, no sync": () => driveBareServer(load, payload, "no sync"),
      "bare server, fdatasync": () => driveBareServer(load, payload, "sync"),
      "disk alone, fdatasync": () => driveDisk(load, payload),
      "Track Capture": () => driveTrackCapture(load, payload),
    },
    runs,
  );
  const rateOf = (name: string): number =>
    medianOf(results.get(name) ?? [], ({ chunksPerSecond }) => chunksPerSecond);
  const noSync = rateOf("bare server, no sync");
  const synced = rateOf("bare server, fdatasync");
  printTable(
    `Ingest: ${connections} connections, ${CHUNK_BYTES / 1024} KiB chunks, medians of ${runs} runs`,
    ["contender", "chunks/s", "of no sync", "of fdatasync", "p50 ms", "p99 ms", "CPU ms/chunk"],
    [...results].map(([name, all]) => [
      name,
      rateOf(name).toFixed(0),
      (rateOf(name) / noSync).toFixed(2),
      (rateOf(name) / synced).toFixed(2),
      medianOf(all, ({ p50Ms }) => p50Ms).toFixed(1),
      medianOf(all, ({ p99Ms }) => p99Ms).toFixed(1),
      cpuCell(all),
    ]),
  );
}

/**
 * How long participants wait for their acknowledgements when each sends one chunk a second, beside the
 * disk alone with the same number of files.
 */
export async function benchAcknowledgement(
  { runs, durationMs }: IngestBenchOptions,
  participants: number,
): Promise<void> {
  const payload = makePayload();
  const load: Load = { connections: participants, durationMs, periodMs: 1_000 };
  const results = await takeTurns(
    {
      "disk alone, fdatasync": () => driveDisk(load, payload),
      "Track Capture": () => driveTrackCapture(load, payload),
    },
    runs,
  );
  const diskP99Ms = medianOf(results.get("disk alone, fdatasync") ?? [], ({ p99Ms }) => p99Ms);
  printTable(
    `Acknowledgement: ${participants} participants, one ${CHUNK_BYTES / 1024} KiB chunk a second each, medians of ${runs} runs`,
    ["contender", "chunks/s", "p50 ms", "p99 ms", "p99 of the disk's", "CPU ms/chunk"],
    [...results].map(([name, all]) => [
      name,
      medianOf(all, ({ chunksPerSecond }) => chunksPerSecond).toFixed(0),
      medianOf(all, ({ p50Ms }) => p50Ms).toFixed(1),
      medianOf(all, ({ p99Ms }) => p99Ms).toFixed(1),
      (medianOf(all, ({ p99Ms }) => p99Ms) / diskP99Ms).toFixed(2),
      cpuCell(all),
    ]),
  );
}
