import { Glob } from "bun";
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { exportListSchema, exportSchema } from "../../src/contract/exports.ts";
import { manifestSchema } from "../../src/contract/manifest.ts";
import type { Recording } from "../../src/contract/recordings.ts";
import { expectProblem } from "../http/expect-problem.ts";
import { finishedRecording } from "../http/finished-recording.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";
import { unzipped } from "../support/unzipped.ts";

const CAMERA = { participantId: "Ada", trackId: "camera" };

const deep = (levels: number) => `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;

/** What is written into the row of one recording each, as an older or newer server would have. */
const RECORDING_ROWS = {
  deep5000: ["UPDATE recordings SET metadata = ?1 WHERE recording_id = ?2", deep(5_000)],
  deep6500: ["UPDATE recordings SET metadata = ?1 WHERE recording_id = ?2", deep(6_500)],
  deep100: ["UPDATE recordings SET metadata = ?1 WHERE recording_id = ?2", deep(100)],
  brokenMetadata: ["UPDATE recordings SET metadata = ?1 WHERE recording_id = ?2", '{"a":'],
  listMetadata: ["UPDATE recordings SET metadata = ?1 WHERE recording_id = ?2", "[1]"],
  unknownState: ["UPDATE recordings SET state = ?1 WHERE recording_id = ?2", "archived"],
  textTime: ["UPDATE recordings SET started_at_ms = ?1 WHERE recording_id = ?2", "yesterday"],
  hugeTime: ["UPDATE recordings SET stopped_at_ms = ?1 WHERE recording_id = ?2", 1e300],
  blobName: ["UPDATE recordings SET name = ?1 WHERE recording_id = ?2", Buffer.from([0, 255])],
} as const;

/** As of a server that knows more causes of gaps. */
const ODD_TIMELINE =
  "UPDATE tracks SET result = json_set(result, '$.timeline.gaps', json('[{\"cause\":\"x\"}]')) WHERE recording_id = ?1";

/** The same for the rows of what belongs to the finished recording. */
const TRACK_ROWS = {
  brokenResult: ["UPDATE tracks SET result = ?1 WHERE recording_id = ?2", '{"verdict":"complete"'],
  oddResult: ["UPDATE tracks SET result = ?1 WHERE recording_id = ?2", deep(6_500)],
  unknownJob: ["UPDATE finalize_jobs SET state = ?1 WHERE recording_id = ?2", "paused"],
} as const;

let directory: TemporaryDirectory;
let server: TrackCaptureServer;
let api: RecordingsApi;
let neighbour: Recording;
/** By row; tests run in any order, so those that change a recording have one of their own. */
const recordings = new Map<string, string>();
const toDelete: string[] = [];
let brokenFolderId = "";
let oddDeletionId = "";
const exportIds: string[] = [];

const catalogue = () => new Database(join(directory.path, "catalog.sqlite"), { strict: true });
const idOf = (row: string) => recordings.get(row) ?? "";

const askForExport = async (recordingId: string, kind: string) => {
  const response = await fetch(`${server.url}/api/recordings/${recordingId}/exports`, {
    method: "POST",
    body: JSON.stringify({ kind }),
    headers: { "content-type": "application/json" },
  });
  return exportSchema.parse(await response.json()).exportId;
};

const start = async () => {
  server = await startServer({
    recordingsDirectory: directory.path,
    env: { STOP_GRACE_MS: "0", FINALIZE_RETRY_DELAY_MS: "50" },
  });
  api = new RecordingsApi(server.url);
};

beforeAll(async () => {
  directory = await temporaryDirectory();
  await start();
  neighbour = await finishedRecording(api, "neighbour", [CAMERA]);
  for (const row of Object.keys(RECORDING_ROWS)) {
    recordings.set(row, await api.start(row));
    toDelete.push(await api.start(row));
  }
  recordings.set("continued", await api.start("continued"));
  brokenFolderId = await api.start("brokenFolder");
  for (const row of [...Object.keys(TRACK_ROWS), "brokenManifest", "oddTimeline"]) {
    recordings.set(row, (await finishedRecording(api, row, [CAMERA])).recordingId);
  }
  oddDeletionId = (await finishedRecording(api, "oddDeletion", [CAMERA])).recordingId;
  for (const kind of ["aligned", "audio", "aligned", "audio"]) {
    const exportId = await askForExport(neighbour.recordingId, kind);
    exportIds.push(exportId);
    const url = `${server.url}/api/recordings/${neighbour.recordingId}/exports/${exportId}`;
    await until(
      async () => exportSchema.parse(await (await fetch(url)).json()).state === "done" || undefined,
      { what: "the export is done", timeoutMs: 60_000 },
    );
  }
  // Its metadata is found to be deep while a start takes its finalization up.
  recordings.set("queued", await api.start("queued"));
  await server.kill();
  using database = catalogue();
  for (const [row, [sql, value]] of Object.entries({ ...RECORDING_ROWS, ...TRACK_ROWS })) {
    database.run(sql, [value, idOf(row)]);
  }
  for (const [i, [sql, value]] of Object.values(RECORDING_ROWS).entries()) {
    database.run(sql, [value, toDelete[i] ?? ""]);
  }
  database.run(ODD_TIMELINE, [idOf("oddTimeline")]);
  database.run("UPDATE recordings SET deleted_at_ms = 'yesterday' WHERE recording_id = ?1", [
    oddDeletionId,
  ]);
  database.run(RECORDING_ROWS.deep6500[0], [deep(6_500), idOf("continued")]);
  database.run(
    "UPDATE recordings SET metadata = ?1, state = 'finalizing', stopped_at_ms = started_at_ms WHERE recording_id = ?2",
    [deep(6_500), idOf("queued")],
  );
  const [files, request, state, queued] = exportIds;
  database.run("UPDATE export_jobs SET files = ?1 WHERE export_id = ?2", ["[{", files ?? ""]);
  database.run("UPDATE export_jobs SET request = ?1 WHERE export_id = ?2", ["{", request ?? ""]);
  database.run("UPDATE export_jobs SET state = ?1 WHERE export_id = ?2", ["odd", state ?? ""]);
  database.run("UPDATE export_jobs SET state = 'queued', request = ?1 WHERE export_id = ?2", [
    deep(6_500),
    queued ?? "",
  ]);
  // Rows that nothing can name.
  database.run(
    "INSERT INTO recordings (recording_id, metadata, state, started_at_ms) VALUES ('zzz', '{}', 'recording', 1)",
  );
  database.run(
    "INSERT INTO tracks (recording_id, participant_id, track_id, position) VALUES (?1, '', 'x', 9)",
    [neighbour.recordingId],
  );
  database.run(
    `INSERT INTO finalize_jobs (recording_id, participant_id, track_id, state, attempts, again, queued_at_ms)
     VALUES (?1, '..', 'x', 'queued', 0, 0, 1)`,
    [neighbour.recordingId],
  );
  await Bun.write(join(directory.path, idOf("brokenManifest"), "manifest.json"), "{");
  await Bun.write(join(directory.path, brokenFolderId, "segments"), "no folder");
  await start();
}, 120_000);

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

test("the server starts, is ready, and lists every recording that has an ID", async () => {
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  const listed = (await api.list()).map(({ recordingId }): string => recordingId);
  expect(listed).toEqual(expect.arrayContaining([...recordings.values(), neighbour.recordingId]));
});

test("a page of the list goes past a row that has no ID", async () => {
  const response = await fetch(`${server.url}/api/recordings?limit=1`);
  expect(await response.json()).toMatchObject({
    recordings: [{ recordingId: idOf("queued") }],
    nextCursor: idOf("queued"),
  });
});

const showRow = (row: keyof typeof RECORDING_ROWS) => api.show(idOf(row));

test("a recording is shown with what can be read of it", async () => {
  for (const row of ["deep5000", "deep6500", "brokenMetadata", "listMetadata"] as const) {
    expect(await showRow(row)).toMatchObject({ name: row, state: "recording", metadata: {} });
  }
  expect((await showRow("deep100")).metadata).toEqual(JSON.parse(deep(100)));
  expect(await showRow("unknownState")).toMatchObject({
    state: "failed",
    reason: 'The catalogue has an unknown state of the recording: "archived".',
  });
  expect(await showRow("hugeTime")).toMatchObject({ stoppedAt: null });
  expect(await showRow("blobName")).toMatchObject({ name: null });
  // The ID holds the time of the start, too.
  const { startedAt } = await showRow("textTime");
  const others = [await showRow("unknownState"), await showRow("hugeTime")];
  expect(startedAt >= (others[0]?.startedAt ?? "")).toBe(true);
  expect(startedAt <= (others[1]?.startedAt ?? "")).toBe(true);
});

test("one with an unknown state is among the failed ones", async () => {
  const response = await fetch(`${server.url}/api/recordings?state=failed`);
  expect(await response.json()).toMatchObject({
    recordings: expect.arrayContaining([
      expect.objectContaining({ recordingId: idOf("unknownState") }),
    ]),
  });
});

test("a start finalizes a recording whose metadata cannot be read", async () => {
  expect(await api.ready(idOf("queued"))).toMatchObject({ name: "queued", metadata: {} });
});

test("recordings that run on can be recorded into, stopped and downloaded", async () => {
  const { mimeType, chunks } = await recordedSegment("h264-opus");
  const segmentId = crypto.randomUUID();
  const recordingId = idOf("continued");
  await api.upload({
    ...CAMERA,
    recordingId,
    segmentId,
    sequence: 0,
    mimeType,
    chunks: chunks.map(({ payload }) => payload),
  });
  await api.endSegment(recordingId, segmentId, chunks.length);
  await api.stop(recordingId);
  const recording = await api.ready(recordingId);
  expect(trackOf(recording, CAMERA).verdict).toBe("complete");
});

describe("a track", () => {
  test.each(["brokenResult", "oddResult", "unknownJob"] as const)(
    "whose row has %s has failed, and a retry makes its MP4 again",
    async (row) => {
      const recordingId = idOf(row);
      const failed = trackOf(await api.show(recordingId), CAMERA);
      expect(failed).toMatchObject({ state: "failed" });
      expect(failed.reason).toContain("The catalogue");
      const retried = await fetch(`${server.url}/api/recordings/${recordingId}/retry`, {
        method: "POST",
      });
      expect(retried.status).toBe(202);
      const track = trackOf(await api.ready(recordingId), CAMERA);
      expect(track).toMatchObject({ state: "ready", verdict: "complete" });
    },
    60_000,
  );
});

test("an MP4 of whose track only the timeline cannot be read is served", async () => {
  const recordingId = idOf("oddTimeline");
  const track = trackOf(await api.show(recordingId), CAMERA);
  expect(track).toMatchObject({ state: "ready", verdict: "complete", timeline: null });
  expect((await fetch(api.trackUrl({ recordingId, ...CAMERA }, "media.mp4"))).status).toBe(200);
});

test("the tracks and exports of a neighbour are as they were", async () => {
  const { participants } = await api.show(neighbour.recordingId);
  expect(participants).toEqual(neighbour.participants);
});

test("an export that cannot be read has failed or is not shown, and can be deleted", async () => {
  const url = `${server.url}/api/recordings/${neighbour.recordingId}/exports`;
  const [files, request, state, queued] = exportIds;
  const shown = exportListSchema.parse(await (await fetch(url)).json()).exports;
  expect(shown.map((it): string => it.exportId)).toEqual([state ?? "", files ?? ""]);
  for (const it of shown) {
    expect(it).toMatchObject({ state: "failed", files: [] });
    expect(it.reason).toContain("cannot be read");
  }
  for (const exportId of [files, request, state, queued]) {
    expect((await fetch(`${url}/${exportId}`, { method: "DELETE" })).status).toBe(204);
    await expectProblem(
      await fetch(`${url}/${exportId}`, { method: "DELETE" }),
      404,
      "export-not-found",
    );
  }
});

test("an archive whose manifest cannot be read has one that is made of the catalogue", async () => {
  const url = `${server.url}/api/recordings/${idOf("brokenManifest")}/download`;
  const entries = await unzipped(await fetch(url));
  expect([...entries.keys()]).toEqual(["Ada/camera.mp4", "manifest.json"]);
  const text = new TextDecoder().decode(entries.get("manifest.json"));
  const manifest = manifestSchema.parse(JSON.parse(text));
  expect(manifest.participants[0]?.tracks[0]?.media?.path).toBe("Ada/camera.mp4");
});

test("each is named in the log once", async () => {
  const rows = ["deep6500", "brokenMetadata", "unknownState", "brokenResult"];
  for (const row of [...rows, ...rows]) await api.show(idOf(row));
  const lines = server.stderr().split("\n");
  for (const row of rows) {
    const told = lines.filter(
      (line) =>
        line.includes('"msg":"a row of the catalogue cannot be read"') && line.includes(idOf(row)),
    );
    expect({ row, told: told.length }).toEqual({ row, told: 1 });
  }
});

test("a recording whose folder cannot be read is refused alone, and can be deleted", async () => {
  const url = `${server.url}/api/recordings/${brokenFolderId}`;
  await expectProblem(await fetch(url), 503, "storage-failed");
  expect(server.stderr()).toContain('"msg":"a recording cannot be loaded"');
  await fetch(`${url}/stop`, { method: "POST" });
  expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
  await expectProblem(await fetch(url), 404, "recording-not-found");
});

test("such a recording can be deleted", async () => {
  for (const recordingId of toDelete) {
    await api.stop(recordingId);
    const url = `${server.url}/api/recordings/${recordingId}`;
    expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
    await expectProblem(await fetch(url), 404, "recording-not-found");
  }
});

test("a recording whose deletion cannot be read is not shown, and keeps its files", async () => {
  const shown = await fetch(`${server.url}/api/recordings/${oddDeletionId}`);
  await expectProblem(shown, 404, "recording-not-found");
  const files = new Glob("**/*.{chunks,mp4}");
  expect(Array.from(files.scanSync(join(directory.path, oddDeletionId)))).toHaveLength(2);
});
