import { describe, expect, test } from "bun:test";
import type { SpooledChunk } from "../../../client/recorder/chunk-spool.ts";
import { MemorySpool } from "../../../client/recorder/memory-spool.ts";

const ANY = { bytesMax: 1_000, chunksMax: 100 };

function chunk(segmentId: string, sequence: number, bytes = 10): SpooledChunk {
  return {
    recordingId: "recording",
    participantId: "alice",
    trackId: "camera",
    segmentId,
    sequence,
    payload: new Blob(["x".repeat(bytes)]),
    mimeType: "video/webm",
    beganAtMs: 0,
    durationMs: 1_000,
  };
}

async function spoolOf(...chunks: readonly SpooledChunk[]): Promise<MemorySpool> {
  const spool = new MemorySpool();
  for (const each of chunks) await spool.put(each);
  return spool;
}

const names = (chunks: readonly SpooledChunk[]) =>
  chunks.map(({ segmentId, sequence }) => `${segmentId}${sequence}`).join(" ");

describe("MemorySpool", () => {
  test("lends the oldest run of one segment, once", async () => {
    const spool = await spoolOf(chunk("a", 0), chunk("a", 1), chunk("b", 0));
    expect(names(await spool.take(ANY))).toBe("a0 a1");
    expect(names(await spool.take(ANY))).toBe("b0");
    expect(await spool.take(ANY)).toEqual([]);
  });

  test("lends no more than the limits, but at least one chunk", async () => {
    const spool = await spoolOf(chunk("a", 0, 40), chunk("a", 1, 10), chunk("a", 2, 10));
    expect(names(await spool.take({ bytesMax: 25, chunksMax: 9 }))).toBe("a0");
    expect(names(await spool.take({ bytesMax: 25, chunksMax: 1 }))).toBe("a1");
    expect(names(await spool.take({ bytesMax: 25, chunksMax: 9 }))).toBe("a2");
  });

  test("lends only consecutive chunks together", async () => {
    const spool = await spoolOf(chunk("a", 0), chunk("a", 1), chunk("a", 2), chunk("a", 4));
    const [first, second] = await spool.take({ bytesMax: 1_000, chunksMax: 2 });
    if (first === undefined || second === undefined) throw new Error("Two chunks were expected");
    await spool.giveBack([first]);
    expect(names(await spool.take(ANY))).toBe("a0");
    expect(names(await spool.take(ANY))).toBe("a2");
    expect(names(await spool.take(ANY))).toBe("a4");
  });

  test("lends what was given back before anything newer", async () => {
    const spool = await spoolOf(chunk("a", 0), chunk("a", 1));
    const taken = await spool.take(ANY);
    await spool.put(chunk("a", 2));
    await spool.giveBack(taken);
    expect(names(await spool.take(ANY))).toBe("a0 a1 a2");
  });

  test("forgets only what is deleted", async () => {
    const spool = await spoolOf(chunk("a", 0), chunk("a", 1), chunk("b", 0));
    const [first] = await spool.take({ bytesMax: 1_000, chunksMax: 1 });
    if (first === undefined) throw new Error("A chunk was expected");
    expect(names(await spool.list())).toBe("a0 a1 b0");
    await spool.delete([first]);
    await spool.giveBack([first]);
    expect(names(await spool.list())).toBe("a1 b0");
    expect(names(await spool.take(ANY))).toBe("a1");
  });
});
