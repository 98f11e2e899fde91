import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeWholeFragments } from "../../src/finalize/mp4-fragments.ts";
import { boxAt } from "../../src/finalize/mp4-boxes.ts";
import { SeededRandom, campaignSeed } from "../faults/support/seeded-random.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { FinalizerBed, testFfmpeg } from "./finalizer-bed.ts";

const CUTS = 12;

describe("writeWholeFragments", () => {
  let bed: FinalizerBed;
  let whole: Buffer;
  beforeEach(async () => {
    bed = await FinalizerBed.open(await testFfmpeg());
    whole = Buffer.from(joinChunks((await recordedSegment("mp4-vp9-opus")).chunks));
  });
  afterEach(async () => {
    await bed[Symbol.asyncDispose]();
  });

  /** What is written of a segment of these chunks, and how many bytes were left out. */
  const written = async (
    chunks: readonly (Uint8Array | undefined)[],
  ): Promise<{ bytes: Buffer; dropped: number; gaps: readonly number[] }> => {
    const { recordingId } = await bed.engine.startRecording({});
    const segmentId = await bed.send(recordingId, { chunks, mimeType: "video/mp4" });
    const reader = await bed.store.read(recordingId, segmentId);
    if (reader === undefined) throw new Error("The segment is not there.");
    const path = join(bed.scratchDirectory, crypto.randomUUID());
    const { signal } = new AbortController();
    const left = await writeWholeFragments(reader, path, () => undefined, signal);
    await reader.close();
    const bytes = Buffer.from(await Bun.file(path).bytes());
    return { bytes, dropped: left.droppedBytes, gaps: left.gapsBytes };
  };

  const cut = (random: SeededRandom): Buffer[] => {
    const borders = Array.from({ length: 12 }, () => random.int(1, whole.length));
    const all = [0, ...[9, ...borders].toSorted((a, b) => a - b), whole.length];
    return all.slice(1).map((to, i) => whole.subarray(all[i], to));
  };

  test("wherever it is cut into chunks, all of a whole segment is written", async () => {
    const random = new SeededRandom(campaignSeed());
    for (let i = 0; i < CUTS; i += 1) {
      const { bytes, dropped, gaps } = await written(cut(random));
      expect({ seed: random.seed, isEqual: bytes.equals(whole), dropped, gaps }).toEqual({
        seed: random.seed,
        isEqual: true,
        dropped: 0,
        gaps: [],
      });
    }
  });

  test("without one of its chunks, every fragment that the chunk has no part of is written, and no other", async () => {
    const units = unitsOf(whole);
    expect(units.length).toBe(3);
    const random = new SeededRandom(campaignSeed());
    for (let i = 0; i < CUTS; i += 1) {
      const chunks = cut(random);
      const left = random.int(2, chunks.length - 1);
      const from = chunks.slice(0, left).reduce((sum, { length }) => sum + length, 0);
      const to = from + (chunks[left]?.length ?? 0);
      const expected = Buffer.concat(
        units
          .filter((unit) => unit.to <= from || unit.from >= to)
          .map((unit) => whole.subarray(unit.from, unit.to)),
      );
      const { bytes, dropped, gaps } = await written(
        chunks.map((chunk, n) => (n === left ? undefined : chunk)),
      );
      // A header that is cut off itself leaves nothing that can be read: that is for others to say.
      if (from < (units[0]?.to ?? 0)) continue;
      expect({ seed: random.seed, isEqual: bytes.equals(expected) }).toEqual({
        seed: random.seed,
        isEqual: true,
      });
      expect(dropped).toBe(whole.length - (to - from) - expected.length);
      const next = units.find((unit) => unit.from >= to);
      const before = units.findLast((unit) => unit.to <= from)?.to ?? 0;
      expect({ seed: random.seed, gaps }).toEqual({
        seed: random.seed,
        gaps: next ? [before] : [],
      });
    }
  });

  test("an index of a fragment whose media are something else is left out with them", async () => {
    const [header, broken, next, ...none] = unitsOf(whole);
    if (header === undefined || broken === undefined || next === undefined)
      throw new Error("Three.");
    expect(none).toEqual([]);
    const nonsense = Buffer.from(whole);
    const media = nonsense.indexOf("mdat", broken.from) - 4;
    nonsense.fill(0xff, media, media + 8).writeUInt32BE(3, media);
    const { bytes, dropped, gaps } = await written([nonsense]);
    const kept = [header, next].map(({ from, to }) => whole.subarray(from, to));
    expect(bytes.equals(Buffer.concat(kept))).toBeTrue();
    expect(dropped).toBe(broken.to - broken.from);
    expect(gaps).toEqual([header.to]);
  });
});

/** The header, and each fragment with its media. */
function unitsOf(bytes: Buffer): { from: number; to: number }[] {
  const units: { from: number; to: number }[] = [];
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    const box = boxAt(bytes, at, bytes.length - at);
    if (box === undefined) throw new RangeError(`There is no box at ${at}.`);
    at += box.size;
    if (box.type !== "mdat" && box.type !== "moov") continue;
    units.push({ from, to: at });
    from = at;
  }
  return units;
}
