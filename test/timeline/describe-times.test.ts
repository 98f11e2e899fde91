import { describe, expect, test } from "bun:test";
import { describeSpans, describeTime } from "../../src/timeline/describe-times.ts";

describe("describeTime", () => {
  test.each([
    [0, "0:00.0"],
    [3_149, "0:03.1"],
    [59_960, "1:00.0"],
    [3_723_000, "1:02:03.0"],
    [-40, "0:00.0"],
    [-1_200, "-0:01.2"],
  ])("%p ms read %p", (ms, text) => {
    expect(describeTime(ms)).toBe(text);
  });
});

describe("describeSpans", () => {
  test("tells spans in order, those of picture and sound as one", () => {
    const spans = [
      { fromMs: 9_000, toMs: 10_000 },
      { fromMs: 3_060, toMs: 6_200 },
      { fromMs: 3_100, toMs: 6_260 },
      { fromMs: 7_000, toMs: 7_000 },
    ];
    expect(describeSpans(spans)).toBe("0:03.1 to 0:06.3, 0:09.0 to 0:10.0");
  });

  test("does not go on for ever", () => {
    const spans = Array.from({ length: 11 }, (_, i) => ({
      fromMs: i * 1_000,
      toMs: i * 1_000 + 500,
    }));
    expect(describeSpans(spans)).toEndWith("0:07.0 to 0:07.5 and 3 more");
  });
});
