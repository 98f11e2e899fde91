import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import { type Mark, MARKS_PER_CHUNK_MAX } from "../../src/contract/marks.ts";
import type {
  ChunkStore,
  NewChunk,
  SegmentDescription,
  SegmentReader,
} from "../../src/recording/ports.ts";

/** A store that is under test, over the same files each time it is opened. */
export interface ChunkStoreBed {
  /** Opens the store as a new process would. */
  open(): ChunkStore;
  /** Removes everything. */
  remove(): Promise<void>;
}

/** A chunk whose payload is `text`. */
export function chunkOf(sequence: number, text: string, marks: readonly Mark[] = []): NewChunk {
  const payload = new TextEncoder().encode(text);
  const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest();
  const capturedAtMs = 1_000 + sequence;
  return { sequence, payload, sha256, capturedAtMs, receivedAtMs: 2_000, marks };
}

/** A segment of its own. */
export function someSegment(): SegmentDescription {
  return {
    recordingId: recordingIdSchema.parse(Bun.randomUUIDv7()),
    participantId: participantIdSchema.parse("../alice@example.com"),
    trackId: trackIdSchema.parse("camera"),
    segmentId: segmentIdSchema.parse(crypto.randomUUID()),
    mimeType: "video/webm;codecs=vp9,opus",
    openedAtMs: 1_700_000_000_000,
  };
}

/** All payloads of a reader in one text; damaged sequences as `[n]`. Closes the reader. */
export async function textOf(reader: SegmentReader | undefined): Promise<string> {
  if (reader === undefined) return "";
  const damaged: number[] = [];
  const parts: Buffer[] = [];
  for await (const payload of reader.payloads((sequence) => damaged.push(sequence))) {
    parts.push(Buffer.from(payload));
  }
  await reader.close();
  return Buffer.concat(parts).toString() + damaged.map((sequence) => `[${sequence}]`).join("");
}

