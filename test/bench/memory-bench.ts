import { RecordingsApi } from "../support/recordings-api.ts";
import { startServer } from "../support/track-capture-server.ts";
import { printTable } from "./table.ts";

const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;
const CHUNK_BYTES = 16 * 1024;
const PARALLEL = 8;
/** Chunks of the warm-up: after them the runtime's own buffers and compiled code are there. */
const WARM_UP_CHUNKS = 3_000;
const SEGMENTS = 400;
const CHUNKS_PER_HOUR = 3_600;

/** Resident memory of a process in KiB (proc(5): VmRSS). */
async function rssKibOf(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]);
}

/** The least of several readings, so that garbage which is about to be collected does not count. */
async function settledRssKib(pid: number): Promise<number> {
  const readings: number[] = [];
  for (let reading = 0; reading < 10; reading += 1) {
    await Bun.sleep(300);
    readings.push(await rssKibOf(pid));
  }
  return Math.min(...readings);
}

async function inParallel(count: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      while (next < count) {
        const index = next;
        next += 1;
        await task(index);
      }
    }),
  );
}

/** Resident memory against the number of open segments, and against the length of one. */
export async function benchMemory(): Promise<void> {
  await using server = await startServer({ env: { LOG_LEVEL: "warn" } });
  const api = new RecordingsApi(server.url);
  const chunk = new Uint8Array(CHUNK_BYTES);
  chunk.set(EBML_MAGIC);
  const upload = (recordingId: string, segmentId: string, sequence: number) =>
    api.upload({
      recordingId,
      participantId: segmentId,
      trackId: "camera",
      segmentId,
      sequence,
      mimeType: "video/webm",
      chunks: [chunk],
    });
  const uploadMany = async (segmentId: string, count: number) => {
    await inParallel(count, async (sequence) => {
      await upload(recordingId, segmentId, sequence);
    });
  };

  const recordingId = await api.start("memory");
  await uploadMany(crypto.randomUUID(), WARM_UP_CHUNKS);
  const rows: string[][] = [];
  let before = await settledRssKib(server.pid);
  const report = async (what: string, per: string, units: number) => {
    const after = await settledRssKib(server.pid);
    const growth = after - before;
    rows.push([what, String(before), String(after), `${(growth / units).toFixed(1)} per ${per}`]);
    before = after;
  };
  for (const round of [1, 2]) {
    await inParallel(SEGMENTS, async () => {
      await upload(recordingId, crypto.randomUUID(), 0);
    });
    await report(`${SEGMENTS} more open segments (${round})`, "segment", SEGMENTS);
  }
  const long = crypto.randomUUID();
  for (const hour of [1, 2, 3, 4, 5, 6, 7, 8]) {
    await inParallel(CHUNKS_PER_HOUR, async (index) => {
      await upload(recordingId, long, (hour - 1) * CHUNKS_PER_HOUR + index);
    });
    await report(`hour ${hour} of one segment`, "hour", 1);
  }
  printTable("Memory of the server, KiB", ["what", "RSS before", "RSS after", "growth"], rows);
}
