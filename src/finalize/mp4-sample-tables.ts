import { type FileHandle, open } from "node:fs/promises";
import type { StreamKind } from "../contract/marks.ts";
import { boxesIn, descend } from "./mp4-boxes.ts";
import {
  type Extent,
  type FoundMoov,
  editList,
  readMoov,
  sampleEntries,
  timescaleOf,
} from "./mp4-index.ts";
import { type Matrix, UNITY_MATRIX, matrixIn } from "./mp4-orientation.ts";

/** Every sample of one track of a finished MP4, in order of decoding. */
export interface SampleTable {
  readonly kind: StreamKind;
  /** Each with its header, as they stand in `stsd`. */
  readonly entries: readonly Buffer[];
  /** Index of the entry that describes each; undefined when the first describes all. */
  readonly entryIndexes: Uint16Array | undefined;
  /** How its pictures are turned; as they are without it. */
  readonly matrix?: Matrix;
  readonly ticksPerSecond: number;
  /** What the edit list adds: a sample is presented at its ticks in milliseconds plus this. */
  readonly offsetMs: number;
  /**
   * From when on samples are presented, in milliseconds of the MP4: of what comes before, as sound has
   * for its decoder to warm up on, nothing is heard. Undefined: from the first one on.
   */
  readonly shownFromMs?: number | undefined;
  readonly count: number;
  readonly sizes: Uint32Array;
  /** Where in the file each begins. */
  readonly offsetsBytes: Float64Array;
  /** When each is decoded; one more for the end of the last. */
  readonly decodeTicks: Float64Array;
  /** What presentation adds to that; undefined when it is nothing for all. */
  readonly compositionTicks: Int32Array | undefined;
  /** 1 for what can be decoded by itself; undefined when that is so of all. */
  readonly isSync: Uint8Array | undefined;
  /** The step to the next sample that most have. */
  readonly usualTicks: number;
}

/** The samples of a finished MP4. Takes some 30 bytes of memory for each. */
export interface SampleTables {
  readonly video: SampleTable | undefined;
  readonly audio: SampleTable | undefined;
  /** Where the media lie in the file. */
  readonly media: Extent;
}

/**
 * Reads the index of an MP4 that this server made and verified; undefined when it has none. Only
 * what ffmpeg, mediabunny and the timeline mux write must be understood.
 */
export async function readSampleTables(path: string): Promise<SampleTables | undefined> {
  const handle = await open(path, "r");
  try {
    return await sampleTablesOf(handle);
  } finally {
    await handle.close();
  }
}

/** The same of an open file, so that what is read of it later is of the same file. */
export async function sampleTablesOf(handle: FileHandle): Promise<SampleTables | undefined> {
  const { size } = await handle.stat();
  const found = await readMoov(handle, size);
  return found === undefined ? undefined : tablesOf(found);
}

/** The samples of all tracks, from the index as it stands in the file. */
export function tablesOf({ bytes, media }: FoundMoov): SampleTables {
  const movieTimescale = timescaleOf(descend(bytes, "mvhd"));
  const tables = (boxesIn(bytes).get("trak") ?? []).map((trak) => tableOf(trak, movieTimescale));
  return {
    video: tables.find((table) => table?.kind === "video"),
    audio: tables.find((table) => table?.kind === "audio"),
    media,
  };
}

/** When sample `i` is presented, in milliseconds of the MP4. */
export function presentedMs(table: SampleTable, i: number): number {
  const ticks = (table.decodeTicks[i] ?? 0) + (table.compositionTicks?.[i] ?? 0);
  return (ticks / table.ticksPerSecond) * 1_000 + table.offsetMs;
}

/** When sample `i` is decoded, on the same clock as its presentation. */
export function decodedMs(table: SampleTable, i: number): number {
  return ((table.decodeTicks[i] ?? 0) / table.ticksPerSecond) * 1_000 + table.offsetMs;
}

/** The samples of one track (`trak`); undefined when it is neither picture nor sound. */
export function tableOf(trak: Buffer, movieTimescale: number): SampleTable | undefined {
  const handler = descend(trak, "mdia", "hdlr").toString("latin1", 8, 12);
  if (handler !== "vide" && handler !== "soun") return undefined;
  const tables = boxesIn(descend(trak, "mdia", "minf", "stbl"));
  const table = (type: string): Buffer => tables.get(type)?.[0] ?? Buffer.alloc(0);
  const ticksPerSecond = timescaleOf(descend(trak, "mdia", "mdhd"));
  const elst = descend(trak, "edts", "elst");
  const edit = editList(elst);
  const emptyMs = (edit.emptyDuration / movieTimescale) * 1_000;
  const sizes = sizesOf(table("stsz"));
  const count = sizes.length;
  const { decodeTicks, usualTicks } = decodeTimes(table("stts"), count);
  const entries = sampleEntries(table("stsd"));
  const wideOffsets = tables.get("co64")?.[0];
  const { offsetsBytes, entryIndexes } = placesOf(
    table("stsc"),
    wideOffsets ?? table("stco"),
    wideOffsets ? 8 : 4,
    sizes,
    entries.length,
  );
  return {
    kind: handler === "vide" ? "video" : "audio",
    // Copies, so that the index itself can be forgotten.
    entries: entries.map((entry) => Buffer.from(entry)),
    entryIndexes,
    matrix: matrixIn(descend(trak, "tkhd")) ?? UNITY_MATRIX,
    ticksPerSecond,
    offsetMs: emptyMs - (edit.mediaTime / ticksPerSecond) * 1_000,
    shownFromMs: elst.length > 0 ? emptyMs : undefined,
    count,
    sizes,
    offsetsBytes,
    decodeTicks,
    compositionTicks: compositionOffsets(table("ctts"), count),
    isSync: syncSamples(tables.get("stss")?.[0], count),
    usualTicks,
  };
}

