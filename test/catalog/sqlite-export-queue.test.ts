import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import { type ExportId, exportIdSchema } from "../../src/contract/exports.ts";
import { type RecordingId, recordingIdSchema } from "../../src/contract/ids.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const REQUEST = { kind: "aligned", padding: "edit-list" } as const;

let directory: TemporaryDirectory;
let catalog: SqliteCatalog;
let recordingId: RecordingId;
const clock = new ManualClock();

const open = () => SqliteCatalog.open(`${directory.path}/catalog.sqlite`, clock);

beforeEach(async () => {
  directory = await temporaryDirectory();
  catalog = await open();
  recordingId = await addRecording();
});

async function addRecording(): Promise<RecordingId> {
  const newId = recordingIdSchema.parse(Bun.randomUUIDv7());
  await catalog.addRecording({
    recordingId: newId,
    name: null,
    metadata: {},
    state: "ready",
    reason: null,
    startedAtMs: 0,
    stoppedAtMs: 1,
    finalizedAtMs: 2,
    deletedAtMs: null,
  });
  return newId;
}

afterEach(async () => {
  await catalog.close();
  await directory[Symbol.asyncDispose]();
});

async function add(of = recordingId): Promise<ExportId> {
  const exportId = exportIdSchema.parse(Bun.randomUUIDv7());
  clock.advance(1);
  await catalog.exports.add({ exportId, recordingId: of, request: REQUEST });
  return exportId;
}

const stateOf = async (exportId: ExportId) =>
  (await catalog.exports.find(recordingId, exportId))?.state;

test("exports are taken in their order, and one that is retried goes to the end", async () => {
  const [a, b] = [await add(), await add()];
  const { exports } = catalog;
  expect(await exports.take()).toMatchObject({ exportId: a, state: "running", attempts: 1 });
  expect(await exports.fail(a, "no room")).toBeTrue();
  clock.advance(1);
  expect(await exports.retry(a)).toBeTrue();
  expect(await exports.find(recordingId, a)).toMatchObject({ state: "queued", reason: null });
  expect((await exports.take())?.exportId).toBe(b);
  expect(await exports.take()).toMatchObject({ exportId: a, attempts: 1 });
  expect(await exports.take()).toBeUndefined();
});

test("recordings take turns", async () => {
  const [a, b, c] = [await add(), await add(), await add()];
  const other = await add(await addRecording());
  const order: unknown[] = [];
  for (let i = 0; i < 4; i += 1) order.push((await catalog.exports.take())?.exportId);
  expect(order).toEqual([a, other, b, c]);
});

test("of a cancellation and an end that meet, the first one counts", async () => {
  const { exports } = catalog;
  const [a, b] = [await add(), await add()];
  await exports.take();
  await exports.take();
  expect(await exports.cancel(a)).toBeTrue();
  expect(await exports.finish(a, { files: [], sources: [] })).toBeFalse();
  expect(await exports.fail(a, "x")).toBeFalse();
  expect(await exports.requeue(a, "x")).toBeFalse();
  expect(await stateOf(a)).toBe("cancelled");
  expect(await exports.finish(b, { files: [], sources: [] })).toBeTrue();
  expect(await exports.cancel(b)).toBeFalse();
  expect(await stateOf(b)).toBe("done");
});

test("after a crash what was running is queued, and what may have left files is given", async () => {
  const [running, queued, cancelled, removed] = [
    await add(),
    await add(),
    await add(),
    await add(),
  ];
  await catalog.exports.take();
  await catalog.exports.cancel(cancelled);
  await catalog.exports.markRemoved(removed);
  await catalog.close();
  catalog = await open();
  const recovered = await catalog.exports.recover();
  expect(recovered.interrupted).toMatchObject([{ exportId: running }]);
  expect(recovered.cancelled).toMatchObject([{ exportId: cancelled }]);
  expect(recovered.removed).toMatchObject([{ exportId: removed }]);
  expect(await stateOf(running)).toBe("queued");
  expect(await stateOf(queued)).toBe("queued");
  expect(await stateOf(removed)).toBeUndefined();
  expect(await catalog.exports.take()).toMatchObject({ exportId: running, attempts: 2 });
});

test("an export of a kind that only a newer server knows holds up neither the start nor the others", async () => {
  const [unknown, known] = [await add(), await add()];
  await catalog.close();
  const database = new Database(`${directory.path}/catalog.sqlite`);
  const setRow = (state: string) =>
    database.run("update export_jobs set request = ?, state = ? where export_id = ?", [
      JSON.stringify({ kind: "hologram" }),
      state,
      unknown,
    ]);
  setRow("running");
  catalog = await open();
  expect((await catalog.exports.recover()).interrupted).toMatchObject([{ exportId: unknown }]);
  expect(await catalog.exports.list(recordingId)).toMatchObject([{ exportId: known }]);
  expect(await stateOf(unknown)).toBeUndefined();
  expect(await catalog.exports.take()).toMatchObject({ exportId: known });
  expect(await catalog.exports.take()).toBeUndefined();
  const row = database.query("select state from export_jobs where export_id = ?").get(unknown);
  expect(row).toEqual({ state: "failed" });
  database.close();
});

test("the exports of a purged recording are forgotten", async () => {
  const exportId = await add();
  await catalog.markDeleted(recordingId, 3);
  await catalog.markPurged(recordingId);
  expect(await stateOf(exportId)).toBeUndefined();
  expect(await catalog.exports.take()).toBeUndefined();
});
