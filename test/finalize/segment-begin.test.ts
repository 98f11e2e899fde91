import { afterEach, beforeEach, expect, test } from "bun:test";
import type { SegmentReader } from "../../src/recording/ports.ts";
import { inOrderOfBegin, segmentTimelineOf, witnessed } from "../../src/finalize/segment-begin.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { chunkOf, someSegment } from "../suites/chunk-store.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const DAY_MS = 24 * 3_600_000;

let directory: TemporaryDirectory;
let readers: SegmentReader[];

beforeEach(async () => {
  directory = await temporaryDirectory();
  readers = [];
});

afterEach(async () => {
  for (const reader of readers) await reader.close();
  await directory[Symbol.asyncDispose]();
});

/** A segment whose first chunk arrived when it was opened. */
async function segment(
  openedAtMs: number,
  capturedAtMs: number | null,
  firstSequence = 0,
): Promise<SegmentReader> {
  const store = new FileChunkStore(new RecordingsLayout(directory.path), () => undefined);
  const description = { ...someSegment(), openedAtMs };
  const log = await store.create(description);
  await log.append([
    { ...chunkOf(firstSequence, "a"), capturedAtMs, receivedAtMs: openedAtMs },
    { ...chunkOf(firstSequence + 1, "b"), receivedAtMs: openedAtMs },
  ]);
  await log.close();
  const reader = await store.read(description.recordingId, description.segmentId);
  if (reader === undefined) throw new Error("The segment is not there");
  readers.push(reader);
  return reader;
}

async function segmentBeginMs(reader: SegmentReader): Promise<number> {
  return segmentTimelineOf(await witnessed(reader), []).beginMs;
}

test("a segment that waited in a browser begins when it was captured", async () => {
  expect(await segmentBeginMs(await segment(100 * DAY_MS, 99 * DAY_MS))).toBe(99 * DAY_MS);
});

test.each([
  { why: "the client told no time", capturedAtMs: null, firstSequence: 0 },
  { why: "the client's clock is ahead", capturedAtMs: 101 * DAY_MS, firstSequence: 0 },
  { why: "the client's clock is that of another year", capturedAtMs: DAY_MS, firstSequence: 0 },
  { why: "the first chunk is missing", capturedAtMs: 99 * DAY_MS, firstSequence: 1 },
])("it begins when it was opened when $why", async ({ capturedAtMs, firstSequence }) => {
  const reader = await segment(100 * DAY_MS, capturedAtMs, firstSequence);
  expect(await segmentBeginMs(reader)).toBe(100 * DAY_MS);
});

test("segments that arrive in another order than they were captured are put in order", async () => {
  const second = await segment(100 * DAY_MS, 100 * DAY_MS - 2_000);
  const first = await segment(100 * DAY_MS + 10, 100 * DAY_MS - 8_000);
  const ordered = await inOrderOfBegin([second, first]);
  expect(ordered.map(({ reader }) => reader)).toEqual([first, second]);
});
