import { expect, test } from "bun:test";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import { joinSegment } from "../../src/live/live-join.ts";
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
