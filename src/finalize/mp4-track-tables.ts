import { type Matrix, UNITY_MATRIX } from "./mp4-orientation.ts";
import { Uint32List } from "./number-list.ts";

/** Runs of equal values, as the tables of an MP4 have them; values of 32 bits, signed or not. */
export class Runs {
  readonly counts = new Uint32List();
  readonly values = new Uint32List();

  add(value: number): void {
    if (this.values.length > 0 && this.values.at(this.values.length - 1) === value >>> 0) {
      this.counts.increment();
    } else {
      this.values.push(value >>> 0);
      this.counts.push(1);
    }
  }
}

/** Samples of one track that stand together in the file (ISO/IEC 14496-12, 8.7.1), by their index. */
class Chunks {
  readonly samples = new Uint32List();
  /** Index of the entry in `stsd` that describes each. */
  readonly entries = new Uint32List();

  get length(): number {
    return this.samples.length;
  }

  begin(entry: number): void {
    this.samples.push(0);
    this.entries.push(entry);
  }
}

/** No chunk is longer, so that a player finds picture and sound of a time near each other. */
const CHUNK_TICKS_PER_SECOND_MAX = 1;

/** From one sample to the next; `stts` has 32 bits for it. */
const STEP_TICKS_MAX = 0xffffffff;

/** Of pictures: milliseconds and the usual rates of frames, 29.97 too, are whole numbers of them. */
const VIDEO_TICKS_PER_SECOND = 90_000;

/** Where a picture may stand still for longer than 32 bits of those: 49 days have as many. */
const LONG_VIDEO_TICKS_PER_SECOND = 1_000;

/** The clock of pictures up to `endMs`: no picture stands still for longer than all together. */
export function videoTicksPerSecond(endMs: number): number {
  const fits = (endMs * VIDEO_TICKS_PER_SECOND) / 1_000 < STEP_TICKS_MAX;
  return fits ? VIDEO_TICKS_PER_SECOND : LONG_VIDEO_TICKS_PER_SECOND;
}

/** One track of an MP4 in the making: the tables of its index. */
export class Mp4TrackTables {
  readonly kind: "video" | "audio";
  readonly ticksPerSecond: number;
  readonly entries: readonly Buffer[];
  /** How its pictures are turned. */
  readonly matrix: Matrix;
  readonly steps = new Runs();
  readonly compositions = new Runs();
  readonly sizes = new Uint32List();
  readonly chunks = new Chunks();
  /** Numbers of the pictures that can be decoded by themselves, from 1. */
  readonly syncs = new Uint32List();
  /** When the first sample is decoded; undefined while there is none. */
  firstTicks: number | undefined;
  /** Of the last sample. */
  lastTicks = 0;
  /**
   * From when on it is presented: what comes before only serves to decode it. Undefined: from the first
   * presentation of a sample on.
   */
  shownFromTicks: number | undefined;
  #firstShownTicks = Infinity;
  #lastShownTicks = -Infinity;
  #shownToTicks: number | undefined;
  #chunkTicks = 0;

  constructor(
    kind: "video" | "audio",
    ticksPerSecond: number,
    entries: readonly Buffer[],
    matrix = UNITY_MATRIX,
  ) {
    this.kind = kind;
    this.matrix = matrix;
    this.ticksPerSecond = ticksPerSecond;
    this.entries = entries;
  }

  get samples(): number {
    return this.sizes.length;
  }

  /** Whether a sample at this time belongs into a new chunk. */
  isChunkFull(decodeTicks: number): boolean {
    return decodeTicks - this.#chunkTicks >= this.ticksPerSecond * CHUNK_TICKS_PER_SECOND_MAX;
  }

  /** @param entry index of the one in `stsd` that describes its samples */
  beginChunk(entry: number, decodeTicks: number): void {
    this.chunks.begin(entry);
    this.#chunkTicks = decodeTicks;
  }

  /**
   * Adds a sample to the last chunk. One that would be decoded before the last one comes with it.
   *
   * @param decodeTicks of the track, from its zero
   * @param compositionTicks what presentation adds to that
   */
  add(decodeTicks: number, compositionTicks: number, sizeBytes: number, isSync: boolean): void {
    if (this.chunks.length === 0) throw new RangeError("A sample was added without a chunk");
    this.chunks.samples.increment();
    const ticks =
      this.firstTicks === undefined ? decodeTicks : Math.max(decodeTicks, this.lastTicks);
    if (this.firstTicks === undefined) this.firstTicks = ticks;
    else this.steps.add(Math.min(ticks - this.lastTicks, STEP_TICKS_MAX));
    this.lastTicks = ticks;
    this.compositions.add(compositionTicks);
    this.#firstShownTicks = Math.min(this.#firstShownTicks, ticks + compositionTicks);
    this.#lastShownTicks = Math.max(this.#lastShownTicks, ticks + compositionTicks);
    this.sizes.push(sizeBytes);
    if (isSync && this.kind === "video") this.syncs.push(this.sizes.length);
  }

  /**
   * Says how long the last sample lasts. Nothing is added afterwards.
   *
   * @param shownToTicks until when the track is presented; to the last sample's end unless it is said
   */
  end(lastSampleTicks: number, shownToTicks?: number): void {
    if (this.samples === 0) return;
    this.steps.add(lastSampleTicks);
    this.#shownToTicks = shownToTicks;
  }

  /** When the presentation begins, not before the movie does. */
  get presentedFromTicks(): number {
    if (this.samples === 0) return 0;
    return Math.max(0, this.shownFromTicks ?? this.#firstShownTicks);
  }

  /** When it ends, once the last sample's end was said; every picture is shown by then. */
  get presentedToTicks(): number {
    const { firstTicks = 0 } = this;
    if (this.samples === 0) return 0;
    const decodedToTicks = firstTicks + this.durationTicks;
    const leastTicks = Math.max(this.presentedFromTicks, this.#lastShownTicks) + 1;
    return this.#shownToTicks ?? Math.max(decodedToTicks, leastTicks);
  }

  /** From the first sample's begin to the last one's end, once that was said. */
  get durationTicks(): number {
    let ticks = 0;
    const { counts, values } = this.steps;
    for (let i = 0; i < values.length; i += 1) ticks += values.at(i) * counts.at(i);
    return ticks;
  }
}
