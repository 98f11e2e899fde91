/** Random numbers that come again with the same seed (mulberry32: 32 bits of state). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to below 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `end`; 0 when there is none. */
  below(end: number): number {
    return Math.floor(this.fraction() * end);
  }

  /** One of the choices; there must be one. */
  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new RangeError("There is nothing to choose from.");
    return choice;
  }

  /** Most often small, now and then up to `max`. */
  length(max: number): number {
    return 1 + Math.floor(this.fraction() ** 4 * max);
  }
}
