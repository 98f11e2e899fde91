import { type FileHandle, open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { readAt } from "../storage/whole-transfer.ts";
import { boxAt, boxesIn, descend } from "./mp4-boxes.ts";
import { editList, timescaleOf } from "./mp4-index.ts";
import { UNITY_MATRIX } from "./mp4-orientation.ts";
import { type SampleTable, tableOf } from "./mp4-sample-tables.ts";
import { Uint32List, WideList } from "./number-list.ts";

/** Every sample of one track of a recorder's MP4, in order of decoding. */
export interface SourceTable extends SampleTable {
  /** From when on it is presented: what comes before only serves to decode it. */
  readonly shownFromMs: number;
  /** Until when it is presented; undefined when the file does not say, and all of it is. */
  readonly shownToMs: number | undefined;
  /** Samples at its end that its index has and the file has not. */
  readonly lost: number;
  /** How long each sample says that it lasts; the step to the next one may have a hole. */
  readonly durationTicks: Uint32Array;
}

const BOX_HEADER_BYTES = 16;
/** ISO/IEC 14496-12, 8.8.7 and 8.8.8: what a fragment's header and its runs have. */
const TFHD = {
  baseOffset: 0x01,
  entry: 0x02,
  duration: 0x08,
  size: 0x10,
  flags: 0x20,
  baseIsMoof: 0x020000,
} as const;
const TRUN = {
  dataOffset: 0x01,
  firstFlags: 0x04,
  duration: 0x100,
  size: 0x200,
  flags: 0x400,
  composition: 0x800,
} as const;
/** `sample_is_non_sync_sample` (8.8.3.1). */
const NOT_SYNC = 0x010000;

/** Fragments that are read at a stretch. */
const FRAGMENTS_PER_TURN = 256;

/** Of sound and pictures: a last sample that lasts longer is believed only where another one does. */
const LAST_SAMPLE_MS_MAX = 500;

/** Of the only picture of a track nothing tells how long it lasts. */
const ONLY_SAMPLE_MS = 40;

/**
 * Reads the index of a recorder's MP4, in one piece or in fragments: its samples' times are those that
 * its own index says, edit lists applied, and times before zero stay so. Undefined when it has none that
 * can be followed to the end. `refuseImpossibleSampleCounts` has passed before.
 *
 * @throws file system errors, the signal's reason
 */
export async function readSourceTables(
  path: string,
  signal: AbortSignal,
): Promise<readonly SourceTable[] | undefined> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const tracks = await readTracks(handle, size, signal);
    return tracks === undefined ? undefined : tablesOf(tracks, size);
  } catch (error) {
    signal.throwIfAborted();
    // A table that says other sizes than it has.
    if (error instanceof RangeError) return undefined;
    throw error;
  } finally {
    await handle.close();
  }
}

function tablesOf(
  tracks: readonly TrackBuilder[],
  fileBytes: number,
): readonly SourceTable[] | undefined {
  const whole = tracks.map((track) => track.table());
  const tables = whole.map((table) => withinFile(table, fileBytes));
  const soundEndMs = Math.max(
    -Infinity,
    ...tables.filter(({ kind }) => kind === "audio").map((table) => endMsOf(table)),
  );
  return tables.map((table) => withCredibleEnd(table, soundEndMs));
}

/** The table up to the first sample that is not in the file. */
function withinFile(table: SourceTable, fileBytes: number): SourceTable {
  const { offsetsBytes, sizes, count } = table;
  let kept = 0;
  while (kept < count && (offsetsBytes[kept] ?? 0) + (sizes[kept] ?? 0) <= fileBytes) kept += 1;
  if (kept === count) return table;
  return {
    ...table,
    count: kept,
    lost: count - kept,
    sizes: sizes.subarray(0, kept),
    offsetsBytes: offsetsBytes.subarray(0, kept),
    // With where the last one ends.
    decodeTicks: table.decodeTicks.subarray(0, kept + 1),
    durationTicks: table.durationTicks.subarray(0, kept),
    compositionTicks: table.compositionTicks?.subarray(0, kept),
    isSync: table.isSync?.subarray(0, kept),
    entryIndexes: table.entryIndexes?.subarray(0, kept),
  };
}

function endMsOf({ decodeTicks, count, ticksPerSecond, offsetMs }: SampleTable): number {
  return ((decodeTicks[count] ?? 0) / ticksPerSecond) * 1_000 + offsetMs;
}

/**
 * The table with a last sample that lasts as long as it can have: a recorder that waits for the next
 * picture may write seconds, nothing, or all ones. A picture can rest until the sound ends.
 */
