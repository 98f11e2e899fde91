import { setImmediate } from "node:timers/promises";
import { MediaUnreadableError } from "../finalize/finalize-errors.ts";
import { type SampleTable, decodedMs, presentedMs } from "../finalize/mp4-sample-tables.ts";
import { Mp4TrackTables, videoTicksPerSecond } from "../finalize/mp4-track-tables.ts";
import { silenceOf } from "../finalize/silence.ts";
import type { SilentPacket } from "../finalize/silent-packets.ts";

/** Samples of an aligned track that follow each other. */
export type AlignedSamples =
  /** Those of the source from `first` on. */
  | { readonly first: number; readonly count: number }
  /** Silence, each sample the same packet. */
  | { readonly packet: Uint8Array; readonly count: number };

/** A track of an aligned MP4: its index, and where its samples come from. */
export interface AlignedTrack {
  readonly source: SampleTable;
  readonly tables: Mp4TrackTables;
  /** All samples in their order; what they give together are the samples of `tables`. */
  readonly samples: readonly AlignedSamples[];
  /** When each chunk begins, in milliseconds of the recording. */
  readonly chunksMs: readonly number[];
}

/** The place on the recording's timeline of a moment of the source; ascends. */
export type PlaceMs = (sourceMs: number) => number;

/** Between pictures that come before the recording's zero. */
const SQUEEZED_MS = 0.1;

/** So many samples are placed at a stretch, in some 10 ms: hours have millions. */
const SAMPLES_PER_TURN = 32_768;

/**
 * Pictures from the first keyframe on. Those before the recording's zero, which later ones need, pass
 * in no time at zero; the last one stays until `durationMs`.
 *
 * @throws MediaUnreadableError without a keyframe
 */
export async function alignedPictures(
  source: SampleTable,
  placeMs: PlaceMs,
  durationMs: number,
): Promise<AlignedTrack> {
  const first = source.isSync?.indexOf(1) ?? 0;
  if (first < 0 || first >= source.count) {
    throw new MediaUnreadableError("The picture has nothing to begin with.");
  }
  const endMs = Math.max(durationMs, placeMs(decodedMs(source, source.count)));
  const builder = new TrackBuilder(source, videoTicksPerSecond(endMs));
  let squeezed = 0;
  for (let i = first; i < source.count; i += 1) {
    const decodeMs = placeMs(decodedMs(source, i));
    const shownMs = source.compositionTicks ? placeMs(presentedMs(source, i)) : decodeMs;
    const earliestMs = squeezed * SQUEEZED_MS;
    if (decodeMs < earliestMs) {
      // Edit lists could cut them off as well, but players differ in where the rest begins then.
      squeezed += 1;
      builder.copy(i, earliestMs, Math.max(shownMs, earliestMs));
    } else {
      builder.copy(i, decodeMs, shownMs);
    }
    if (i % SAMPLES_PER_TURN === 0) await setImmediate();
  }
  return builder.build(endMs);
}

/**
 * Sound with silence before and after it; nothing but silence where all of it is from before the
 * recording's zero. What is left of the time before it, less than the shortest packet, and all of it
 * where no silence of the codec is known, is made up by an edit list.
 *
 * @throws MediaUnreadableError when there would be no packet at all
 */
export async function alignedSound(
  source: SampleTable,
  placeMs: PlaceMs,
  durationMs: number,
): Promise<AlignedTrack> {
  const { ticksPerSecond, count, usualTicks } = source;
  const builder = new TrackBuilder(source, ticksPerSecond);
  const [entry] = source.entries;
  const silence = entry === undefined ? undefined : silenceOf(entry, ticksPerSecond);
  const packets = silence?.packets ?? [];
  let hasBegun = false;
  for (let i = 0; i < count; i += 1) {
    const atMs = placeMs(presentedMs(source, i));
    const atTicks = builder.ticksOf(atMs);
    if (atTicks < 0) continue;
    if (!hasBegun) {
      const counts = silentCounts(atTicks, packets);
      builder.silence(atTicks - ticksIn(counts), counts.toReversed());
    }
    hasBegun = true;
    builder.copy(i, atMs, atMs);
    if (i % SAMPLES_PER_TURN === 0) await setImmediate();
  }
  if (!hasBegun) {
    const counts = silentCounts(builder.ticksOf(durationMs), packets);
    if (ticksIn(counts) === 0) {
      throw new MediaUnreadableError("The sound has nothing in the recording's time.");
    }
    builder.silence(0, counts);
    return builder.build(builder.msOf(ticksIn(counts)));
  }
  const lastTicks = (source.decodeTicks[count] ?? 0) - (source.decodeTicks[count - 1] ?? 0);
  const endTicks = builder.lastTicks + (lastTicks > 0 ? lastTicks : usualTicks);
  const counts = silentCounts(builder.ticksOf(durationMs) - endTicks, packets);
  builder.silence(endTicks, counts.toReversed());
  return builder.build(builder.msOf(endTicks + ticksIn(counts)));
}

