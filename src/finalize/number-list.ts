const FIRST_CAPACITY = 1_024;

/** A list of numbers of 32 bits without sign, 4 bytes each: an index has millions. */
export class Uint32List {
  #values = new Uint32Array(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Uint32Array(this.#length * 2);
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

/** A list of whole numbers of any size, 8 bytes each. */
export class WideList {
  #values = new Float64Array(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
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
}
