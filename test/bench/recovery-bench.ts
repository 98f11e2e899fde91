import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import type { TrackKey } from "../../src/recording/ports.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { SystemClock } from "../../src/system-clock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { settleDisk } from "./settle-disk.ts";
import { printTable } from "./table.ts";

const SEGMENTS_PER_RECORDING = 20;
/** Chunks of one write while the files are made; the last write has one, as during a call. */
const CHUNKS_PER_WRITE = 64;
const PARALLEL_FILES = 16;
const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;

/** What is there to be recovered. */
export interface RecoveryBenchOptions {
  readonly segments: number;
  readonly chunksPerSegment: number;
  readonly chunkBytes: number;
}

/** One start of the server. */
interface Start {
  readonly name: string;
  readonly seconds: number;
  /** Read by the process up to then: from files and everything else (proc_pid_io(5)). */
  readonly readMib: number;
  readonly readCalls: number;
  /** Of these, what the page cache did not have. */
  readonly diskMib: number;
}

async function writeSegment(
  store: FileChunkStore,
  track: TrackKey,
  { chunksPerSegment, chunkBytes }: RecoveryBenchOptions,
): Promise<void> {
  const payload = crypto.getRandomValues(new Uint8Array(chunkBytes));
  payload.set(EBML_MAGIC);
  const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest();
  const log = await store.create({
    ...track,
    segmentId: segmentIdSchema.parse(crypto.randomUUID()),
    mimeType: "video/webm;codecs=vp9,opus",
    openedAtMs: Date.now(),
  });
  for (let from = 0; from < chunksPerSegment;) {
    const left = chunksPerSegment - from;
    const count = left === 1 ? 1 : Math.min(CHUNKS_PER_WRITE, left - 1);
    const receivedAtMs = Date.now();
    await log.append(
      Array.from({ length: count }, (_, i) => ({
        sequence: from + i,
        payload,
        sha256,
        capturedAtMs: receivedAtMs,
        receivedAtMs,
        marks: [],
      })),
    );
    from += count;
  }
  await log.close();
}

/** Makes recordings in progress, as a server that was killed leaves them. */
async function makeOpenRecordings(directory: string, options: RecoveryBenchOptions): Promise<void> {
  const layout = new RecordingsLayout(directory);
  const catalog = await SqliteCatalog.open(layout.catalogPath, new SystemClock());
  const store = new FileChunkStore(layout, () => undefined);
  const jobs: (() => Promise<void>)[] = [];
  for (let made = 0; made < options.segments; made += SEGMENTS_PER_RECORDING) {
    const recordingId = recordingIdSchema.parse(Bun.randomUUIDv7());
    await catalog.addRecording({
      recordingId,
      name: null,
      metadata: {},
      state: "recording",
      reason: null,
      startedAtMs: Date.now(),
      stoppedAtMs: null,
      finalizedAtMs: null,
      deletedAtMs: null,
    });
    const count = Math.min(SEGMENTS_PER_RECORDING, options.segments - made);
    const participantIds = Array.from({ length: count }, (_, i) =>
      participantIdSchema.parse(`participant ${i}`),
    );
    const trackId = trackIdSchema.parse("camera");
    await catalog.addTracks(
      participantIds.map((participantId) => ({ recordingId, participantId, trackId })),
    );
    for (const participantId of participantIds) {
      jobs.push(() => writeSegment(store, { recordingId, participantId, trackId }, options));
    }
  }
  const lane = async (): Promise<void> => {
    for (let job = jobs.pop(); job !== undefined; job = jobs.pop()) await job();
  };
  await Promise.all(Array.from({ length: PARALLEL_FILES }, lane));
  await catalog.close();
}

/** Forgets all files in memory, so that the next start reads from the disk; false when it may not. */
async function dropPageCache(): Promise<boolean> {
  await settleDisk();
  try {
    await writeFile("/proc/sys/vm/drop_caches", "3");
    return true;
  } catch (error) {
    console.log(`The page cache stays as it is: ${String(error)}`);
    return false;
  }
}

async function measureStart(name: string, recordingsDirectory: string): Promise<Start> {
  const startedAt = performance.now();
  await using server = await startServer({ recordingsDirectory, env: { LOG_LEVEL: "info" } });
  const seconds = (performance.now() - startedAt) / 1_000;
  const io = await Bun.file(`/proc/${server.pid}/io`).text();
  const figure = (field: string) => Number(new RegExp(`^${field}: (\\d+)`, "m").exec(io)?.[1]);
  const found = /.*"msg":"recovered".*/.exec(server.stderr())?.[0];
  console.log(`${name}: ${found ?? "nothing was recovered"}`);
  return {
    name,
    seconds,
    readMib: figure("rchar") / 2 ** 20,
    readCalls: figure("syscr"),
    diskMib: figure("read_bytes") / 2 ** 20,
  };
}

/** How long a server takes to serve again after it was killed in the middle of many long calls. */
export async function benchRecovery(options: RecoveryBenchOptions): Promise<void> {
  await using directory = await temporaryDirectory();
  const [empty, full] = [join(directory.path, "empty"), join(directory.path, "full")];
  await measureStart("warm-up", empty);
  const starts = [await measureStart("nothing to recover", empty)];
  // Makes the directory, and its catalogue.
  await measureStart("warm-up", full);
  await makeOpenRecordings(full, options);
  const isCold = await dropPageCache();
  const { segments, chunksPerSegment, chunkBytes } = options;
  const what = `${segments} open segments`;
  starts.push(await measureStart(isCold ? `${what}, cold cache` : what, full));
  starts.push(await measureStart(`${what}, warm cache`, full));
  const gib = (segments * chunksPerSegment * chunkBytes) / 2 ** 30;
  printTable(
    `Recovery: ${segments} open segments of ${chunksPerSegment} chunks of ${chunkBytes} bytes (${gib.toFixed(2)} GiB)`,
    ["start", "s until it serves", "read MiB", "read calls", "of these from disk MiB"],
    starts.map(({ name, seconds, readMib, readCalls, diskMib }) => [
      name,
      seconds.toFixed(2),
      readMib.toFixed(1),
      String(readCalls),
      diskMib.toFixed(1),
    ]),
  );
}
