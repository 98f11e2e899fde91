import { describe, expect, test } from "bun:test";
import { formatDuration, formatSpan } from "../../../client/studio/format-duration.ts";

describe("formatDuration", () => {
  test.each([
    [0, "0:00"],
    [999, "0:00"],
    [7_000, "0:07"],
    [59_999, "0:59"],
    [60_000, "1:00"],
    [760_000, "12:40"],
    [3_723_000, "1:02:03"],
    [-5, "0:00"],
    [Number.NaN, "0:00"],
  ])("%p ms read %p", (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });
});

describe("formatSpan", () => {
  test.each([
    [1, "1 s"],
    [59_000, "59 s"],
    [59_001, "1 min 0 s"],
    [125_000, "2 min 5 s"],
  ])("%p ms read %p: what waits is never understated", (durationMs, text) => {
    expect(formatSpan(durationMs)).toBe(text);
  });
});
