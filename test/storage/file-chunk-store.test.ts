import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FRAME_HEADER_BYTES } from "../../src/storage/chunk-frame.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { chunkOf, describeChunkStore, someSegment, textOf } from "../suites/chunk-store.ts";

describeChunkStore("FileChunkStore", async () => {
  const directory = await mkdtemp(join(tmpdir(), "chunk-store-"));
  return {
    open: () => new FileChunkStore(new RecordingsLayout(directory), () => undefined),
    remove: () => rm(directory, { recursive: true }),
  };
});

describe("a chunk file", () => {
  const segment = someSegment();
  const { recordingId, segmentId } = segment;
  let directory: string;
  let layout: RecordingsLayout;
  let found: string[];
  let path: string;

  const newStore = (): FileChunkStore =>
    new FileChunkStore(layout, (finding) => found.push(finding));

  const readBack = async (): Promise<string> =>
    textOf(await newStore().read(recordingId, segmentId));

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "chunk-file-"));
    layout = new RecordingsLayout(directory);
    found = [];
    path = layout.segmentPath(recordingId, segmentId);
    const log = await newStore().create(segment);
    await log.append([chunkOf(0, "zero")]);
    await log.append([chunkOf(1, "one")]);
    await log.append([chunkOf(2, "two")]);
    await log.close();
  });

  afterEach(() => rm(directory, { recursive: true }));

  test("cut at any byte is recovered to the frames before the cut, and goes on", async () => {
    const whole = await readFile(path);
    const frameEnds = [whole.length];
    for (const byteLength of [3, 3, 4]) {
      frameEnds.unshift((frameEnds[0] ?? 0) - FRAME_HEADER_BYTES - byteLength);
    }
    const words = ["zero", "one", "two"];
    for (let cut = frameEnds[0] ?? 0; cut <= whole.length; cut += 1) {
      await writeFile(path, whole.subarray(0, cut));
      const there = words.slice(0, frameEnds.filter((end) => end <= cut).length - 1);
      const log = await newStore().open(recordingId, segmentId);
      expect(log?.state.sequences.count).toBe(there.length);
      await log?.append([chunkOf(9, "!")]);
      await log?.close();
      expect(await readBack()).toBe(`${there.join("")}!`);
    }
  });

  test("with a tail of zeros, as a crash of the machine can leave it, loses only the tail", async () => {
    const { length } = await readFile(path);
    await truncate(path, length + 5_000);
    const log = await newStore().open(recordingId, segmentId);
    expect(log?.state.sequences.next).toBe(3);
    await log?.close();
    expect(found).toEqual(["torn tail cut off"]);
    expect((await readFile(path)).length).toBe(length);
  });

  test("with any bit flipped never gives wrong bytes, and keeps the frames around it", async () => {
    const whole = await readFile(path);
    const start = whole.length - 10 - 3 * FRAME_HEADER_BYTES;
    for (let byte = start; byte < whole.length; byte += 1) {
      const flipped = Buffer.from(whole);
      flipped.writeUInt8(flipped.readUInt8(byte) ^ (1 << (byte % 8)), byte);
      await writeFile(path, flipped);
      const text = await readBack();
      expect(["onetwo", "zerotwo", "zeroone"]).toContain(text);
    }
  });

  test("with a damaged chunk takes it again", async () => {
    const handle = await open(path, "r+");
    const { size } = await handle.stat();
    await handle.write(Buffer.from("X"), 0, 1, size - 1);
    await handle.close();
    const log = await newStore().open(recordingId, segmentId);
    expect(log?.state.sequences.next).toBe(2);
    await log?.append([chunkOf(2, "two")]);
    await log?.close();
    expect(await readBack()).toBe("zeroonetwo");
  });

  test("without a readable description is refused, not emptied", async () => {
    const whole = await readFile(path);
    await writeFile(path, whole.subarray(10));
    await expect(newStore().open(recordingId, segmentId)).rejects.toMatchObject({
      code: "storage-failed",
    });
    expect((await readFile(path)).length).toBe(whole.length - 10);
  });

  test("is read beside its writer only as far as it is durable", async () => {
    const store = newStore();
    const log = await store.open(recordingId, segmentId);
    const handle = await open(path, "a");
    await handle.write("bytes of a write that is not synced yet");
    await handle.close();
    const reader = await store.read(recordingId, segmentId);
    expect(reader?.state.sequences.next).toBe(3);
    expect(await textOf(reader)).toBe("zeroonetwo");
    await log?.close();
  });
});
