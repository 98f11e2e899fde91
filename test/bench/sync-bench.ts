import { open } from "node:fs/promises";
import { join } from "node:path";
import { type DataSync, separateSync } from "../../src/storage/data-sync.ts";
import { GroupSync } from "../../src/storage/group-sync.ts";
import { Syncfs } from "../../src/storage/syncfs.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { CHUNK_BYTES, drive, makePayload } from "./ingest-contenders.ts";
import { settleDisk } from "./settle-disk.ts";
import { median, quantile } from "./statistics.ts";
import { printTable } from "./table.ts";

const FILES = [1, 2, 5, 10, 50, 200, 500] as const;

interface SyncRun {
  readonly chunksPerSecond: number;
  readonly p99Ms: number;
}

/** Appends chunks to as many files at once, each chunk synced before the file's next one. */
async function appendTo(
  directory: string,
  files: number,
  durationMs: number,
  dataSync: DataSync,
): Promise<SyncRun> {
  const payload = makePayload();
  const handles = await Promise.all(
    Array.from({ length: files }, (_, i) => open(join(directory, String(i)), "w")),
  );
  try {
    const { latenciesMs, elapsedMs } = await drive(
      { connections: files, durationMs, periodMs: 0 },
      async (file) => {
        const handle = handles[file];
        if (handle === undefined) return;
        await handle.write(payload);
        await dataSync.sync(handle);
      },
    );
    return {
      chunksPerSecond: (latenciesMs.length / elapsedMs) * 1_000,
      p99Ms: quantile(latenciesMs, 0.99),
    };
  } finally {
    for (const handle of handles) await handle.close();
  }
}

/** What a shared sync of the file system gains over a sync for each file, by number of files. */
export async function benchSync({
  runs,
  durationMs,
}: {
  readonly runs: number;
  readonly durationMs: number;
}): Promise<void> {
  await using directory = await temporaryDirectory();
  const syncfs = await Syncfs.start(directory.path);
  if (syncfs === undefined) {
    console.log("\nsyncfs does not serve on this system: files are synced one by one.");
    return;
  }
  const rows: string[][] = [];
  for (const files of FILES) {
    const separate: SyncRun[] = [];
    const grouped: SyncRun[] = [];
    for (let run = 0; run < runs; run += 1) {
      await settleDisk();
      separate.push(await appendTo(directory.path, files, durationMs, separateSync));
      await settleDisk();
      grouped.push(await appendTo(directory.path, files, durationMs, new GroupSync(syncfs)));
    }
    const rate = (all: readonly SyncRun[]): number =>
      median(all.map(({ chunksPerSecond }) => chunksPerSecond));
    const p99 = (all: readonly SyncRun[]): string =>
      median(all.map(({ p99Ms }) => p99Ms)).toFixed(1);
    rows.push([
      String(files),
      rate(separate).toFixed(0),
      p99(separate),
      rate(grouped).toFixed(0),
      p99(grouped),
      (rate(grouped) / rate(separate)).toFixed(2),
    ]);
  }
  await syncfs.stop();
  printTable(
    `Sync: ${CHUNK_BYTES / 1024} KiB chunks, medians of ${runs} runs`,
    ["files", "fdatasync each: chunks/s", "p99 ms", "group: chunks/s", "p99 ms", "ratio"],
    rows,
  );
}
