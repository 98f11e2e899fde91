import { afterEach, beforeEach, expect, test } from "bun:test";
import { JOIN_BYTES_MAX, JoinPoints } from "../../src/live/join-points.ts";
import { followedFrom, joinSegment } from "../../src/live/live-join.ts";
import { RecentChunks } from "../../src/live/recent-chunks.ts";
import { openSegment } from "../../src/live/segment-blocks.ts";
import type { SegmentLog, SegmentReader } from "../../src/recording/ports.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { newSegmentKey, oneKeyframeChunks, pictureChunk } from "./picture-chunks.ts";

const KEY = newSegmentKey();
const PICTURE_BYTES = 256 * 1024;

let directory: TemporaryDirectory;
let store: FileChunkStore;
let log: SegmentLog;
let chunks: RecentChunks;
let points: JoinPoints;
/** Chunks that searches have read, one after the other. */
let searched: number[];
/** Readers that are open. */
let readers: SegmentReader[];

beforeEach(async () => {
  directory = await temporaryDirectory();
  store = new FileChunkStore(new RecordingsLayout(directory.path), () => {});
  log = await store.create({ ...KEY, mimeType: "video/webm", openedAtMs: 0 });
  chunks = new RecentChunks();
  points = new JoinPoints(chunks);
  searched = [];
  readers = [];
});

afterEach(async () => {
  for (const reader of readers) await reader.close();
  await log.close();
  await directory[Symbol.asyncDispose]();
});

async function append(sequence: number, payload: Uint8Array): Promise<void> {
  const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest();
  const times = { capturedAtMs: null, receivedAtMs: 0 };
  await log.append([{ sequence, payload, sha256, ...times, marks: [] }]);
}

async function read(): Promise<SegmentReader> {
  const reader = await store.read(KEY.recordingId, KEY.segmentId);
  if (reader === undefined) throw new RangeError("There is no such segment");
  readers.push(reader);
  const readAll = reader.chunks.bind(reader);
  reader.chunks = async function* chunksOf(onDamaged, options) {
    for await (const chunk of readAll(onDamaged, options)) {
      searched.push(chunk.sequence);
      yield chunk;
    }
  };
  return reader;
}

/** The numbers of blocks in the pieces that a viewer gets who joins now and reads what is there. */
async function joined(): Promise<number[]> {
  const reader = await read();
  const found = await points.find(reader);
  const opened = await openSegment(reader, chunks);
  if (found?.point === undefined || opened === undefined) return [];
  const following = async function* following(fromSequence: number) {
    for await (const chunk of reader.chunks(() => {}, { fromSequence })) {
      yield { chunk, isAfterGap: false };
    }
  };
  const pieces = joinSegment(opened, found.point, following(followedFrom(opened, found.point)));
  return (await Array.fromAsync(pieces)).map(({ blocks }) => blocks.length);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** EBML header, Segment, one track of Opus, and a Cluster at 0; what follows are its blocks. */
const SOUND_HEADER = Buffer.from(
  [
    "1a45dfa3874282847765626d",
    "1853806701ffffffffffffff",
    "1654ae6b90ae8ed781018381028686415f4f505553",
    "1f43b67501ffffffffffffff",
    "e78100",
  ].join(""),
  "hex",
);
const BLOCKS = 200_000;

test("sound of hundreds of thousands of blocks with one time is parsed piece by piece", async () => {
  // Of track 1 at 0, with a packet of Opus of one byte.
  const block = Buffer.from("a38581000080f8", "hex");
  await append(0, Buffer.concat([SOUND_HEADER, ...Array.from({ length: BLOCKS }, () => block)]));
  const pieces = await joined();
  expect(sum(pieces)).toBe(BLOCKS);
  expect(Math.max(...pieces)).toBeLessThan(BLOCKS / 4);
});

test.each([
  ["is found", 100, 101],
  ["is left alone behind more than a viewer is given", 2 * (JOIN_BYTES_MAX / PICTURE_BYTES), 0],
])("a keyframe far back %s", async (_, laterChunks, blocks) => {
  let sequence = 0;
  for (const chunk of oneKeyframeChunks(laterChunks + 1, PICTURE_BYTES)) {
    await append(sequence++, chunk);
  }
  const found = await points.find(await read());
  expect(found?.tracks.video?.codecId).toBe("V_VP8");
  // Of hours nobody reads more than can be of use, and each chunk about once.
  expect(new Set(searched).size * PICTURE_BYTES).toBeLessThan(JOIN_BYTES_MAX + 2 * PICTURE_BYTES);
  expect(searched.length).toBeLessThan(new Set(searched).size + 20);
  expect(sum(await joined())).toBe(blocks);
});

test("all who join at once share one search, and the next reads only what is new", async () => {
  let sequence = 0;
  for (const chunk of oneKeyframeChunks(60, 1_000)) await append(sequence++, chunk);
  const reader = await read();
  const [first, ...others] = await Promise.all(
    Array.from({ length: 50 }, () => points.find(reader)),
  );
  expect(first?.point?.fromSequence).toBe(0);
  expect(others.every((found) => found === first)).toBe(true);
  expect(searched.length).toBeLessThan(80);

  searched = [];
  await append(60, pictureChunk(false, 1_000));
  expect((await points.find(await read()))?.point?.fromSequence).toBe(0);
  expect(searched).toEqual([59, 60]);
  searched = [];
  expect((await points.find(await read()))?.point?.fromSequence).toBe(0);
  expect(searched).toEqual([]);
  await append(61, pictureChunk(true, 1_000));
  await append(62, pictureChunk(false, 1_000));
  expect(sum(await joined())).toBe(2);
});

test("a keyframe that arrives late is found", async () => {
  const [first = Buffer.alloc(0), ...later] = oneKeyframeChunks(6, 1_000);
  await append(0, first.subarray(0, first.length - 1_100));
  for (const [i, chunk] of later.entries()) await append(i + 2, chunk);
  expect((await points.find(await read()))?.point).toBeUndefined();
  await append(1, pictureChunk(true, 1_000));
  expect(sum(await joined())).toBe(1 + later.length);
});
