import { describe, expect, test } from "bun:test";
import { array, assert, nat, property } from "fast-check";
import { SequenceSet } from "../../src/recording/sequence-set.ts";

describe("SequenceSet", () => {
  test("agrees with a plain set for any sequences in any order", () => {
    assert(
      property(array(nat(40), { maxLength: 60 }), (sequences) => {
        const set = new SequenceSet();
        const model = new Set<number>();
        for (const sequence of sequences) {
          set.add(sequence);
          model.add(sequence);
        }
        const end = model.size === 0 ? 0 : Math.max(...model) + 1;
        let next = 0;
        while (model.has(next)) next += 1;
        expect(set.count).toBe(model.size);
        expect([...set]).toEqual([...model].toSorted((a, b) => a - b));
        expect(set.end).toBe(end);
        expect(set.next).toBe(next);
        for (let sequence = 0; sequence <= 41; sequence += 1) {
          expect(set.has(sequence)).toBe(model.has(sequence));
        }
        const missing = set.missing(end).flatMap(({ from, to }) => range(from, to));
        expect(missing).toEqual(range(0, end - 1).filter((sequence) => !model.has(sequence)));
      }),
    );
  });

  test("counts what is missing up to a total that is beyond its end", () => {
    const set = new SequenceSet();
    for (const sequence of [0, 1, 4]) set.add(sequence);
    expect(set.missing(8)).toEqual([
      { from: 2, to: 3 },
      { from: 5, to: 7 },
    ]);
    expect(set.rangeCount).toBe(2);
  });

  test("copies itself", () => {
    const set = new SequenceSet();
    for (const sequence of [0, 1, 4]) set.add(sequence);
    const copy = set.clone();
    set.add(2);
    expect([...copy]).toEqual([0, 1, 4]);
    expect(copy.count).toBe(3);
    copy.add(5);
    expect([...set]).toEqual([0, 1, 2, 4]);
  });

  test("has everything missing while it is empty", () => {
    expect(new SequenceSet().missing(3)).toEqual([{ from: 0, to: 2 }]);
    expect(new SequenceSet().missing()).toEqual([]);
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
