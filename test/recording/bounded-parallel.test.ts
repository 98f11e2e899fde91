import { expect, test } from "bun:test";
import { boundedParallel } from "../../src/recording/bounded-parallel.ts";

test("does everything, never more at once than allowed", async () => {
  const done: number[] = [];
  let underWay = 0;
  let underWayMax = 0;
  await boundedParallel(Array.from({ length: 20 }).keys(), 3, async (item) => {
    underWay += 1;
    underWayMax = Math.max(underWayMax, underWay);
    await new Promise((resolve) => setImmediate(resolve));
    underWay -= 1;
    done.push(item);
  });
  expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(underWayMax).toBe(3);
});

test("begins nothing after a failure, and tells it", async () => {
  const begun: number[] = [];
  const running = boundedParallel([0, 1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    await new Promise((resolve) => setImmediate(resolve));
    if (item === 1) throw new RangeError("item 1");
  });
  await expect(running).rejects.toThrow("item 1");
  expect(begun.length).toBeLessThan(6);
});
