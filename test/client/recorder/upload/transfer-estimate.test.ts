import { expect, test } from "bun:test";
import { TransferEstimate } from "../../../../client/recorder/upload/transfer-estimate.ts";

const BYTES = 1_000;

test("each request in a row that took too long is granted twice the time of the one before", () => {
  const estimate = new TransferEstimate();
  const firstMs = estimate.timeoutMs(BYTES);
  estimate.timedOut(0, firstMs);
  expect(estimate.timeoutMs(BYTES)).toBe(2 * firstMs);
  estimate.timedOut(firstMs, 3 * firstMs);
  expect(estimate.timeoutMs(BYTES)).toBe(4 * firstMs);
  estimate.answered(BYTES, 1);
  expect(estimate.timeoutMs(BYTES)).toBe(firstMs);
});

test("requests that took too long side by side count as one", () => {
  const estimate = new TransferEstimate();
  const firstMs = estimate.timeoutMs(BYTES);
  estimate.timedOut(0, firstMs);
  estimate.timedOut(10, firstMs + 10);
  estimate.timedOut(20, firstMs + 20);
  expect(estimate.timeoutMs(BYTES)).toBe(2 * firstMs);
});