function withCredibleEnd(table: SourceTable, soundEndMs: number): SourceTable {
  const { kind, count, decodeTicks, usualTicks, ticksPerSecond, offsetMs } = table;
  if (count === 0) return table;
  const lastAt = decodeTicks[count - 1] ?? 0;
  const claimed = (decodeTicks[count] ?? 0) - lastAt;
  let longest = 0;
  for (let i = 0; i + 1 < count; i += 1) {
    longest = Math.max(longest, (decodeTicks[i + 1] ?? 0) - (decodeTicks[i] ?? 0));
  }
  const ticksOf = (ms: number): number => Math.round((ms * ticksPerSecond) / 1_000);
  const believed = Math.max(longest, ticksOf(LAST_SAMPLE_MS_MAX));
  if (claimed > 0 && claimed <= believed) return table;
  const usual = count > 1 && usualTicks > 0 ? usualTicks : ticksOf(ONLY_SAMPLE_MS);
  const restTicks = kind === "video" ? ticksOf(soundEndMs - offsetMs) - lastAt : 0;
  const ticks = Math.max(1, usual, Math.min(claimed, restTicks));
  const [ends, durationTicks] = [decodeTicks.slice(), table.durationTicks.slice()];
  ends[count] = lastAt + ticks;
  durationTicks[count - 1] = ticks;
  return { ...table, decodeTicks: ends, durationTicks };
}

/** The table without its first samples. Where it begins to be presented is told anew. */
export function withoutLeading(table: SourceTable, leading: number): SourceTable {
  if (leading === 0) return table;
  const { decodeTicks, compositionTicks, ticksPerSecond, offsetMs } = table;
  let firstTicks = Infinity;
  for (let i = leading; i < table.count; i += 1) {
    firstTicks = Math.min(firstTicks, (decodeTicks[i] ?? 0) + (compositionTicks?.[i] ?? 0));
  }
  return {
    ...table,
    count: table.count - leading,
    entryIndexes: table.entryIndexes?.subarray(leading),
    sizes: table.sizes.subarray(leading),
    offsetsBytes: table.offsetsBytes.subarray(leading),
    decodeTicks: decodeTicks.subarray(leading),
    durationTicks: table.durationTicks.subarray(leading),
    compositionTicks: compositionTicks?.subarray(leading),
    isSync: table.isSync?.subarray(leading),
    shownFromMs: Math.max(table.shownFromMs, (firstTicks / ticksPerSecond) * 1_000 + offsetMs),
  };
}

async function readTracks(
  handle: FileHandle,
  fileBytes: number,
  signal: AbortSignal,
): Promise<readonly TrackBuilder[] | undefined> {
  let tracks: readonly TrackBuilder[] | undefined;
  let fragments = 0;
  for (let at = 0; at < fileBytes;) {
    signal.throwIfAborted();
    const head = await readAt(handle, at, Math.min(BOX_HEADER_BYTES, fileBytes - at));
    const box = boxAt(head, 0, fileBytes - at);
    if (box === undefined || at + box.size > fileBytes) break;
    if (box.type === "moov" && tracks === undefined) {
      const moov = await readAt(handle, at + box.headerBytes, box.size - box.headerBytes);
      tracks = tracksOf(moov);
    } else if (box.type === "moof") {
      if (tracks === undefined) return undefined;
      const moof = await readAt(handle, at + box.headerBytes, box.size - box.headerBytes);
      addFragment(tracks, moof, at);
      fragments += 1;
      if (fragments % FRAGMENTS_PER_TURN === 0) await setImmediate();
    }
    at += box.size;
  }
  return tracks;
}

/** The tracks of picture and sound, each with what the index itself says of its samples. */
function tracksOf(moov: Buffer): readonly TrackBuilder[] {
  const movieTimescale = timescaleOf(descend(moov, "mvhd"));
  const defaults = new Map<number, SampleDefaults>();
  for (const trex of boxesIn(descend(moov, "mvex")).get("trex") ?? []) {
    defaults.set(trex.readUInt32BE(4), {
      entry: Math.max(0, trex.readUInt32BE(8) - 1),
      durationTicks: trex.readUInt32BE(12),
      bytes: trex.readUInt32BE(16),
      flags: trex.readUInt32BE(20),
    });
  }
  return (boxesIn(moov).get("trak") ?? []).flatMap((trak) => {
    const table = tableOf(trak, movieTimescale);
    if (table === undefined || table.ticksPerSecond === 0) return [];
    return new TrackBuilder(trak, table, movieTimescale, defaults);
  });
}

