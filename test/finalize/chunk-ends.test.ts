import { expect, test } from "bun:test";
import { ChunkEnds } from "../../src/finalize/chunk-ends.ts";

test("gives back what was added, in order, however much it is", () => {
  const ends = new ChunkEnds();
  const expected = Array.from({ length: 1_000 }, (_, i) => ({
    sequence: i * 2,
    mediaEndMs: i * 1_000 + 0.5,
  }));
  for (const { sequence, mediaEndMs } of expected) ends.add(sequence, mediaEndMs);
  expect([...ends]).toEqual(expected);
  expect(ends.length).toBe(1_000);
});
