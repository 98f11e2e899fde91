import { describe, expect, test } from "bun:test";
import { MemorySpool } from "../../../../client/recorder/spool/memory-spool.ts";
import { SPOOL_BEHAVIOURS, spooledChunk } from "./chunk-spool-suite.ts";

describe("MemorySpool", () => {
  test.each(SPOOL_BEHAVIOURS.map(({ name, check }) => [name, check] as const))(
    "%s",
    async (_, check) => {
      await check(new MemorySpool());
    },
  );

  test("knows how much it holds", async () => {
    const spool = new MemorySpool();
    expect(await spool.put(spooledChunk("a", 0, 40))).toBe("memory");
    await spool.put(spooledChunk("a", 1, 2));
    expect(spool.bytes).toBe(42);
    await spool.delete([{ segmentId: "a", sequence: 0 }]);
    await spool.delete([{ segmentId: "a", sequence: 0 }]);
    expect(spool.bytes).toBe(2);
  });
});
