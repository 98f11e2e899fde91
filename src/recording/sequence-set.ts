import type { SequenceRange } from "../contract/chunks.ts";

/**
 * Which sequence numbers of a segment are there, as sorted disjoint ranges. Memory follows the
 * number of gaps, not of chunks.
 */
export class SequenceSet {
  // Inclusive, ascending, never touching each other.
  readonly #ranges: { from: number; to: number }[] = [];
  #count = 0;

  /** How many sequences are there. */
  get count(): number {
    return this.#count;
  }

  /** How many runs without a gap they form. */
  get rangeCount(): number {
    return this.#ranges.length;
  }

  /** First sequence that is not there: every one before it is. */
  get next(): number {
    const first = this.#ranges[0];
    return first === undefined || first.from > 0 ? 0 : first.to + 1;
  }

  /** One more than the highest sequence that is there; 0 when empty. */
  get end(): number {
    const last = this.#ranges.at(-1);
    return last === undefined ? 0 : last.to + 1;
  }

  /** Whether `sequence` is there. */
  has(sequence: number): boolean {
    const range = this.#ranges[this.#indexOfLastFrom(sequence)];
    return range !== undefined && sequence <= range.to;
  }

  /** Adds `sequence`; does nothing when it is there. */
  add(sequence: number): void {
    const index = this.#indexOfLastFrom(sequence);
    const before = this.#ranges[index];
    if (before !== undefined && sequence <= before.to) return;
    this.#count += 1;
    const after = this.#ranges[index + 1];
    const touchesBefore = before !== undefined && before.to + 1 === sequence;
    const touchesAfter = after !== undefined && after.from === sequence + 1;
    if (touchesBefore && touchesAfter) {
      before.to = after.to;
      this.#ranges.splice(index + 1, 1);
    } else if (touchesBefore) {
      before.to = sequence;
    } else if (touchesAfter) {
      after.from = sequence;
    } else {
      this.#ranges.splice(index + 1, 0, { from: sequence, to: sequence });
    }
  }

  /** All sequences that are there, ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (const { from, to } of this.#ranges) {
      for (let sequence = from; sequence <= to; sequence += 1) yield sequence;
    }
  }

  /** A copy that later additions to this set do not reach. */
  clone(): SequenceSet {
    const copy = new SequenceSet();
    copy.#ranges.push(...this.#ranges.map((range) => ({ ...range })));
    copy.#count = this.#count;
    return copy;
  }

  /** The gaps before `end` (exclusive), which is the highest known sequence plus one. */
  missing(end: number = this.end): SequenceRange[] {
    const gaps: SequenceRange[] = [];
    let expected = 0;
    for (const { from, to } of this.#ranges) {
      if (from >= end) break;
      if (from > expected) gaps.push({ from: expected, to: from - 1 });
      expected = to + 1;
    }
    if (expected < end) gaps.push({ from: expected, to: end - 1 });
    return gaps;
  }

  /** Index of the last range that begins at or before `sequence`; -1 when there is none. */
  #indexOfLastFrom(sequence: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle];
      if (range !== undefined && range.from <= sequence) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
