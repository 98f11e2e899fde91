import { expect, test } from "bun:test";
import { mixedCount } from "../../src/finalize/segment-mix.ts";
import type { Hole, StreamCount } from "../../src/finalize/source-stream.ts";

function sound(firstMs: number, endMs: number, holes: readonly Hole[] = []): StreamCount {
  const packets = 10;
  return {
    packets,
    visiblePackets: packets,
    bytes: 100,
    firstMs,
    lastMs: endMs - 20,
    endMs,
    holes,
  };
}

test("sounds that are mixed hold what any of them holds, from the segment's begin on", () => {
  const mixed = mixedCount([sound(500, 4_000), sound(1_000, 6_000)], 500);
  expect(mixed).toMatchObject({ firstMs: 500, lastMs: 5_980, endMs: 6_000, holes: [] });
});

test("where none of them has a packet is a hole, before the first one too", () => {
  const first = sound(1_000, 4_000, [{ fromMs: 2_000, toMs: 3_000 }]);
  const second = sound(1_500, 2_500);
  expect(mixedCount([first, second, sound(5_000, 6_000)], 0).holes).toEqual([
    { fromMs: 0, toMs: 1_000 },
    { fromMs: 2_500, toMs: 3_000 },
    { fromMs: 4_000, toMs: 5_000 },
  ]);
});
