import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FRAME_HEADER_BYTES, decodeFrameHeader } from "../../src/storage/chunk-frame.ts";
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

/** A payload that is found in a file's bytes. */
function wordOf(sequence: number): string {
  return `${sequence},`;
}

/** Offsets of all index frames of a chunk file. */
async function indexFrames(path: string): Promise<number[]> {
  const bytes = await readFile(path);
  const offsets: number[] = [];
  for (let at = bytes.indexOf("TCF2"); at >= 0; at = bytes.indexOf("TCF2", at + 1)) {
    const header = decodeFrameHeader(bytes.subarray(at), undefined);
    if (header?.kind === "index") offsets.push(at);
  }
  return offsets;
}

/** Bytes that this process has read from files and sockets up to now (proc_pid_io(5)). */
async function bytesRead(): Promise<number> {
  return Number(/rchar: (\d+)/.exec(await readFile("/proc/self/io", "utf8"))?.[1]);
}

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

  test("with a tail of zeros, as a crash of the machine can leave it, loses only the tail", async () => {
    const { length } = await readFile(path);
    await truncate(path, length + 5_000);
    const log = await newStore().open(recordingId, segmentId);
    expect(log?.state.sequences.next).toBe(3);
    await log?.close();
    expect(found).toEqual(["torn tail cut off"]);
    expect((await readFile(path)).length).toBe(length);
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

  test("takes a chunk again that has rotted in the middle, instead of calling it a duplicate", async () => {
    const whole = await readFile(path);
    const offset = whole.indexOf("one");
    whole.write("0", offset);
    await writeFile(path, whole);
    const log = await newStore().open(recordingId, segmentId);
    expect(log?.state.sequences.next).toBe(3);
    expect(await log?.hashOf(0)).toEqual(chunkOf(0, "zero").sha256);
    expect(await log?.hashOf(1)).toBeUndefined();
    await log?.append([chunkOf(1, "one")]);
    await log?.close();
    expect(await readBack()).toBe("zeroonetwo");
  });

  test("without a readable description is refused, not emptied", async () => {
    const whole = await readFile(path);
    const damaged = Buffer.from(whole).fill(0, 0, whole.lastIndexOf("openedAtMs"));
    await writeFile(path, damaged);
    await expect(newStore().open(recordingId, segmentId)).rejects.toMatchObject({
      code: "storage-failed",
      // Not the disk, which an operator would change.
      message: expect.stringContaining(`${path} is empty, damaged at its beginning`),
    });
    expect((await readFile(path)).equals(damaged)).toBe(true);
  });

  test("with a damaged description is understood by its copy", async () => {
    const whole = await readFile(path);
    for (const byte of [0, 5, 40, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + 20]) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(byte) ^ 1, byte);
      await writeFile(path, damaged);
      expect(await readBack()).toBe("zeroonetwo");
    }
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

  describe("of many chunks", () => {
    const COUNT = 300;
    const allWords = Array.from({ length: COUNT }, (_, i) => wordOf(i)).join("");

    beforeEach(async () => {
      await rm(path);
      const log = await newStore().create(segment);
      for (let from = 0; from < COUNT; from += 10) {
        const chunks = Array.from({ length: 10 }, (_, i) => chunkOf(from + i, wordOf(from + i)));
        await log.append(chunks);
      }
      await log.end(COUNT);
      await log.close();
    });

    test("is found whole through its index, and goes on", async () => {
      expect((await indexFrames(path)).length).toBe(4);
      const log = await newStore().open(recordingId, segmentId);
      expect(log?.state.sequences.next).toBe(COUNT);
      expect(log?.state.chunkCount).toBe(COUNT);
      expect(log?.state.lastChunkAtMs).toBe(2_000);
      expect(log?.state.bytes).toBe(allWords.length);
      await log?.close();
      expect(await readBack()).toBe(allWords);
      expect(found).toEqual([]);
    });

    test("with a damaged index is found whole through its frames, and indexed anew", async () => {
      for (const offset of await indexFrames(path)) {
        const whole = await readFile(path);
        whole.writeUInt8(whole.readUInt8(offset + FRAME_HEADER_BYTES + 30) ^ 4, offset + 122);
        await writeFile(path, whole);
        expect(await readBack()).toBe(allWords);
        const log = await newStore().open(recordingId, segmentId);
        expect(log?.state.sequences.next).toBe(COUNT);
        await log?.append([chunkOf(COUNT, "!")]);
        await log?.close();
        expect(await readBack()).toBe(`${allWords}!`);
        await writeFile(path, whole.subarray(0, whole.length));
      }
    });

    test("with a damaged header before its index names the chunk instead of losing it", async () => {
      const whole = await readFile(path);
      const offset = whole.indexOf(wordOf(17)) - 10;
      whole.writeUInt8(whole.readUInt8(offset) ^ 16, offset);
      await writeFile(path, whole);
      expect(await readBack()).toBe(`${allWords.replace("17,", "")}[17]`);
    });

    test("is opened by reading little of it", async () => {
      const log = await newStore().open(recordingId, segmentId);
      for (let from = COUNT; from < COUNT + 640; from += 64) {
        await log?.append(
          Array.from({ length: 64 }, (_, i) => chunkOf(from + i, "x".repeat(64 * 1024))),
        );
      }
      await log?.append([chunkOf(COUNT + 640, "last")]);
      await log?.close();
      const before = await bytesRead();
      const again = await newStore().open(recordingId, segmentId);
      expect((await bytesRead()) - before).toBeLessThan(1024 * 1024);
      expect(again?.state.sequences.next).toBe(COUNT + 641);
      await again?.close();
    });
  });

  test("whose making was cut short is cleared away", async () => {
    await writeFile(`${path}.tmp`, "TCF2");
    expect(await newStore().removeUnfinished(recordingId)).toBe(1);
    expect(await newStore().list(recordingId)).toEqual([segmentId]);
    expect(await newStore().removeUnfinished(recordingId)).toBe(0);
    expect(await readBack()).toBe("zeroonetwo");
  });
});
