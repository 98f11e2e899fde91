const FIRST_CAPACITY = 1_024;

type Numbers = Uint32Array | Float64Array;

/** A list that grows, of numbers in as few bytes as their kind takes: an index has millions. */
class NumberList {
  readonly #allocate: (capacity: number) => Numbers;
  #values: Numbers;
  #length = 0;

  constructor(allocate: (capacity: number) => Numbers) {
    this.#allocate = allocate;
    this.#values = allocate(FIRST_CAPACITY);
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = this.#allocate(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length] = value;
    this.#length += 1;
  }

  /** The value at `i`; 0 outside of the list. */
  at(i: number): number {
    return i < this.#length ? (this.#values[i] ?? 0) : 0;
  }

  /** Adds to the last value. */
  increment(): void {
    const last = this.#length - 1;
    this.#values[last] = (this.#values[last] ?? 0) + 1;
  }
}

/** Numbers of 32 bits without sign, 4 bytes each. */
export class Uint32List extends NumberList {
  constructor() {
    super((capacity) => new Uint32Array(capacity));
  }
}

/** Whole numbers of any size, 8 bytes each. */
export class WideList extends NumberList {
  constructor() {
    super((capacity) => new Float64Array(capacity));
  }
}
