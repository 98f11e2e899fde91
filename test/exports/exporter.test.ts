import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import pino from "pino";
import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { exportIdSchema } from "../../src/contract/exports.ts";
import { recordingIdSchema } from "../../src/contract/ids.ts";
import { findNamesFont } from "../../src/exports/composite/names-font.ts";
import { Exporter } from "../../src/exports/exporter.ts";
import { makeExport } from "../../src/exports/make-export.ts";
import { FileSystemSpace } from "../../src/storage/free-space.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { SystemClock } from "../../src/system-clock.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";

test("an export that was asked for while its recording was being deleted is forgotten", async () => {
  await using directory = await temporaryDirectory();
  const clock = new SystemClock();
  const layout = new RecordingsLayout(directory.path);
  const catalog = await SqliteCatalog.open(layout.catalogPath, clock);
  const recordingId = recordingIdSchema.parse(Bun.randomUUIDv7());
  await catalog.addRecording({
    recordingId,
    name: null,
    metadata: {},
    state: "ready",
    reason: null,
    startedAtMs: 0,
    stoppedAtMs: 1,
    finalizedAtMs: 2,
    deletedAtMs: null,
  });
  await catalog.markDeleted(recordingId, 3);
  await catalog.markPurged(recordingId);
  const exportId = exportIdSchema.parse(Bun.randomUUIDv7());
  await catalog.exports.add({
    exportId,
    recordingId,
    request: { kind: "aligned", padding: "edit-list" },
  });
  const exporter = new Exporter({
    catalog,
    queue: catalog.exports,
    layout,
    ffmpeg: await judgeFfmpeg(),
    clock,
    freeSpace: new FileSystemSpace(layout.rootDirectory),
    freeSpaceBytesMin: 0,
    limits: finalizeLimits(readConfig({})),
    namesFont: await findNamesFont(""),
    parallelMax: 1,
    mayBegin: () => true,
    make: makeExport,
    newExportId: () => exportIdSchema.parse(Bun.randomUUIDv7()),
    log: pino({ level: "silent" }),
  });
  await exporter.start();
  const database = new Database(layout.catalogPath, { readonly: true });
  const rows = database.query("select export_id from export_jobs");
  await until(() => rows.all().length === 0 || undefined, {
    what: "the export is forgotten",
    timeoutMs: 5_000,
  });
  database.close();
  expect(await exporter.list(recordingId)).toEqual([]);
  await exporter.stop();
  await catalog.close();
});
