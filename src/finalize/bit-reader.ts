/** Reads bits of a header, the highest first; behind the end all are 0. */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #endBits: number;
  #at: number;

  /** @param to exclusive */
  constructor(bytes: Uint8Array, from: number, to: number) {
    this.#bytes = bytes;
    this.#at = from * 8;
    this.#endBits = to * 8;
  }

  /** Whether more was read than there is. */
  get isOver(): boolean {
    return this.#at > this.#endBits;
  }

  flag(): boolean {
    return this.unsigned(1) === 1;
  }

  /** @param bits at most 32 */
  unsigned(bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i += 1) {
      const byte = this.#at < this.#endBits ? (this.#bytes[this.#at >> 3] ?? 0) : 0;
      value = value * 2 + ((byte >> (7 - (this.#at & 7))) & 1);
      this.#at += 1;
    }
    return value;
  }

  /** `ue(v)` of ITU-T H.264, 9.1. */
  golomb(): number {
    let zeros = 0;
    while (zeros < GOLOMB_ZEROS_MAX && !this.isOver && !this.flag()) zeros += 1;
    return 2 ** zeros - 1 + this.unsigned(zeros);
  }
}

const GOLOMB_ZEROS_MAX = 31;
