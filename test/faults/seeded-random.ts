/** Random numbers that can be had again. */
export interface SeededRandom {
  /** `VARIABLE=seed`: put before the command it gives the same numbers. */
  readonly name: string;
  /** From 0 up to, not including, 1. */
  next(): number;
  /** The same items in another order. */
  shuffled<Item>(items: readonly Item[]): Item[];
}

/**
 * Random numbers of a seed that the environment variable tells, or of a fresh one (mulberry32, which is
 * good enough to choose faults by).
 */
export function seededRandom(variable: string): SeededRandom {
  const told = process.env[variable];
  const seed = told === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(told);
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    name: `${variable}=${seed}`,
    next,
    shuffled: (items) =>
      items
        .map((item) => ({ item, place: next() }))
        .toSorted((a, b) => a.place - b.place)
        .map(({ item }) => item),
  };
}
