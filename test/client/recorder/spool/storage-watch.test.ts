import { describe, expect, test } from "bun:test";
import {
  StorageWatch,
  type StorageWatchParts,
} from "../../../../client/recorder/spool/storage-watch.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

const QUOTA_BYTES = 100_000_000;

/** Lets everything that is ready run. */
const settled = () =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

async function watchWith(parts: Partial<StorageWatchParts> = {}) {
  const clock = new ManualClock();
  const browser = { usedBytes: 0, asked: 0 };
  const watch = new StorageWatch({
    clock,
    thresholds: { low: 0.8, critical: 0.9 },
    memoryBytesMax: 1_000,
    noDiskReason: null,
    estimate: async () => {
      browser.asked += 1;
      return { usedBytes: browser.usedBytes, quotaBytes: QUOTA_BYTES };
    },
    ...parts,
  });
  const seen: string[] = [];
  watch.events.on("changed", ({ state }) => seen.push(state));
  watch.events.on("reduce", () => seen.push("reduce"));
  watch.events.on("full", () => seen.push("full"));
  watch.start();
  await settled();
  const use = async (usedBytes: number) => {
    const writtenBytes = Math.max(0, usedBytes - browser.usedBytes);
    browser.usedBytes = usedBytes;
    watch.wroteToDisk(writtenBytes);
    await settled();
  };
  return { clock, watch, browser, seen, use };
}

describe("StorageWatch", () => {
  test("tells each threshold once and has the bit rate halved twice at most", async () => {
    const { seen, use, clock, browser } = await watchWith();
    for (let used = 0; used <= QUOTA_BYTES; used += 1_000_000) await use(used);
    expect(seen).toEqual(["ok", "low", "reduce", "critical", "reduce"]);
    browser.usedBytes = 0;
    clock.advance(60_000);
    await settled();
    expect(seen.at(-1)).toBe("ok");
  });

  test("asks seldom where there is much room, and often where there is little", async () => {
    const { use, browser } = await watchWith();
    for (let used = 0; used <= 60_000_000; used += 100_000) await use(used);
    expect(browser.asked).toBeLessThan(10);
    const before = browser.asked;
    for (let used = 85_000_000; used <= 90_000_000; used += 100_000) await use(used);
    expect(browser.asked - before).toBeGreaterThan(3);
  });

  test("goes on in memory when the disk is full, and stops when that is full, too", async () => {
    const { watch, seen } = await watchWith();
    watch.diskFailed(new DOMException("No room", "QuotaExceededError"));
    watch.memoryIs(500);
    await settled();
    expect(seen).toEqual(["ok", "reduce", "reduce", "memory"]);
    watch.memoryIs(1_000);
    expect(seen).not.toContain("full");
    watch.memoryIs(1_001);
    watch.memoryIs(5_000);
    expect(seen.slice(4)).toEqual(["full"]);
    watch.memoryIs(0);
    expect(seen.at(-1)).toBe("ok");
  });

  test("says why nothing is on the disk", async () => {
    const reasons: (string | null)[] = [];
    const { watch } = await watchWith();
    watch.events.on("changed", ({ reason }) => reasons.push(reason));
    watch.diskFailed(new Error("It is broken"));
    watch.memoryIs(1);
    expect(reasons).toEqual(["The browser cannot write to the disk (It is broken)."]);
    const { seen, clock } = await watchWith({ noDiskReason: "There is none." });
    expect(seen).toEqual(["memory"]);
    expect(clock.pendingTimers).toBe(0);
  });

  test("does without figures where the browser gives none", async () => {
    for (const estimate of [async () => null, () => Promise.reject(new TypeError("no"))]) {
      const { seen, use } = await watchWith({ estimate });
      await use(QUOTA_BYTES);
      expect(seen).toEqual(["ok"]);
    }
  });

  test("tells nothing after its end", async () => {
    const { watch, seen, clock, browser } = await watchWith();
    browser.usedBytes = QUOTA_BYTES;
    watch.stop();
    watch.wroteToDisk(QUOTA_BYTES);
    watch.memoryIs(5_000);
    await settled();
    expect(seen).toEqual(["ok"]);
    expect(clock.pendingTimers).toBe(0);
  });
});
