import { describe, expect, test } from "bun:test";
import {
  TIMEOUT_MS_MAX,
  TIMEOUT_MS_MIN,
  TransferEstimate,
} from "../../../../client/recorder/upload/transfer-estimate.ts";

const CHUNK_BYTES = 131_072;

describe("TransferEstimate", () => {
  test("gives a fast path's request up after seconds", () => {
    const estimate = new TransferEstimate();
    estimate.answered(CHUNK_BYTES, 40);
    expect(estimate.timeoutMs(0)).toBe(TIMEOUT_MS_MIN);
    expect(estimate.timeoutMs(CHUNK_BYTES)).toBe(TIMEOUT_MS_MIN);
    expect(estimate.timeoutMs(1_048_576)).toBeLessThan(5_000);
  });

  test("waits for a first request as for the slowest uplink", () => {
    const estimate = new TransferEstimate();
    // 128 kbit/s.
    expect(estimate.timeoutMs(CHUNK_BYTES)).toBeGreaterThan(CHUNK_BYTES / 16);
    expect(estimate.timeoutMs(8_388_608)).toBeGreaterThan(8_388_608 / 16);
  });

  test("grants twice the time after each request that took too long, up to a limit", () => {
    const estimate = new TransferEstimate();
    estimate.answered(CHUNK_BYTES, 40);
    estimate.timedOut(1_000, 5_000);
    // They were under way together.
    estimate.timedOut(1_500, 5_500);
    estimate.timedOut(2_000, 6_000);
    expect(estimate.timeoutMs(0)).toBe(2 * TIMEOUT_MS_MIN);
    estimate.timedOut(6_000, 14_000);
    expect(estimate.timeoutMs(0)).toBe(4 * TIMEOUT_MS_MIN);
    for (let i = 1; i < 50; i += 1) estimate.timedOut(i * 20_000, i * 20_000 + 1);
    expect(estimate.timeoutMs(0)).toBe(TIMEOUT_MS_MAX);
    estimate.answered(0, 100);
    expect(estimate.timeoutMs(0)).toBe(TIMEOUT_MS_MIN);
  });

  test("fills a path whose answers take long", () => {
    const estimate = new TransferEstimate();
    let bytes = CHUNK_BYTES;
    for (let i = 0; i < 20; i += 1) {
      // As much in a second as in the whole batch: it is the delay, not the width.
      estimate.answered(bytes, 1_000);
      bytes = estimate.batchBytes(1_048_576);
    }
    expect(bytes).toBe(1_048_576);
  });

  test("learns a path that becomes slow, and makes its batches small", () => {
    const estimate = new TransferEstimate();
    expect(estimate.batchBytes(1_048_576)).toBe(1_048_576);
    estimate.answered(1_048_576, 100);
    expect(estimate.batchBytes(1_048_576)).toBe(1_048_576);
    for (let i = 0; i < 20; i += 1) estimate.answered(CHUNK_BYTES, 4_000);
    expect(estimate.batchBytes(1_048_576)).toBe(262_144);
    expect(estimate.batchBytes(100_000)).toBe(100_000);
    expect(estimate.timeoutMs(CHUNK_BYTES)).toBeGreaterThan(12_000);
    expect(estimate.timeoutMs(CHUNK_BYTES)).toBeLessThan(16_000);
  });
});
