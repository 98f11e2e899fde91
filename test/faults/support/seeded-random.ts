/** Random numbers that a seed gives again (mulberry32); not for secrets. */
export class SeededRandom {
  readonly seed: number;
  #state: number;

  /** @param seed a whole number from 0 to 2^32 - 1 */
  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed;
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.#next() * (max - min + 1));
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** One of the values; throws when there is none. */
  pick<Value>(values: readonly Value[]): Value {
    const value = values[this.int(0, values.length - 1)];
    if (value === undefined) throw new RangeError("Nothing to pick from");
    return value;
  }

  /** The same values in another order. */
  shuffled<Value>(values: readonly Value[]): Value[] {
    return values
      .map((value) => ({ value, rank: this.#next() }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ value }) => value);
  }

  /** `count` random bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: count }, () => this.int(0, 255));
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Of a campaign whose seed is not given by `FAULT_SEED`, which plays an earlier run again. */
export function campaignSeed(): number {
  const given = process.env["FAULT_SEED"];
  return given === undefined ? crypto.getRandomValues(new Uint32Array(1))[0]! : Number(given);
}
