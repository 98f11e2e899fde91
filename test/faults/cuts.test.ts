import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { ChunkFileBed, plainChunk, plainMarks, type WriteStep } from "./support/chunk-file-bed.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";

/** Enough for an index frame or more. */
const CHUNKS = campaign({ short: 72, long: 300 });
/** The short form cuts at every so many bytes, and around every frame's edges. */
const CUT_STRIDE = campaign({ short: 7, long: 1 });
const TORN_WRITES = campaign({ short: 150, long: 5_000 });
const SECTOR_BYTES = 512;

/** Writes of one chunk and of several, empty chunks, and totals that are told between them. */
function writeSteps(): WriteStep[] {
  const steps: WriteStep[] = [];
  let sequence = 0;
  while (sequence < CHUNKS) {
    const count = 1 + (steps.length % 4);
    const texts = Array.from({ length: count }, (_, i) =>
      (sequence + i) % 7 === 3 ? "" : `${sequence + i};`,
    );
    steps.push({ texts });
    sequence += count;
    if (steps.length % 9 === 0) steps.push({ chunkCount: CHUNKS + 10 + steps.length });
  }
  return steps;
}

/** What must be there of a file of which these frames are left. */
function leftBefore(bed: ChunkFileBed, endBytes: number) {
  const left = bed.frames.filter((frame) => frame.endBytes <= endBytes);
  const chunks = left.filter(({ kind }) => kind === "chunk");
  return {
    isReadable: left.some(({ kind }) => kind === "segment"),
    ends: left.filter(({ kind }) => kind === "end").length,
    sequences: chunks.map(({ sequence }) => sequence),
  };
}

describe("a chunk file", () => {
  test(
    "cut at any byte is recovered to exactly the frames before it, and goes on",
    async () => {
      const steps = writeSteps();
      await using bed = await ChunkFileBed.make(steps);
      const totals = steps.flatMap((step) => ("chunkCount" in step ? [step.chunkCount] : []));
      const kinds = new Set(bed.frames.map(({ kind }) => kind));
      expect(kinds).toEqual(new Set(["segment", "chunk", "end", "index", "marks"]));
      const { recordingId, segmentId } = bed.description;
      const next = bed.texts.length;
      const edges = new Set(
        bed.frames.flatMap(({ endBytes }) => [endBytes - 1, endBytes, endBytes + 1]),
      );
      const cuts = Array.from({ length: bed.whole.length + 1 }, (_, cut) => cut).filter(
        (cut) => cut % CUT_STRIDE === 0 || edges.has(cut),
      );
      for (const cut of cuts) {
        await writeFile(bed.path, bed.whole.subarray(0, cut));
        const { isReadable, sequences, ends } = leftBefore(bed, cut);
        if (!isReadable) {
          const opening = bed.newStore().open(recordingId, segmentId);
          await expect(opening).rejects.toMatchObject({ code: "storage-failed" });
          expect((await readFile(bed.path)).length).toBe(cut);
          continue;
        }
        const log = await bed.newStore().open(recordingId, segmentId);
        expect(log?.state.sequences.count).toBe(sequences.length);
        expect(log?.state.chunkCount).toBe(totals[ends - 1] ?? null);
        await log?.append([plainChunk(next, "!")]);
        await log?.close();
        const { chunks, damaged, marks } = await bed.read();
        expect(chunks).toEqual([...bed.chunksOf(sequences), [next, "!"]]);
        expect(damaged).toEqual([]);
        expect(marks).toEqual([...sequences, next].flatMap(plainMarks));
      }
      reportCampaign(
        `${cuts.length} cuts of a chunk file of ${bed.whole.length} bytes, ${bed.frames.length} frames: ` +
          `each recovered to the frames before it`,
      );
    },
    CAMPAIGN_TIMEOUT_MS,
  );

  test(
    "whose last write reached the disk only in part keeps all before it, and gives no wrong byte",
    async () => {
      const random = new SeededRandom(campaignSeed());
      const lastTexts = Array.from(
        { length: 18 },
        (_, i) => `${i}`.repeat(random.int(60, 500)) + ";",
      );
      await using bed = await ChunkFileBed.make([...writeSteps(), { texts: lastTexts }]);
      const { recordingId, segmentId } = bed.description;
      const beginBytes = bed.frames.at(-1)?.writeOffsetBytes ?? 0;
      const durable = bed.frames
        .filter((frame) => frame.kind === "chunk" && frame.endBytes <= beginBytes)
        .map(({ sequence }) => sequence);
      expect(durable.length).toBe(bed.texts.length - lastTexts.length);
      let kept = 0;
      for (let torn = 0; torn < TORN_WRITES; torn += 1) {
        // The system writes pages in any order, and a page whose turn had not come reads as zeros.
        const left = Buffer.from(bed.whole);
        const firstSector = Math.ceil(beginBytes / SECTOR_BYTES);
        for (let sector = firstSector; sector * SECTOR_BYTES < left.length; sector += 1) {
          const sectorBytes = sector * SECTOR_BYTES;
          if (random.chance(0.4)) left.subarray(sectorBytes, sectorBytes + SECTOR_BYTES).fill(0);
        }
        await writeFile(bed.path, left.subarray(0, random.int(beginBytes, left.length)));
        const log = await bed.newStore().open(recordingId, segmentId);
        const found = [...(log?.state.sequences ?? [])];
        expect(found.slice(0, durable.length)).toEqual(durable);
        expect(await bed.read()).toEqual({
          chunks: bed.chunksOf(found),
          damaged: [],
          marks: found.flatMap(plainMarks),
        });
        kept += found.length - durable.length;
        const lost = [...bed.texts.keys()].filter((sequence) => !found.includes(sequence));
        if (lost.length > 0) {
          await log?.append(
            lost.map((sequence) => plainChunk(sequence, bed.texts[sequence] ?? "")),
          );
        }
        await log?.close();
        const { chunks, damaged, marks } = await bed.read();
        expect(chunks).toEqual(bed.chunksOf(bed.texts.keys()));
        expect(damaged).toEqual([]);
        expect(marks).toEqual([...bed.texts.keys()].flatMap(plainMarks));
      }
      reportCampaign(
        `${TORN_WRITES} last writes torn in any of their sectors (FAULT_SEED=${random.seed}): all ` +
          `before them kept, of their own ${TORN_WRITES * lastTexts.length} chunks ${kept} whole`,
      );
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});
