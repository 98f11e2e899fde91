import { expect, test } from "bun:test";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import { JOIN_BYTES_MAX, joinSegment } from "../../src/live/live-join.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const KEY = {
  recordingId: recordingIdSchema.parse(Bun.randomUUIDv7()),
  participantId: participantIdSchema.parse("ada"),
  trackId: trackIdSchema.parse("microphone"),
  segmentId: segmentIdSchema.parse(crypto.randomUUID()),
};

/** EBML header, Segment, one track of Opus, and a Cluster at 0; what follows are its blocks. */
const HEADER = Buffer.from(
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
/** It took minutes, and nobody else was served meanwhile. */
const AT_MOST_MS = 10_000;

test("joining sound takes a bearable time, also when hundreds of thousands of blocks have one time", async () => {
  await using directory = await temporaryDirectory();
  const store = new FileChunkStore(new RecordingsLayout(directory.path), () => {});
  const log = await store.create({ ...KEY, mimeType: "audio/webm", openedAtMs: 0 });
  // Of track 1 at 0, with a packet of Opus of one byte.
  const block = Buffer.from("a38581000080f8", "hex");
  const payload = Buffer.concat([HEADER, ...Array.from({ length: BLOCKS }, () => block)]);
  const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest();
  const times = { capturedAtMs: null, receivedAtMs: 0 };
  await log.append([{ sequence: 0, payload, sha256, ...times, marks: [] }]);
  const reader = await store.read(KEY.recordingId, KEY.segmentId);
  if (reader === undefined) throw new RangeError("There is no such segment");
  try {
    const fromMs = performance.now();
    const join = await joinSegment(reader, () => {});
    expect(join?.blocks.length).toBe(BLOCKS);
    expect(performance.now() - fromMs).toBeLessThan(AT_MOST_MS);
  } finally {
    await reader.close();
    await log.close();
  }
});

/** The same with one track of VP8. */
const PICTURES_HEADER = Buffer.from(
  [
    "1a45dfa3874282847765626d",
    "1853806701ffffffffffffff",
    "1654ae6b8fae8dd781018381018685565f565038",
  ].join(""),
  "hex",
);
const CHUNK_BYTES = 256 * 1024;

/** A Cluster at 0 with one picture of a certain size. */
function pictureChunk(isKey: boolean): Buffer {
  const block = Buffer.alloc(8 + CHUNK_BYTES);
  block[0] = 0xa3;
  // A size of three bytes begins with two zeros and a one.
  block.writeUIntBE(0x20_00_00 + 4 + CHUNK_BYTES, 1, 3);
  block.set([0x81, 0, 0, isKey ? 0x80 : 0], 4);
  return Buffer.concat([Buffer.from("1f43b67501ffffffffffffffe78100", "hex"), block]);
}

test.each([
  ["is found", 100, 101],
  ["is left alone behind more than a viewer is given", 2 * (JOIN_BYTES_MAX / CHUNK_BYTES), 0],
])("a keyframe far back %s", async (_, laterChunks, blocks) => {
  await using directory = await temporaryDirectory();
  const store = new FileChunkStore(new RecordingsLayout(directory.path), () => {});
  const log = await store.create({ ...KEY, mimeType: "video/webm", openedAtMs: 0 });
  const times = { capturedAtMs: null, receivedAtMs: 0, marks: [] };
  const later = pictureChunk(false);
  for (let sequence = 0; sequence <= laterChunks; sequence += 1) {
    const first = Buffer.concat([PICTURES_HEADER, pictureChunk(true)]);
    const payload = sequence === 0 ? first : later;
    const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest();
    await log.append([{ sequence, payload, sha256, ...times }]);
  }
  const reader = await store.read(KEY.recordingId, KEY.segmentId);
  if (reader === undefined) throw new RangeError("There is no such segment");
  try {
    const readFrom: number[] = [];
    const chunks = reader.chunks.bind(reader);
    reader.chunks = (onDamaged, options) => {
      if (options?.fromSequence !== undefined) readFrom.push(options.fromSequence);
      return chunks(onDamaged, options);
    };
    const join = await joinSegment(reader, () => {});
    expect(join?.tracks.video?.codecId).toBe("V_VP8");
    expect(join?.blocks.length).toBe(blocks);
    // Of hours nobody reads more than can be of use.
    const readBytesMax = (laterChunks + 1 - Math.min(...readFrom)) * later.length;
    expect(readBytesMax).toBeLessThan(JOIN_BYTES_MAX + later.length);
    const near = await joinSegment(reader, () => {}, false);
    expect(near?.blocks.length).toBe(0);
  } finally {
    await reader.close();
    await log.close();
  }
});
