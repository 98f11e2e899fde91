import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import pino from "pino";
import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import {
  type RecordingId,
  type SegmentId,
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import type { RecordingLimits } from "../../src/recording/limits.ts";
import {
  type AppendRequest,
  RecordingEngine,
  type RecoveryReport,
} from "../../src/recording/recording-engine.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { FileSystemSpace } from "../../src/storage/free-space.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { textOf } from "../suites/chunk-store.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const HEADER = "\x1a\x45\xdf\xa3header";
const LIMITS: RecordingLimits = {
  chunkBytesMax: 1_000,
  segmentPendingBytesMax: 4_000,
  totalPendingBytesMax: 8_000,
  segmentGapsMax: 3,
  recordingSegmentsMax: 3,
  freeSpaceBytesMin: 1,
  openSegmentsMax: 2,
  lateUploadWindowMs: 60_000,
};

function newSegmentId(): SegmentId {
  return segmentIdSchema.parse(crypto.randomUUID());
}

/** A header and a chunk that was paused at `atMs`. */
const withMarkAt = (atMs: number): Partial<AppendRequest> => ({
  chunks: [HEADER, "b"].map((text, i) => ({
    payload: Buffer.from(text, "latin1"),
    claimedSha256: undefined,
    capturedAtMs: null,
    marks: i === 0 ? [] : [{ type: "paused", atMs }],
  })),
});

describe("RecordingEngine", () => {
  let directory: TemporaryDirectory;
  let clock: ManualClock;
  let catalog: SqliteCatalog;
  let store: FileChunkStore;
  let engine: RecordingEngine;
  let report: RecoveryReport;
  let changes: RecordingId[];
  let recordingId: RecordingId;
  let segmentId: SegmentId;

  const start = async (): Promise<void> => {
    const layout = new RecordingsLayout(directory.path);
    catalog = await SqliteCatalog.open(layout.catalogPath, clock);
    store = new FileChunkStore(layout, () => undefined);
    engine = new RecordingEngine({
      store,
      catalog,
      clock,
      freeSpace: new FileSystemSpace(directory.path),
      limits: LIMITS,
      log: pino({ level: "silent" }),
      newRecordingId: () => recordingIdSchema.parse(Bun.randomUUIDv7()),
    });
    changes = [];
    engine.listen({
      recordingChanged: (changed) => changes.push(changed),
      recordingDeleted: () => Promise.resolve(),
    });
    report = await engine.start();
  };

  const stop = async (): Promise<void> => {
    await engine.stop();
    await catalog.close();
  };

  const request = (
    firstSequence: number,
    texts: readonly string[],
    change: Partial<AppendRequest> = {},
  ): AppendRequest => ({
    recordingId,
    participantId: participantIdSchema.parse("alice"),
    trackId: trackIdSchema.parse("camera"),
    segmentId,
    mimeType: "video/webm",
    firstSequence,
    chunks: texts.map((text) => ({
      payload: Buffer.from(text, "latin1"),
      claimedSha256: undefined,
      capturedAtMs: null,
      marks: [],
    })),
    ...change,
  });

  const storedText = async (): Promise<string> =>
    (await textOf(await store.read(recordingId, segmentId))).replace(/^.*header/su, "");

  beforeEach(async () => {
    directory = await temporaryDirectory();
    clock = new ManualClock();
    await start();
    ({ recordingId } = await engine.startRecording({ name: "A call" }));
    segmentId = newSegmentId();
  });

  afterEach(async () => {
    await stop();
    await directory[Symbol.asyncDispose]();
  });

  test("acknowledges chunks in any order and tells what is missing", async () => {
    expect(await engine.append(request(2, ["c"]))).toEqual({
      segmentId,
      nextSequence: 0,
      missing: [{ from: 0, to: 1 }],
      chunks: [{ sequence: 2, outcome: "accepted" }],
    });
    expect(await engine.append(request(0, [HEADER, "b"]))).toMatchObject({
      nextSequence: 3,
      missing: [],
    });
    expect(await storedText()).toBe("bc");
  });

  test("acknowledges a repeated chunk without storing it twice", async () => {
    await engine.append(request(0, [HEADER, "b"]));
    const again = await engine.append(request(1, ["b", "c"]));
    expect(again.chunks).toEqual([
      { sequence: 1, outcome: "duplicate" },
      { sequence: 2, outcome: "accepted" },
    ]);
    expect(await storedText()).toBe("bc");
  });

  test("keeps a chunk's marks with it, and those of a repeated chunk as they came first", async () => {
    await engine.append(request(0, [], withMarkAt(5)));
    const again = await engine.append(request(0, [], withMarkAt(6)));
    expect(again.chunks.map(({ outcome }) => outcome)).toEqual(["duplicate", "duplicate"]);
    await stop();
    await start();
    const reader = await store.read(recordingId, segmentId);
    expect(await reader?.marks()).toEqual([{ type: "paused", atMs: 5 }]);
    await reader?.close();
  });

  test("takes a request whole or not at all", async () => {
    await engine.append(request(0, [HEADER, "b"]));
    await expect(engine.append(request(1, ["other"]))).rejects.toMatchObject({
      code: "chunk-conflict",
    });
    await expect(engine.append(request(2, ["c", "x".repeat(1_001)]))).rejects.toMatchObject({
      code: "chunk-too-large",
    });
    expect(await engine.segmentStatus(recordingId, segmentId)).toMatchObject({ nextSequence: 2 });
    expect(await storedText()).toBe("b");
  });

  test("gives one of two simultaneous contradictions right, whatever their order", async () => {
    await engine.append(request(0, [HEADER]));
    const results = await Promise.allSettled([
      engine.append(request(1, ["one"])),
      engine.append(request(1, ["two"])),
      engine.append(request(1, ["one"])),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await storedText()).toBe("one");
  });

  test("keeps the bytes of many parallel uploads", async () => {
    await engine.append(request(0, [HEADER]));
    const sequences = Array.from({ length: 60 }, (_, i) => i + 1);
    const settled = await Promise.allSettled(
      sequences.map((sequence) => engine.append(request(sequence, [`<${sequence}>`]))),
    );
    expect(settled.filter(({ status }) => status === "rejected")).toEqual([]);
    expect(await storedText()).toBe(sequences.map((sequence) => `<${sequence}>`).join(""));
  });

  test("binds a segment to the track that opened it, but not one that was refused", async () => {
    await expect(engine.append(request(0, ["no header"]))).rejects.toMatchObject({
      code: "chunk-malformed",
    });
    await expect(engine.segmentStatus(recordingId, segmentId)).rejects.toMatchObject({
      code: "segment-not-found",
    });
    const bob = { participantId: participantIdSchema.parse("bob") };
    await engine.append(request(0, [HEADER], bob));
    await expect(engine.append(request(1, ["b"]))).rejects.toMatchObject({
      code: "chunk-conflict",
    });
    await engine.append(request(1, ["b"], bob));
  });

  test("ends a segment durably, and refuses a total that contradicts it", async () => {
    await engine.append(request(0, [HEADER]));
    await engine.append(request(2, ["c"]));
    await expect(engine.endSegment(recordingId, segmentId, 2)).rejects.toMatchObject({
      code: "chunk-conflict",
    });
    expect(await engine.endSegment(recordingId, segmentId, 4)).toMatchObject({
      ended: true,
      missing: [
        { from: 1, to: 1 },
        { from: 3, to: 3 },
      ],
    });
    await stop();
    await start();
    expect(await engine.segmentStatus(recordingId, segmentId)).toMatchObject({ ended: true });
    await expect(engine.append(request(4, ["e"]))).rejects.toMatchObject({
      code: "chunk-conflict",
    });
    await engine.append(request(3, ["d"]));
  });

  test("goes on after a restart where it was", async () => {
    await engine.append(request(0, [HEADER, "b"]));
    await stop();
    await start();
    expect(await engine.append(request(1, ["b", "c"]))).toMatchObject({ nextSequence: 3 });
    expect(await storedText()).toBe("bc");
    const [view] = await engine.segments(recordingId);
    expect(view).toMatchObject({ participantId: "alice", trackId: "camera", segmentId });
  });

  test("starts in spite of a segment that cannot be read, and keeps the others going", async () => {
    await engine.append(request(0, [HEADER]));
    const broken = newSegmentId();
    await engine.append(request(0, [HEADER], { segmentId: broken }));
    await stop();
    const path = new RecordingsLayout(directory.path).segmentPath(recordingId, broken);
    await Bun.write(path, "no chunk file any more");
    await start();
    expect(report).toMatchObject({ recordings: 1, segments: 1, unreadable: 1 });
    await engine.append(request(1, ["next"]));
    await expect(engine.append(request(1, ["next"], { segmentId: broken }))).rejects.toMatchObject({
      code: "storage-failed",
    });
    expect(await Bun.file(path).text()).toBe("no chunk file any more");
  });

  test("keeps more segments going than it may hold files open for", async () => {
    const ids = [newSegmentId(), newSegmentId(), newSegmentId()];
    for (const id of ids) await engine.append(request(0, [HEADER], { segmentId: id }));
    for (const sequence of [1, 2, 3]) {
      await Promise.all(
        ids.map((id) => engine.append(request(sequence, [`${sequence}`], { segmentId: id }))),
      );
    }
    for (segmentId of ids) expect(await storedText()).toBe("123");
    await expect(
      engine.append(request(0, [HEADER], { segmentId: newSegmentId() })),
    ).rejects.toMatchObject({ code: "over-quota" });
  });

  test("refuses what waits beyond the limit, and takes it later", async () => {
    await engine.append(request(0, [HEADER]));
    const big = "x".repeat(900);
    const settled = await Promise.allSettled(
      [1, 2, 3, 4, 5, 6].map((sequence) => engine.append(request(sequence, [big]))),
    );
    const refused = settled.filter((result) => result.status === "rejected");
    expect(refused.length).toBe(2);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ code: "overloaded", retryAfterMs: expect.any(Number) });
    }
    await engine.append(request(5, [big, big]));
    expect(await engine.segmentStatus(recordingId, segmentId)).toMatchObject({ nextSequence: 7 });
  });

  test("bounds the gaps of a segment", async () => {
    await engine.append(request(0, [HEADER]));
    for (const sequence of [2, 4, 6]) await engine.append(request(sequence, ["x"]));
    await expect(engine.append(request(8, ["x"]))).rejects.toMatchObject({ code: "over-quota" });
    await engine.append(request(1, ["x"]));
    await engine.append(request(8, ["x"]));
  });

  test("stops once, and takes late chunks for a while", async () => {
    await engine.append(request(0, [HEADER]));
    const stopped = await engine.stopRecording(recordingId);
    expect(stopped.state).toBe("finalizing");
    clock.advance(50_000);
    expect(await engine.stopRecording(recordingId)).toEqual(stopped);
    expect(changes).toEqual([recordingId]);
    await engine.append(request(1, ["late"]));
    await engine.endSegment(recordingId, segmentId, 2);
    expect(changes).toEqual([recordingId, recordingId, recordingId]);
    clock.advance(10_001);
    await expect(engine.append(request(2, ["too late"]))).rejects.toMatchObject({
      code: "recording-closed",
    });
  });

  test("deletes only what was stopped, with its files, for good", async () => {
    await engine.append(request(0, [HEADER]));
    await expect(engine.deleteRecording(recordingId)).rejects.toMatchObject({
      code: "recording-in-progress",
    });
    await engine.stopRecording(recordingId);
    await engine.deleteRecording(recordingId);
    expect(await Bun.file(join(directory.path, recordingId)).exists()).toBe(false);
    await expect(engine.deleteRecording(recordingId)).rejects.toMatchObject({
      code: "recording-not-found",
    });
    await expect(engine.append(request(1, ["b"]))).rejects.toMatchObject({
      code: "recording-closed",
    });
    await stop();
    await start();
    await expect(engine.append(request(1, ["b"]))).rejects.toMatchObject({
      code: "recording-closed",
    });
    expect(await store.list(recordingId)).toEqual([]);
  });

  test("finishes a deletion that a crash interrupted", async () => {
    await engine.append(request(0, [HEADER]));
    await engine.stopRecording(recordingId);
    await catalog.markDeleted(recordingId, clock.nowMs());
    await stop();
    await start();
    expect(await store.list(recordingId)).toEqual([]);
  });

  test("answers unknown recordings and segments as such", async () => {
    const unknown = recordingIdSchema.parse(Bun.randomUUIDv7());
    await expect(
      engine.append(request(0, [HEADER], { recordingId: unknown })),
    ).rejects.toMatchObject({ code: "recording-not-found" });
    await expect(engine.stopRecording(unknown)).rejects.toMatchObject({
      code: "recording-not-found",
    });
    await expect(engine.endSegment(recordingId, segmentId, 1)).rejects.toMatchObject({
      code: "segment-not-found",
    });
  });

  test("refuses new work while it stops", async () => {
    await engine.append(request(0, [HEADER]));
    await engine.stop();
    await expect(engine.append(request(1, ["b"]))).rejects.toMatchObject({
      code: "server-stopping",
    });
  });
});
