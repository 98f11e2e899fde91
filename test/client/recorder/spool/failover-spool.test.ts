import { describe, expect, test } from "bun:test";
import { FailoverSpool } from "../../../../client/recorder/spool/failover-spool.ts";
import { MemorySpool } from "../../../../client/recorder/spool/memory-spool.ts";
import { spooledChunk } from "./chunk-spool-suite.ts";

/** A disk that from some time on takes and gives nothing any more. */
class FailingSpool extends MemorySpool {
  fails = false;

  override async put(chunk: ReturnType<typeof spooledChunk>): Promise<"memory"> {
    this.#refuseWhenFailing();
    await super.put(chunk);
    return "memory";
  }

  override async list() {
    this.#refuseWhenFailing();
    return super.list();
  }

  #refuseWhenFailing(): void {
    if (this.fails) throw new DOMException("The disk is gone", "UnknownError");
  }
}

describe("FailoverSpool, when its disk cannot be read any more", () => {
  test("lists what is in memory, and tells of the disk", async () => {
    const disk = new FailingSpool();
    const troubles: unknown[] = [];
    const spool = new FailoverSpool(disk, new MemorySpool(), (cause) => troubles.push(cause));
    await spool.put(spooledChunk("a", 0, 10));
    disk.fails = true;
    await spool.put(spooledChunk("a", 1, 10));
    expect((await spool.list()).map(({ sequence }) => sequence)).toEqual([1]);
    expect(troubles).toHaveLength(2);
  });

  test("says so when nothing is in memory", async () => {
    const disk = new FailingSpool();
    const spool = new FailoverSpool(disk, new MemorySpool(), () => undefined);
    await spool.put(spooledChunk("a", 0, 10));
    disk.fails = true;
    expect(spool.list()).rejects.toThrow("The disk is gone");
  });
});
