import { describe, expect, test } from "bun:test";
import { open } from "node:fs/promises";
import { FRAME_HEADER_BYTES } from "../../src/storage/chunk-frame.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import {
  ChunkFileBed,
  type FoundFrame,
  plainMarks,
  textWithForeignFrame,
  type WriteStep,
} from "./support/chunk-file-bed.ts";
import { reportCampaign } from "./support/report-campaign.ts";

/** Enough for an index frame and frames behind it. */
const CHUNKS = 80;
const CHUNK_COUNT = 123;
const ALL_BITS = [0, 1, 2, 3, 4, 5, 6, 7] as const;
/** The bits of a byte that are flipped: in the short form one of them, another one in each byte. */
const bitsOf = (byte: number): readonly number[] =>
  campaign<readonly number[]>({ short: [byte % 8], long: ALL_BITS });
/** Every which chunk's frame is flipped, beside the frames of other kinds. */
const SAMPLED_CHUNKS = campaign({ short: 32, long: 4 });

function writeSteps(): WriteStep[] {
  const texts = Array.from({ length: CHUNKS }, (_, sequence) => `${sequence};`);
  // Flips in the frames around them send the search for the next frame through their payloads.
  for (const sequence of [16, 64, CHUNKS - 2]) texts[sequence] = textWithForeignFrame();
  const steps: WriteStep[] = texts.slice(0, -3).map((text) => ({ texts: [text] }));
  return [...steps, { chunkCount: CHUNK_COUNT }, { texts: texts.slice(-3) }];
}

/**
 * What a flip in a frame may cost: nothing but the frame's own chunk. Damaged marks cost their chunk
 * only in the last write, where they cannot be told from torn ones.
 *
 * @param lastWriteBytes where that write began
 */
function isHarmOf(frame: FoundFrame, missing: readonly number[], lastWriteBytes: number): boolean {
  const costsItsChunk =
    frame.kind === "chunk" || (frame.kind === "marks" && frame.beginBytes >= lastWriteBytes);
  return costsItsChunk
    ? missing.length === 1 && missing[0] === frame.sequence
    : missing.length === 0;
}

describe("a chunk file", () => {
  test(
    "with any bit flipped gives no wrong byte, finds the chunk that is damaged, and keeps the others",
    async () => {
      await using bed = await ChunkFileBed.make(writeSteps());
      const { recordingId, segmentId } = bed.description;
      const sample = bed.frames.filter(
        ({ kind, sequence }) =>
          kind !== "chunk" || sequence % SAMPLED_CHUNKS === 0 || sequence >= CHUNKS - 3,
      );
      expect(new Set(sample.map(({ kind }) => kind)).size).toBe(5);
      const lastWriteBytes = bed.frames.at(-1)?.writeOffsetBytes ?? 0;
      const all = bed.chunksOf(bed.texts.keys());
      let flips = 0;
      let named = 0;
      await using handle = await open(bed.path, "r+");
      for (const frame of sample) {
        for (let byte = frame.beginBytes; byte < frame.endBytes; byte += 1) {
          for (const bit of bitsOf(byte)) {
            const original = bed.whole.readUInt8(byte);
            await handle.write(Uint8Array.of(original ^ (1 << bit)), 0, 1, byte);
            const { chunks, damaged, marks } = await bed.read();
            const missing = [...bed.texts.keys()].filter(
              (sequence) => !chunks.some(([given]) => given === sequence),
            );
            const where = `${frame.kind} ${frame.sequence}, byte ${byte - frame.beginBytes}, bit ${bit}`;
            expect([where, chunks]).toEqual([
              where,
              all.filter(([sequence]) => !missing.includes(sequence)),
            ]);
            const isHarm = isHarmOf(frame, missing, lastWriteBytes);
            expect([where, missing, isHarm]).toEqual([where, missing, true]);
            const markless = new Set([
              ...missing,
              ...(frame.kind === "marks" ? [frame.sequence] : []),
            ]);
            expect([where, marks]).toEqual([
              where,
              [...bed.texts.keys()].flatMap((n) => (markless.has(n) ? [] : plainMarks(n))),
            ]);
            expect(damaged.every((sequence) => missing.includes(sequence))).toBe(true);
            await handle.write(Uint8Array.of(original), 0, 1, byte);
            flips += 1;
            named += damaged.length;
          }
        }
      }
      const reader = await bed.newStore().read(recordingId, segmentId);
      expect(reader?.state.chunkCount).toBe(CHUNK_COUNT);
      await reader?.close();
      expect((await bed.read()).chunks).toEqual(all);
      reportCampaign(
        `${flips} single bits flipped in ${sample.length} frames (headers of ` +
          `${FRAME_HEADER_BYTES} bytes included): all found (${named} named as damaged, the other ` +
          `chunks as missing), no other chunk lost`,
      );
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});
