/** Up to where the media of a segment reaches at the end of one of its chunks. */
export interface ChunkEnd {
  readonly sequence: number;
  /** Media time: end of the last packet of both streams that has come by then. */
  readonly mediaEndMs: number;
}

const FIRST_CAPACITY = 64;

/** The ends of a segment's chunks in order of sequence: 16 bytes for each, 30,000 in 8 hours. */
export class ChunkEnds implements Iterable<ChunkEnd> {
  #sequences = new Float64Array(FIRST_CAPACITY);
  #mediaEndsMs = new Float64Array(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(sequence: number, mediaEndMs: number): void {
    if (this.#length === this.#sequences.length) {
      this.#sequences = grown(this.#sequences);
      this.#mediaEndsMs = grown(this.#mediaEndsMs);
    }
    this.#sequences[this.#length] = sequence;
    this.#mediaEndsMs[this.#length] = mediaEndMs;
    this.#length += 1;
  }

  *[Symbol.iterator](): Generator<ChunkEnd> {
    for (let i = 0; i < this.#length; i += 1) {
      yield { sequence: this.#sequences[i] ?? 0, mediaEndMs: this.#mediaEndsMs[i] ?? 0 };
    }
  }
}

function grown(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(values.length * 2);
  larger.set(values);
  return larger;
}