/** A number of equal silent packets. */
interface SilentCount {
  readonly packet: SilentPacket;
  readonly count: number;
}

/** The fewest packets that fit into a time, the longest first. */
function silentCounts(ticks: number, packets: readonly SilentPacket[]): readonly SilentCount[] {
  let leftTicks = Math.max(0, ticks);
  return packets.map((packet) => {
    const count = Math.floor(leftTicks / packet.samples);
    leftTicks -= count * packet.samples;
    return { packet, count };
  });
}

function ticksIn(counts: readonly SilentCount[]): number {
  return counts.reduce((sum, { packet, count }) => sum + packet.samples * count, 0);
}

/** Adds samples one after the other, in chunks. */
class TrackBuilder {
  readonly #source: SampleTable;
  readonly #tables: Mp4TrackTables;
  readonly #samples: AlignedSamples[] = [];
  readonly #chunksMs: number[] = [];
  #copied: { readonly first: number; count: number } | undefined;
  #entry = -1;

  constructor(source: SampleTable, ticksPerSecond: number) {
    this.#source = source;
    const { kind, entries, matrix } = source;
    this.#tables = new Mp4TrackTables(kind, ticksPerSecond, entries, matrix);
  }

  /** Of the sample that was added last. */
  get lastTicks(): number {
    return this.#tables.lastTicks;
  }

  ticksOf(ms: number): number {
    return Math.round((ms * this.#tables.ticksPerSecond) / 1_000);
  }

  msOf(ticks: number): number {
    return (ticks / this.#tables.ticksPerSecond) * 1_000;
  }

  /** Adds sample `i` of the source, the one behind that which was copied last. */
  copy(i: number, atMs: number, shownMs: number): void {
    const { sizes, isSync, entryIndexes } = this.#source;
    const atTicks = this.ticksOf(atMs);
    this.#makeRoom(entryIndexes?.[i] ?? 0, atTicks);
    this.#tables.add(atTicks, this.ticksOf(shownMs) - atTicks, sizes[i] ?? 0, isSync?.[i] !== 0);
    if (this.#copied === undefined) {
      this.#copied = { first: i, count: 0 };
      this.#samples.push(this.#copied);
    }
    this.#copied.count += 1;
  }

  /** Adds silence that begins at a time. */
  silence(fromTicks: number, counts: readonly SilentCount[]): void {
    let atTicks = fromTicks;
    for (const { packet, count } of counts) {
      if (count === 0) continue;
      this.#copied = undefined;
      this.#samples.push({ packet: packet.bytes, count });
      for (let i = 0; i < count; i += 1) {
        this.#makeRoom(0, atTicks);
        this.#tables.add(atTicks, 0, packet.bytes.length, true);
        atTicks += packet.samples;
      }
    }
  }

  /** @param endMs where the last sample ends */
  build(endMs: number): AlignedTrack {
    this.#tables.end(Math.max(1, this.ticksOf(endMs) - this.#tables.lastTicks));
    return {
      source: this.#source,
      tables: this.#tables,
      samples: this.#samples,
      chunksMs: this.#chunksMs,
    };
  }

  /** Begins a new chunk where the last one is full or of another description. */
  #makeRoom(entry: number, atTicks: number): void {
    if (entry === this.#entry && !this.#tables.isChunkFull(atTicks)) return;
    this.#entry = entry;
    this.#tables.beginChunk(entry, atTicks);
    this.#chunksMs.push(this.msOf(atTicks));
  }
}
