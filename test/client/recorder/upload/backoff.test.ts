import { describe, expect, test } from "bun:test";
import {
  backoffDelayMs,
  DELAY_MS_MAX,
  parseRetryAfter,
  RETRY_AFTER_MS_MAX,
} from "../../../../client/recorder/upload/backoff.ts";

describe("backoffDelayMs", () => {
  test("doubles the longest delay up to the limit", () => {
    const longest = [1, 2, 3, 4, 5, 6, 7, 2_000].map((n) => backoffDelayMs(n, null, () => 1));
    expect(longest).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, DELAY_MS_MAX]);
  });

  test("jitters over the whole delay", () => {
    expect(backoffDelayMs(3, null, () => 0)).toBe(0);
    expect(backoffDelayMs(3, null, () => 0.25)).toBe(500);
  });

  test("never comes back before the server asked, except after its limit", () => {
    expect(backoffDelayMs(1, 60_000, () => 0)).toBe(60_000);
    expect(backoffDelayMs(1, 60_000, () => 0.5)).toBe(60_250);
    expect(backoffDelayMs(1, 86_400_000, () => 0)).toBe(RETRY_AFTER_MS_MAX);
  });
});

describe("parseRetryAfter", () => {
  const nowMs = Date.UTC(2026, 0, 1);
  for (const [header, expected] of [
    [null, null],
    ["", null],
    ["0", 0],
    [" 12 ", 12_000],
    ["Thu, 01 Jan 2026 00:00:30 GMT", 30_000],
    ["Wed, 31 Dec 2025 23:00:00 GMT", 0],
    ["soon", null],
    ["-5 minutes", null],
  ] as const) {
    test(`reads ${JSON.stringify(header)}`, () => {
      expect(parseRetryAfter(header, nowMs)).toBe(expected);
    });
  }
});
