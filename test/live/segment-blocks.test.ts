import { expect, test } from "bun:test";
import { join } from "node:path";
import { SegmentBlocks } from "../../src/live/segment-blocks.ts";

test("of several sounds the blocks of the first one alone are shown", async () => {
  const path = join(import.meta.dir, "../fixtures/field/two-sound-tracks.mkv");
  const blocks = new SegmentBlocks();
  const placed = blocks.push(0, await Bun.file(path).bytes());
  expect(placed.length).toBeGreaterThan(100);
  const numbers = new Set(placed.map(({ block }) => block.track.number));
  expect([...numbers]).toEqual([blocks.tracks.audio?.number ?? 0]);
  const times = placed.map(({ block }) => block.atMs);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
});
