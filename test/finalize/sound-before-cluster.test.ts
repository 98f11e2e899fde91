import { expect, test } from "bun:test";
import { looseRun } from "../../src/finalize/sound-before-cluster.ts";

const BLOCK_BYTES = 6;
const SOUND = 2;

/** SimpleBlocks without a payload, as fast as ticks can ascend (RFC 9559, section 10.1). */
function emptyBlocks(count: number, firstTicks: number): Buffer {
  const bytes = Buffer.alloc(count * BLOCK_BYTES);
  for (let i = 0; i < count; i += 1) {
    const at = i * BLOCK_BYTES;
    bytes.set([0xa3, 0x84, 0x80 | SOUND], at);
    bytes.writeInt16BE(firstTicks + i, at + 3);
  }
  return bytes;
}

test("the blocks before a cluster are found behind half a block", () => {
  const bytes = Buffer.concat([Buffer.from([0x84, 0x82, 0x00]), emptyBlocks(10, 100)]);
  const run = looseRun(bytes, new Set([1, SOUND]), SOUND);
  expect(run?.lastRelativeTicks).toBe(109);
  expect(run?.blocks.map(({ relativeTicks }) => relativeTicks)).toEqual(
    Array.from({ length: 10 }, (_, i) => 100 + i),
  );
});

test("of more blocks than a cluster can have the last ones are taken, in bounds", () => {
  const run = looseRun(emptyBlocks(60_000, -32_768), new Set([1, SOUND]), SOUND);
  expect(run?.lastRelativeTicks).toBe(60_000 - 1 - 32_768);
  expect(run?.blocks.length).toBeLessThanOrEqual(20_000);
});