function addFragment(tracks: readonly TrackBuilder[], moof: Buffer, moofAt: number): void {
  // Where nothing says where a track's media begin, they follow those of the track before.
  let mediaAt = moofAt;
  for (const traf of boxesIn(moof).get("traf") ?? []) {
    const [tfhd] = boxesIn(traf).get("tfhd") ?? [];
    if (tfhd === undefined) continue;
    const track = tracks.find(({ trackId }) => trackId === tfhd.readUInt32BE(4));
    const header = fragmentHeader(tfhd, track?.defaults ?? NO_DEFAULTS);
    const base = header.baseBytes ?? (header.isBaseMoof ? moofAt : mediaAt);
    const [tfdt] = boxesIn(traf).get("tfdt") ?? [];
    if (tfdt !== undefined) track?.moveTo(decodeTimeOf(tfdt));
    let at = base;
    for (const trun of boxesIn(traf).get("trun") ?? []) {
      at = addRun(track, trun, header, base, at);
    }
    mediaAt = at;
  }
}

/** What samples have of which their own run says nothing. */
interface SampleDefaults {
  readonly entry: number;
  readonly durationTicks: number;
  readonly bytes: number;
  readonly flags: number;
}

const NO_DEFAULTS: SampleDefaults = { entry: 0, durationTicks: 0, bytes: 0, flags: 0 };

/** `tfdt` (8.8.12); times before zero are written as such, though the box has no sign. */
function decodeTimeOf(tfdt: Buffer): number {
  return tfdt.readUInt8(0) === 1 ? Number(tfdt.readBigInt64BE(4)) : tfdt.readUInt32BE(4);
}

interface FragmentHeader extends SampleDefaults {
  readonly baseBytes: number | undefined;
  readonly isBaseMoof: boolean;
}

function fragmentHeader(tfhd: Buffer, defaults: SampleDefaults): FragmentHeader {
  const flags = tfhd.readUInt32BE(0) & 0xffffff;
  let at = 8;
  let baseBytes: number | undefined;
  if ((flags & TFHD.baseOffset) !== 0) {
    baseBytes = Number(tfhd.readBigUInt64BE(at));
    at += 8;
  }
  const field = (flag: number, otherwise: number): number => {
    if ((flags & flag) === 0) return otherwise;
    at += 4;
    return tfhd.readUInt32BE(at - 4);
  };
  const entry = field(TFHD.entry, defaults.entry + 1);
  return {
    baseBytes,
    isBaseMoof: (flags & TFHD.baseIsMoof) !== 0,
    entry: Math.max(0, entry - 1),
    durationTicks: field(TFHD.duration, defaults.durationTicks),
    bytes: field(TFHD.size, defaults.bytes),
    flags: field(TFHD.flags, defaults.flags),
  };
}

/** Adds the samples of a run to its track, if that is one of picture or sound. Returns where they end. */
function addRun(
  track: TrackBuilder | undefined,
  trun: Buffer,
  header: FragmentHeader,
  base: number,
  behind: number,
): number {
  const flags = trun.readUInt32BE(0) & 0xffffff;
  const count = trun.readUInt32BE(4);
  let at = 8;
  const field = (flag: number): number | undefined => {
    if ((flags & flag) === 0) return undefined;
    at += 4;
    return trun.readUInt32BE(at - 4);
  };
  const dataOffset = field(TRUN.dataOffset);
  const firstFlags = field(TRUN.firstFlags);
  let place = dataOffset === undefined ? behind : base + (dataOffset | 0);
  for (let i = 0; i < count; i += 1) {
    const durationTicks = field(TRUN.duration) ?? header.durationTicks;
    const bytes = field(TRUN.size) ?? header.bytes;
    const ownFlags = field(TRUN.flags);
    const sampleFlags = i === 0 ? (firstFlags ?? ownFlags) : ownFlags;
    const compositionTicks = (field(TRUN.composition) ?? 0) | 0;
    const isSync = ((sampleFlags ?? header.flags) & NOT_SYNC) === 0;
    track?.add({
      offsetBytes: place,
      bytes,
      durationTicks,
      compositionTicks,
      isSync,
      entry: header.entry,
    });
    place += bytes;
  }
  return place;
}

interface Sample {
  readonly offsetBytes: number;
  readonly bytes: number;
  readonly durationTicks: number;
  readonly compositionTicks: number;
  readonly isSync: boolean;
  /** Index of the one in `stsd` that describes it. */
  readonly entry: number;
}

/** Gathers the samples of one track. */
class TrackBuilder {
  readonly trackId: number;
  readonly defaults: SampleDefaults;
  readonly #index: SampleTable;
  readonly #shown: { readonly fromMs: number; readonly toMs: number | undefined };
  readonly #sizes = new Uint32List();
  readonly #offsetsBytes = new WideList();
  readonly #decodeTicks = new WideList();
  readonly #durationTicks = new Uint32List();
  readonly #compositionTicks = new Uint32List();
  readonly #syncs = new Uint32List();
  readonly #entries = new Uint32List();
  #endTicks: number;

