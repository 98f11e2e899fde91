import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import type { RecordingRecord, TrackKey, TrackResult } from "../../src/recording/ports.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const RESULT: TrackResult = {
  verdict: "degraded",
  reason: "Chunk 3 is missing.",
  media: null,
  segments: [],
  damage: [],
  timeline: {
    offsetMs: 12.5,
    durationMs: 1_000,
    segments: [],
    gaps: [{ cause: "paused", streams: ["video"], fromMs: 500, toMs: 700 }],
  },
};

describe("SqliteCatalog", () => {
  let directory: TemporaryDirectory;
  let clock: ManualClock;
  let catalog: SqliteCatalog;

  const reopen = async (): Promise<void> => {
    await catalog.close();
    catalog = await SqliteCatalog.open(join(directory.path, "catalog.sqlite"), clock);
  };

  const addRecording = async (change: Partial<RecordingRecord> = {}): Promise<RecordingRecord> => {
    clock.advance(1);
    const record: RecordingRecord = {
      recordingId: recordingIdSchema.parse(Bun.randomUUIDv7("hex", clock.nowMs())),
      name: null,
      metadata: {},
      state: "recording",
      reason: null,
      startedAtMs: clock.nowMs(),
      stoppedAtMs: null,
      finalizedAtMs: null,
      deletedAtMs: null,
      ...change,
    };
    await catalog.addRecording(record);
    return record;
  };

  const addTrack = async (track = "camera"): Promise<TrackKey> => {
    const { recordingId } = await addRecording();
    const key = {
      recordingId,
      participantId: participantIdSchema.parse("alice"),
      trackId: trackIdSchema.parse(track),
    };
    await catalog.addTracks([key]);
    return key;
  };

  beforeEach(async () => {
    directory = await temporaryDirectory();
    clock = new ManualClock();
    catalog = await SqliteCatalog.open(join(directory.path, "catalog.sqlite"), clock);
  });

  afterEach(async () => {
    await catalog.close();
    await directory[Symbol.asyncDispose]();
  });

  test("keeps recordings across a restart", async () => {
    const record = await addRecording({ name: "Weekly ✓", metadata: { room: [1, null, "a"] } });
    await reopen();
    expect(await catalog.findRecording(record.recordingId)).toEqual(record);
  });

  test("lists newest first, page by page, by state and by part of the name", async () => {
    const names = ["Alpha one", "beta", "alpha two", "Alpha 100%"];
    for (const name of names) await addRecording({ name });
    const first = await catalog.listRecordings({ limit: 3 });
    expect(first.recordings.map(({ name }) => name)).toEqual(["Alpha 100%", "alpha two", "beta"]);
    const rest = await catalog.listRecordings({ limit: 3, cursor: first.nextCursor ?? undefined });
    expect(rest.recordings.map(({ name }) => name)).toEqual(["Alpha one"]);
    expect(rest.nextCursor).toBeNull();

    const found = await catalog.listRecordings({ limit: 9, q: "ALPHA" });
    expect(found.recordings).toHaveLength(3);
    expect((await catalog.listRecordings({ limit: 9, q: "0%" })).recordings).toHaveLength(1);
    expect((await catalog.listRecordings({ limit: 9, q: "%" })).recordings).toHaveLength(1);
    expect((await catalog.listRecordings({ limit: 9, state: "ready" })).recordings).toEqual([]);
  });

  test("moves a recording only forward", async () => {
    const { recordingId } = await addRecording();
    const stopped = await catalog.advanceRecording(recordingId, "finalizing", {
      atMs: 10,
      reason: null,
    });
    expect(stopped).toMatchObject({ state: "finalizing", stoppedAtMs: 10, finalizedAtMs: null });
    await catalog.advanceRecording(recordingId, "failed", { atMs: 20, reason: "No." });
    const again = await catalog.advanceRecording(recordingId, "finalizing", {
      atMs: 30,
      reason: null,
    });
    expect(again).toMatchObject({ state: "failed", reason: "No.", stoppedAtMs: 10 });
    const ready = await catalog.advanceRecording(recordingId, "ready", { atMs: 40, reason: null });
    expect(ready).toMatchObject({ state: "ready", reason: null, finalizedAtMs: 40 });
  });

  test("hides a deleted recording but remembers that it was", async () => {
    const key = await addTrack();
    await catalog.jobs.enqueue(key);
    await catalog.markDeleted(key.recordingId, 99);
    await reopen();
    expect((await catalog.listRecordings({ limit: 9 })).recordings).toEqual([]);
    expect(await catalog.deletedNotPurged()).toEqual([key.recordingId]);
    await catalog.markPurged(key.recordingId);
    expect(await catalog.deletedNotPurged()).toEqual([]);
    expect(await catalog.tracks(key.recordingId)).toEqual([]);
    expect(await catalog.jobs.jobs(key.recordingId)).toEqual([]);
    expect((await catalog.findRecording(key.recordingId))?.deletedAtMs).toBe(99);
  });

  test("keeps tracks in the order of their addition, each once, with result and job", async () => {
    const key = await addTrack("screen");
    await catalog.addTracks([{ ...key, trackId: trackIdSchema.parse("camera") }]);
    await catalog.addTracks([key]);
    await catalog.saveTrackResult(key, RESULT);
    await catalog.jobs.enqueue(key);
    await reopen();
    const [screen, camera, ...others] = await catalog.tracks(key.recordingId);
    expect(screen).toMatchObject({ trackId: "screen", result: RESULT, job: { state: "queued" } });
    expect(camera).toMatchObject({ trackId: "camera", result: null, job: null });
    expect(others).toEqual([]);
  });

  test("reads results of servers that knew no timeline", async () => {
    const key = await addTrack();
    await catalog.saveTrackResult(key, RESULT);
    await catalog.close();
    using database = new Database(join(directory.path, "catalog.sqlite"));
    database.run("UPDATE tracks SET result = json_remove(result, '$.timeline')");
    await reopen();
    const [track] = await catalog.tracks(key.recordingId);
    expect(track?.result).toEqual({ ...RESULT, timeline: null });
  });

  test("gives jobs out oldest first, each once", async () => {
    const first = await addTrack();
    clock.advance(1);
    const second = await addTrack();
    await catalog.jobs.enqueue(first);
    clock.advance(1);
    await catalog.jobs.enqueue(second);
    await catalog.jobs.enqueue(first);
    expect(await catalog.jobs.take()).toMatchObject({ ...first, state: "running", attempts: 1 });
    expect(await catalog.jobs.take()).toMatchObject({ ...second, attempts: 1 });
    expect(await catalog.jobs.take()).toBeUndefined();
  });

  test("gives recordings turns, so that one with many tracks does not hold the next one back", async () => {
    const { recordingId, participantId } = await addTrack();
    const tracks = ["camera", "screen", "microphone"].map((name) => {
      return { recordingId, participantId, trackId: trackIdSchema.parse(name) };
    });
    await catalog.addTracks(tracks);
    await catalog.jobs.enqueueAll(tracks);
    clock.advance(1);
    const small = await addTrack("only");
    expect(await catalog.jobs.take()).toMatchObject({ trackId: "camera" });
    await catalog.jobs.enqueue(small);
    const order = [];
    for (let job = await catalog.jobs.take(); job !== undefined; job = await catalog.jobs.take()) {
      order.push(job.trackId);
    }
    expect(order.map(String)).toEqual(["screen", "only", "microphone"]);
    expect(await catalog.jobs.hasOpenJobs(small.recordingId)).toBeTrue();
    await catalog.jobs.finish(small, { state: "done" });
    expect(await catalog.jobs.hasOpenJobs(small.recordingId)).toBeFalse();
    expect(await catalog.track(small)).toMatchObject({ ...small, job: { state: "done" } });
  });

  test("runs a job once more that was asked for while it ran", async () => {
    const key = await addTrack();
    await catalog.jobs.enqueue(key);
    await catalog.jobs.take();
    await catalog.jobs.enqueue(key);
    expect(await catalog.jobs.finish(key, { state: "done" })).toBe("again");
    expect(await catalog.jobs.take()).toMatchObject({ attempts: 1 });
    expect(await catalog.jobs.finish(key, { state: "done" })).toBe("ended");
    expect(await catalog.jobs.take()).toBeUndefined();
  });

  test("counts the attempts of a job that is retried, and starts anew when it is asked for anew", async () => {
    const key = await addTrack();
    await catalog.jobs.enqueue(key);
    await catalog.jobs.take();
    await catalog.jobs.retry(key, "The disk failed.");
    expect(await catalog.jobs.take()).toMatchObject({ attempts: 2, error: "The disk failed." });
    await catalog.jobs.finish(key, { state: "failed", error: "It failed again." });
    expect(await catalog.jobs.jobs(key.recordingId)).toMatchObject([
      { state: "failed", error: "It failed again." },
    ]);
    await catalog.jobs.enqueue(key);
    expect(await catalog.jobs.take()).toMatchObject({ attempts: 1, error: null });
  });

  test("queues again what a crash interrupted", async () => {
    const key = await addTrack();
    await catalog.jobs.enqueue(key);
    await catalog.jobs.take();
    catalog.jobs.reportProgress(key, 0.5);
    expect(await catalog.jobs.jobs(key.recordingId)).toMatchObject([{ progress: 0.5 }]);
    await reopen();
    expect(await catalog.jobs.requeueInterrupted()).toEqual([key]);
    expect(await catalog.jobs.take()).toMatchObject({ ...key, attempts: 2, progress: 0 });
  });

  test("does not open a newer server's catalogue, and says so", async () => {
    await catalog.close();
    const path = join(directory.path, "catalog.sqlite");
    using database = new Database(path);
    database.run("INSERT INTO kysely_migration VALUES ('9999-newer', '2099-01-01T00:00:00Z')");
    const opening = SqliteCatalog.open(path, clock);
    await expect(opening).rejects.toThrow(/a newer server may have written it: .*9999-newer/);
    database.run("DELETE FROM kysely_migration WHERE name = '9999-newer'");
    catalog = await SqliteCatalog.open(path, clock);
  });

  test("does not open what is no catalogue", async () => {
    const path = join(directory.path, "other.sqlite");
    await writeFile(path, "not a database, but long enough to be looked at".repeat(100));
    await expect(SqliteCatalog.open(path, clock)).rejects.toMatchObject({
      code: "storage-failed",
    });
  });
});
