/** Numbers in one block of a list: few bytes for short files, few blocks for long ones. */
const BLOCK_BITS = 13;
const BLOCK_LENGTH = 2 ** BLOCK_BITS;
const BLOCK_MASK = BLOCK_LENGTH - 1;

type Numbers = Uint32Array | Float64Array;

/**
 * A list that grows, of numbers in as few bytes as their kind takes: an index has millions. It grows by
 * blocks, so that nothing is copied and nothing but the last block has room to spare.
 */
class NumberList {
  readonly #allocate: (length: number) => Numbers;
  readonly #blocks: Numbers[] = [];
  #length = 0;

  constructor(allocate: (length: number) => Numbers) {
    this.#allocate = allocate;
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    let block = this.#blocks[this.#length >>> BLOCK_BITS];
    if (block === undefined) {
      block = this.#allocate(BLOCK_LENGTH);
      this.#blocks.push(block);
    }
    block[this.#length & BLOCK_MASK] = value;
    this.#length += 1;
  }

  /** The value at `i`; 0 outside of the list. */
  at(i: number): number {
    return i < this.#length ? (this.#blocks[i >>> BLOCK_BITS]?.[i & BLOCK_MASK] ?? 0) : 0;
  }

  /** Adds to the last value. */
  increment(): void {
    const last = this.#length - 1;
    const block = this.#blocks[last >>> BLOCK_BITS];
    if (block !== undefined) block[last & BLOCK_MASK] = (block[last & BLOCK_MASK] ?? 0) + 1;
  }
}

/** Numbers of 32 bits without sign, 4 bytes each. */
export class Uint32List extends NumberList {
  constructor() {
    super((length) => new Uint32Array(length));
  }
}

/** Whole numbers of any size, 8 bytes each. */
export class WideList extends NumberList {
  constructor() {
    super((length) => new Float64Array(length));
  }
}