  constructor(
    trak: Buffer,
    index: SampleTable,
    movieTimescale: number,
    defaults: ReadonlyMap<number, SampleDefaults>,
  ) {
    const tkhd = descend(trak, "tkhd");
    this.trackId = tkhd.readUInt32BE(tkhd.readUInt8(0) === 1 ? 20 : 12);
    this.defaults = defaults.get(this.trackId) ?? NO_DEFAULTS;
    this.#index = index;
    const elst = descend(trak, "edts", "elst");
    const { emptyDuration, playedDuration } = editList(elst);
    const fromMs = (emptyDuration / movieTimescale) * 1_000;
    const playedMs = (playedDuration / movieTimescale) * 1_000;
    // Of fragments to come the index does not know how long they are played.
    const isWhole = index.count > 0 && playedDuration > 0 && !defaults.has(this.trackId);
    this.#shown = {
      fromMs: elst.length > 0 ? fromMs : -Infinity,
      toMs: isWhole ? fromMs + playedMs : undefined,
    };
    this.#endTicks = index.decodeTicks[index.count] ?? 0;
    for (let i = 0; i < index.count; i += 1) {
      this.#push(
        {
          offsetBytes: index.offsetsBytes[i] ?? 0,
          bytes: index.sizes[i] ?? 0,
          durationTicks: (index.decodeTicks[i + 1] ?? 0) - (index.decodeTicks[i] ?? 0),
          compositionTicks: index.compositionTicks?.[i] ?? 0,
          isSync: index.isSync?.[i] !== 0,
          entry: index.entryIndexes?.[i] ?? 0,
        },
        index.decodeTicks[i] ?? 0,
      );
    }
  }

  /** The next sample is decoded then. */
  moveTo(decodeTicks: number): void {
    this.#endTicks = decodeTicks;
  }

  add(sample: Sample): void {
    this.#push(sample, this.#endTicks);
    this.#endTicks += sample.durationTicks;
  }

  table(): SourceTable {
    const count = this.#sizes.length;
    const { kind, entries, ticksPerSecond, offsetMs } = this.#index;
    const decodeTicks = Float64Array.from({ length: count + 1 }, (_, i) =>
      i < count ? this.#decodeTicks.at(i) : this.#endTicks,
    );
    const compositionTicks = Int32Array.from({ length: count }, (_, i) =>
      this.#compositionTicks.at(i),
    );
    let firstTicks = Infinity;
    for (let i = 0; i < count; i += 1) {
      firstTicks = Math.min(firstTicks, (decodeTicks[i] ?? 0) + (compositionTicks[i] ?? 0));
    }
    const firstMs = count === 0 ? 0 : (firstTicks / ticksPerSecond) * 1_000 + offsetMs;
    return {
      kind,
      entries,
      entryIndexes:
        entries.length > 1
          ? Uint16Array.from({ length: count }, (_, i) => this.#entries.at(i))
          : undefined,
      ticksPerSecond,
      offsetMs,
      count,
      sizes: Uint32Array.from({ length: count }, (_, i) => this.#sizes.at(i)),
      offsetsBytes: Float64Array.from({ length: count }, (_, i) => this.#offsetsBytes.at(i)),
      decodeTicks,
      durationTicks: Uint32Array.from({ length: count }, (_, i) => this.#durationTicks.at(i)),
      compositionTicks: compositionTicks.some((ticks) => ticks !== 0)
        ? compositionTicks
        : undefined,
      isSync:
        kind === "video"
          ? Uint8Array.from({ length: count }, (_, i) => this.#syncs.at(i))
          : undefined,
      usualTicks: usualStep(decodeTicks),
      lost: 0,
      shownFromMs: Math.max(firstMs, this.#shown.fromMs),
      shownToMs: this.#shown.toMs,
      matrix: this.#index.matrix ?? UNITY_MATRIX,
    };
  }

  #push(sample: Sample, decodeTicks: number): void {
    this.#sizes.push(sample.bytes);
    this.#offsetsBytes.push(sample.offsetBytes);
    this.#decodeTicks.push(decodeTicks);
    this.#durationTicks.push(sample.durationTicks);
    this.#compositionTicks.push(sample.compositionTicks >>> 0);
    this.#syncs.push(sample.isSync ? 1 : 0);
    this.#entries.push(sample.entry);
  }
}

/** The step that most samples have to the next one; 0 when there are no two. */
function usualStep(decodeTicks: Float64Array): number {
  const samplesByStep = new Map<number, number>();
  let [usual, most] = [0, 0];
  for (let i = 0; i + 2 < decodeTicks.length; i += 1) {
    const step = (decodeTicks[i + 1] ?? 0) - (decodeTicks[i] ?? 0);
    if (step <= 0) continue;
    const samples = (samplesByStep.get(step) ?? 0) + 1;
    samplesByStep.set(step, samples);
    if (samples > most) [usual, most] = [step, samples];
  }
  return usual;
}
