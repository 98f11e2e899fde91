import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Span, minus, union, within } from "../../src/timeline/spans.ts";

const DAY = 60;

const spanArbitrary = fc
  .record({ fromMs: fc.integer({ min: 0, max: DAY }), length: fc.integer({ min: -2, max: 12 }) })
  .map(({ fromMs, length }): Span => ({ fromMs, toMs: fromMs + length }));
const spansArbitrary = fc.array(spanArbitrary, { maxLength: 12 });

/** Each whole millisecond that any of them covers. */
const covered = (spans: readonly Span[]): Set<number> =>
  new Set(
    spans.flatMap(({ fromMs, toMs }) =>
      Array.from({ length: Math.max(0, toMs - fromMs) }, (_, i) => fromMs + i),
    ),
  );

const expectNormal = (spans: readonly Span[]): void => {
  for (const [i, { fromMs, toMs }] of spans.entries()) {
    expect(toMs).toBeGreaterThan(fromMs);
    expect(fromMs).toBeGreaterThan(spans[i - 1]?.toMs ?? -Infinity);
  }
};

test("union, minus and within are those of sets of moments", () => {
  fc.assert(
    fc.property(spansArbitrary, spansArbitrary, spanArbitrary, (spans, others, window) => {
      expectNormal(union(spans));
      expect(covered(union(spans))).toEqual(covered(spans));
      expectNormal(minus(spans, others));
      expect(covered(minus(spans, others))).toEqual(covered(spans).difference(covered(others)));
      expectNormal(within(spans, window));
      expect(covered(within(spans, window))).toEqual(
        covered(spans).intersection(covered([window])),
      );
    }),
    { numRuns: 2_000 },
  );
});