/** What every implementation of `ChunkStore` must do. */
export function describeChunkStore(name: string, makeBed: () => Promise<ChunkStoreBed>): void {
  describe(`${name} as a chunk store`, () => {
    let bed: ChunkStoreBed;
    let store: ChunkStore;
    const segment = someSegment();
    const { recordingId, segmentId } = segment;

    beforeEach(async () => {
      bed = await makeBed();
      store = bed.open();
    });

    afterEach(() => bed.remove());

    test("gives chunks back in order of sequence, whatever the order of their arrival", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(2, "c"), chunkOf(0, "a")]);
      await log.append([chunkOf(1, "")]);
      await log.append([chunkOf(3, "d")]);
      expect(log.state.sequences.next).toBe(4);
      expect(log.state.bytes).toBe(3);
      expect(await textOf(await store.read(recordingId, segmentId))).toBe("acd");
      await log.close();
    });

    test("finds everything again as a new process", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(0, "first"), chunkOf(5, "sixth")]);
      await log.end(6);
      await log.close();

      store = bed.open();
      expect(await store.list(recordingId)).toEqual([segmentId]);
      const reopened = await store.open(recordingId, segmentId);
      expect(reopened?.description).toEqual(segment);
      expect(reopened?.state.sequences.missing()).toEqual([{ from: 1, to: 4 }]);
      expect(reopened?.state.chunkCount).toBe(6);
      expect(reopened?.state.lastChunkAtMs).toBe(2_000);
      expect(await reopened?.hashOf(5)).toEqual(chunkOf(5, "sixth").sha256);
      expect(await reopened?.hashOf(1)).toBeUndefined();
      await reopened?.append([chunkOf(1, "second")]);
      expect(await textOf(await store.read(recordingId, segmentId))).toBe("firstsecondsixth");
      await reopened?.close();
    });

    test("gives chunks from a sequence on", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(0, "a"), chunkOf(1, "b"), chunkOf(4, "e"), chunkOf(5, "f")]);
      await log.close();
      const reader = await store.read(recordingId, segmentId);
      const sequences = async (from: number): Promise<number[]> => {
        const chunks = await Array.fromAsync(
          reader?.chunks(() => {}, { fromSequence: from }) ?? [],
        );
        return chunks.map(({ sequence }) => sequence);
      };
      expect(await sequences(1)).toEqual([1, 4, 5]);
      expect(await sequences(2)).toEqual([4, 5]);
      expect(await sequences(6)).toEqual([]);
      await reader?.close();
    });

    test("lends each payload until the next one is asked for", async () => {
      const log = await store.create(segment);
      const texts = ["first", "b", "the third", "", "fifth"];
      await log.append(texts.map((text, sequence) => chunkOf(sequence, text)));
      await log.close();
      const reader = await store.read(recordingId, segmentId);
      const lent: string[] = [];
      for await (const { payload } of reader?.chunks(() => {}, { lendsPayloads: true }) ?? []) {
        lent.push(Buffer.from(payload).toString());
      }
      expect(lent).toEqual(texts);
      await reader?.close();
    });

    test("gives stamps in order of sequence", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(1, "bb"), chunkOf(0, "a")]);
      await log.close();
      const reader = await store.read(recordingId, segmentId);
      expect(await Array.fromAsync(reader?.stamps() ?? [])).toEqual([
        { sequence: 0, byteLength: 1, capturedAtMs: 1_000, receivedAtMs: 2_000 },
        { sequence: 1, byteLength: 2, capturedAtMs: 1_001, receivedAtMs: 2_000 },
      ]);
      await reader?.close();
    });

    test("gives chunks with their sequences, empty ones too", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(0, "a"), chunkOf(4, ""), chunkOf(2, "c")]);
      const reader = await store.read(recordingId, segmentId);
      const chunks = await Array.fromAsync(reader?.chunks(() => undefined) ?? []);
      expect(chunks.map(({ sequence, payload }) => [sequence, payload.length])).toEqual([
        [0, 1],
        [2, 1],
        [4, 0],
      ]);
      await reader?.close();
      await log.close();
    });

    test("gives marks in order of sequence, also of empty chunks, and as a new process", async () => {
      const log = await store.create(segment);
      const began = { type: "began", atMs: 5, reason: "start", pictures: null } as const;
      const muted = { type: "muted", atMs: 5.25, stream: "audio" } as const;
      const ended = { type: "ended", atMs: 9 } as const;
      await log.append([chunkOf(2, "", [ended]), chunkOf(0, "a", [began, muted])]);
      await log.append([chunkOf(1, "b")]);
      const expected: readonly Mark[] = [began, muted, ended];
      const beside = await store.read(recordingId, segmentId);
      expect(await beside?.marks()).toEqual(expected);
      await beside?.close();
      await log.close();
      const reader = await bed.open().read(recordingId, segmentId);
      expect(await reader?.marks()).toEqual(expected);
      expect(await reader?.marks(1)).toEqual([began]);
      expect(await textOf(reader)).toBe("ab");
    });

    test("keeps the longest marks that the contract allows, of more chunks than are written at once", async () => {
      const log = await store.create(segment);
      const longest = Array.from({ length: MARKS_PER_CHUNK_MAX }, (): Mark => ({
        type: "began",
        atMs: 1_234_567_890_123.456,
        reason: "\u0000".repeat(64),
        pictures: "continuous",
      }));
      const count = 600;
      await log.append(Array.from({ length: count }, (_, i) => chunkOf(i, "x", longest)));
      await log.close();
      const reader = await bed.open().read(recordingId, segmentId);
      const marks = await reader?.marks();
      expect(marks?.length).toBe(count * longest.length);
      expect(marks?.slice(-longest.length)).toEqual(longest);
      expect(await textOf(reader)).toBe("x".repeat(count));
    });

    test("goes on after it was suspended", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(0, "a")]);
      await log.suspend();
      await log.append([chunkOf(1, "b")]);
      await log.suspend();
      expect(await log.hashOf(1)).toEqual(chunkOf(1, "b").sha256);
      expect(await textOf(await store.read(recordingId, segmentId))).toBe("ab");
      await log.close();
    });

    test("writes more chunks at once than one system call takes", async () => {
      const log = await store.create(segment);
      const chunks = Array.from({ length: 1_500 }, (_, i) => chunkOf(i, `${i},`));
      await log.append(chunks);
      expect(log.state.sequences.next).toBe(1_500);
      expect(await textOf(await store.read(recordingId, segmentId))).toBe(
        chunks.map((_, i) => `${i},`).join(""),
      );
      await log.close();
    });

    test("a reader that stops early leaves nothing behind", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(0, "a"), chunkOf(1, "b"), chunkOf(2, "c")]);
      const reader = await store.read(recordingId, segmentId);
      for await (const payload of reader?.payloads(() => undefined) ?? []) {
        expect(payload.length).toBe(1);
        break;
      }
      await reader?.close();
      await log.close();
    });

    test("knows nothing of segments that are not there", async () => {
      expect(await store.open(recordingId, segmentId)).toBeUndefined();
      expect(await store.read(recordingId, segmentId)).toBeUndefined();
      expect(await store.list(recordingId)).toEqual([]);
    });

    test("deletes a recording, and one that is not there", async () => {
      const log = await store.create(segment);
      await log.append([chunkOf(0, "a")]);
      await log.close();
      await store.deleteRecording(recordingId);
      expect(await store.list(recordingId)).toEqual([]);
      await store.deleteRecording(recordingId);
    });
  });
}
