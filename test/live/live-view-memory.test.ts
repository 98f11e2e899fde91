import { afterEach, beforeEach, expect, test } from "bun:test";
import pino from "pino";
import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import { readConfig } from "../../src/config.ts";
import { recordingLimits } from "../../src/configured-limits.ts";
import { recordingIdSchema } from "../../src/contract/ids.ts";
import { LiveView } from "../../src/live/live-view.ts";
import type { SegmentKey } from "../../src/recording/ports.ts";
import { RecordingEngine } from "../../src/recording/recording-engine.ts";
import { ViewerBytes } from "../../src/recording/viewer-bytes.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { FileSystemSpace } from "../../src/storage/free-space.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { SystemClock } from "../../src/system-clock.ts";
import { newSegmentKey, oneKeyframeChunks } from "./picture-chunks.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PICTURE_BYTES = 128 * 1024;
const CHUNKS = 40;
const JOINS = 20;

let stack: AsyncDisposableStack;
let engine: RecordingEngine;
let live: LiveView;
/** Bytes of chunks that were read one by one for viewers; what a search reads is not kept. */
let readBytes: number;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory());
  const layout = new RecordingsLayout(path);
  const clock = new SystemClock();
  const catalog = await SqliteCatalog.open(layout.catalogPath, clock);
  stack.defer(() => catalog.close());
  const store = new FileChunkStore(layout, () => {});
  const log = pino({ level: "silent" });
  engine = new RecordingEngine({
    store,
    catalog,
    clock,
    freeSpace: new FileSystemSpace(path),
    limits: { ...recordingLimits(readConfig({})), freeSpaceBytesMin: 0 },
    log,
    newRecordingId: () => recordingIdSchema.parse(Bun.randomUUIDv7()),
  });
  await engine.start();
  stack.defer(() => engine.stop());
  readBytes = 0;
  const read = store.read.bind(store);
  store.read = async (...segment) => {
    const reader = await read(...segment);
    if (reader === undefined) return undefined;
    const readChunk = reader.chunk.bind(reader);
    reader.chunk = async (sequence) => {
      readBytes += reader.byteLengthOf(sequence) ?? 0;
      return readChunk(sequence);
    };
    return reader;
  };
  const viewerBytes = new ViewerBytes(2 * JOINS * PICTURE_BYTES);
  live = new LiveView({ engine, store, catalog, clock, viewerBytes, log });
  stack.defer(() => live.stop());
});

afterEach(() => stack.disposeAsync());

/** A running track whose only keyframe is far back. */
async function runningTrack(): Promise<SegmentKey> {
  const { recordingId } = await engine.startRecording({ metadata: {} });
  const key = newSegmentKey(recordingId);
  for (const [firstSequence, payload] of [...oneKeyframeChunks(CHUNKS, PICTURE_BYTES)].entries()) {
    await append(key, firstSequence, payload);
  }
  return key;
}

async function append(key: SegmentKey, firstSequence: number, payload: Uint8Array): Promise<void> {
  const chunk = { payload, claimedSha256: undefined, capturedAtMs: null, marks: [] };
  await engine.append({ ...key, mimeType: "video/webm", firstSequence, chunks: [chunk] });
}

test("a viewer who does not read has one chunk read for it, not all since the keyframe", async () => {
  const key = await runningTrack();
  const { body } = await live.open(key, () => {});
  const reader = body.getReader();
  // The header, and the first picture.
  for (let parts = 0; parts < 2; parts += 1) expect((await reader.read()).done).toBe(false);
  expect(readBytes).toBeLessThan(2 * PICTURE_BYTES);
  await reader.cancel();
});

test("a viewer who reads gets all since the keyframe, a chunk after the other", async () => {
  const key = await runningTrack();
  const { body } = await live.open(key, () => {});
  const reader = body.getReader();
  let bytes = 0;
  while (bytes < CHUNKS * PICTURE_BYTES) {
    bytes += (await reader.read()).value?.length ?? 0;
    // Never more than a chunk ahead of what it has taken.
    expect(readBytes - bytes).toBeLessThan(1.5 * PICTURE_BYTES);
  }
  await reader.cancel();
});

test("an upload that begins during a join is acknowledged before the join has been read through", async () => {
  const key = await runningTrack();
  const uploading = newSegmentKey(key.recordingId);
  const order: string[] = [];
  const half = Promise.withResolvers<void>();
  const isUploaded = Promise.withResolvers<void>();
  const joins = Array.from({ length: JOINS }, async () => {
    const { body } = await live.open(key, () => {});
    const reader = body.getReader();
    for (let bytes = 0; bytes < CHUNKS * PICTURE_BYTES;) {
      bytes += (await reader.read()).value?.length ?? 0;
      if (bytes > (CHUNKS * PICTURE_BYTES) / 2) {
        half.resolve();
        await isUploaded.promise;
      }
    }
    order.push("join");
    await reader.cancel();
  });
  await half.promise;
  const [payload = new Uint8Array()] = [...oneKeyframeChunks(1, PICTURE_BYTES)];
  await append(uploading, 0, payload);
  order.push("upload");
  isUploaded.resolve();
  await Promise.all(joins);
  expect(order).toEqual(["upload", ...joins.map(() => "join")]);
});
