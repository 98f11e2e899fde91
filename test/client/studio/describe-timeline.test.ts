import { describe, expect, test } from "bun:test";
import {
  describeGaps,
  describePlace,
  formatTime,
} from "../../../client/studio/describe-timeline.ts";

test("a track's place is told in a line", () => {
  const timeline = { offsetMs: 2_140, durationMs: 3_600_000, segments: [], gaps: [] };
  expect(describePlace(timeline)).toBe("Begins 0:02.1 into the recording · lasts 1:00:00.0");
});

test.each([
  [0, "0:00.0"],
  [59_960, "1:00.0"],
  [3_723_049, "1:02:03.0"],
  [-80, "0:00.0"],
])("%p ms read %p", (ms, text) => {
  expect(formatTime(ms)).toBe(text);
});

describe("gaps are told", () => {
  test("with their causes, in order", () => {
    expect(
      describeGaps({
        gaps: [
          { cause: "muted", streams: ["audio"], fromMs: 1_000, toMs: 2_000 },
          { cause: "paused", streams: ["video", "audio"], fromMs: 4_000, toMs: 6_500 },
          { cause: "stalled", streams: ["video"], fromMs: 61_000, toMs: 65_000 },
        ],
      }),
    ).toEqual([
      { when: "0:01.0 – 0:02.0", what: "Sound: switched off" },
      { when: "0:04.0 – 0:06.5", what: "Picture and sound: paused" },
      { when: "1:01.0 – 1:05.0", what: "Picture: the browser gave nothing" },
    ]);
  });

  test("once where picture and sound differ by little, and not where nobody would notice", () => {
    expect(
      describeGaps({
        gaps: [
          { cause: "between-segments", streams: ["video"], fromMs: 0, toMs: 60 },
          { cause: "missing-chunks", streams: ["video"], fromMs: 3_060, toMs: 6_200 },
          { cause: "missing-chunks", streams: ["audio"], fromMs: 3_100, toMs: 6_200 },
          { cause: "damaged", streams: ["video"], fromMs: 6_200, toMs: 7_500 },
        ],
      }),
    ).toEqual([
      { when: "0:03.1 – 0:06.2", what: "Picture and sound: never reached the server" },
      { when: "0:06.2 – 0:07.5", what: "Picture: damaged, cannot be used" },
    ]);
    expect(describeGaps({ gaps: [] })).toEqual([]);
  });
});