/** `stsz` (ISO/IEC 14496-12, 8.7.3). */
function sizesOf(stsz: Buffer): Uint32Array {
  if (stsz.length < 12) return new Uint32Array();
  const same = stsz.readUInt32BE(4);
  const sizes = new Uint32Array(stsz.readUInt32BE(8));
  if (same !== 0) return sizes.fill(same);
  for (let i = 0; i < sizes.length; i += 1) sizes[i] = stsz.readUInt32BE(12 + 4 * i);
  return sizes;
}

/** `stts` (8.6.1.2). */
function decodeTimes(
  stts: Buffer,
  count: number,
): { decodeTicks: Float64Array; usualTicks: number } {
  const decodeTicks = new Float64Array(count + 1);
  const samplesByStep = new Map<number, number>();
  let sample = 0;
  let ticks = 0;
  for (let at = 8; at + 8 <= stts.length; at += 8) {
    const run = stts.readUInt32BE(at);
    const step = stts.readUInt32BE(at + 4);
    samplesByStep.set(step, (samplesByStep.get(step) ?? 0) + run);
    for (let left = run; left > 0 && sample < count; left -= 1) {
      decodeTicks[sample] = ticks;
      sample += 1;
      ticks += step;
    }
  }
  decodeTicks.fill(ticks, sample);
  const [usual] = [...samplesByStep].toSorted(([, a], [, b]) => b - a);
  return { decodeTicks, usualTicks: usual?.[0] ?? 0 };
}

/** `ctts` (8.6.1.3). */
function compositionOffsets(ctts: Buffer, count: number): Int32Array | undefined {
  let offsets: Int32Array | undefined;
  let sample = 0;
  for (let at = 8; at + 8 <= ctts.length; at += 8) {
    const run = ctts.readUInt32BE(at);
    const offset = ctts.readInt32BE(at + 4);
    if (offset !== 0) {
      offsets ??= new Int32Array(count);
      offsets.fill(offset, sample, sample + run);
    }
    sample += run;
  }
  return offsets;
}

/** `stss` (8.6.2); where it is missing, every sample can be decoded by itself. */
function syncSamples(stss: Buffer | undefined, count: number): Uint8Array | undefined {
  if (stss === undefined) return undefined;
  const isSync = new Uint8Array(count);
  for (let at = 8; at + 4 <= stss.length; at += 4) isSync[stss.readUInt32BE(at) - 1] = 1;
  return isSync;
}

/** `stsc` (8.7.4) with `stco` or `co64` (8.7.5): where each sample stands, and what describes it. */
function placesOf(
  stsc: Buffer,
  chunks: Buffer,
  offsetBytes: 4 | 8,
  sizes: Uint32Array,
  entries: number,
): { offsetsBytes: Float64Array; entryIndexes: Uint16Array | undefined } {
  const offsetsBytes = new Float64Array(sizes.length);
  const entryIndexes = entries > 1 ? new Uint16Array(sizes.length) : undefined;
  let sample = 0;
  let run = -12 + 8;
  let perChunk = 0;
  let entryIndex = 0;
  const chunkCount = Math.max(0, Math.floor((chunks.length - 8) / offsetBytes));
  for (let chunk = 0; chunk < chunkCount; chunk += 1) {
    const next = run + 12;
    if (next + 12 <= stsc.length && stsc.readUInt32BE(next) === chunk + 1) {
      run = next;
      perChunk = stsc.readUInt32BE(run + 4);
      entryIndex = stsc.readUInt32BE(run + 8) - 1;
    }
    const at = 8 + chunk * offsetBytes;
    let offset = offsetBytes === 8 ? Number(chunks.readBigUInt64BE(at)) : chunks.readUInt32BE(at);
    for (let left = perChunk; left > 0 && sample < sizes.length; left -= 1) {
      offsetsBytes[sample] = offset;
      if (entryIndexes !== undefined) entryIndexes[sample] = entryIndex;
      offset += sizes[sample] ?? 0;
      sample += 1;
    }
  }
  return { offsetsBytes, entryIndexes };
}
