import { describe, expect, test } from "bun:test";
import { segmentIdSchema } from "../../src/contract/ids.ts";
import { GAP_MS_MAX, type UnplacedPart, placeParts } from "../../src/finalize/timeline-places.ts";
import { wallMsOf } from "../../src/timeline/segment-timeline.ts";

const BEGIN_MS = 1_700_000_000_000;

interface PartWords {
  readonly beginMs: number;
  readonly startMs?: number;
  readonly pauses?: readonly { mediaMs: number; fromMs: number; toMs: number }[];
  readonly lengthMs?: number;
}

function part({ beginMs, startMs = 0, pauses = [], lengthMs = 6_000 }: PartWords): UnplacedPart {
  const segmentId = segmentIdSchema.parse(crypto.randomUUID());
  const absolute = pauses.map((pause) => ({
    mediaMs: pause.mediaMs,
    fromMs: BEGIN_MS + pause.fromMs,
    toMs: BEGIN_MS + pause.toMs,
  }));
  return {
    timeline: { segmentId, beginMs: BEGIN_MS + beginMs, rate: 1, pauses: absolute },
    startMs,
    video: { firstMs: 0, lastMs: lengthMs - 33, endMs: lengthMs },
    audio: { firstMs: 28, lastMs: lengthMs - 60, endMs: lengthMs },
  };
}

/** Where second 0 of each part stands in the track. */
function beginsMs(...parts: readonly PartWords[]): number[] {
  return placeParts(parts.map((words) => part(words))).parts.map(({ toTrackMs }) => toTrackMs(0));
}

describe("placeParts", () => {
  test("keeps the time between segments", () => {
    expect(beginsMs({ beginMs: 0 }, { beginMs: 11_000 }, { beginMs: 30_000 })).toEqual([
      0, 11_000, 30_000,
    ]);
  });

  test("the track begins with the first packet, wherever that stands in its source", () => {
    expect(beginsMs({ beginMs: 500, startMs: 40 }, { beginMs: 11_000, startMs: 20 })).toEqual([
      0, 10_480,
    ]);
  });

  test("a segment that comes a little too early goes behind the one before, and the next is not moved", () => {
    const [, second, third] = beginsMs({ beginMs: 0 }, { beginMs: 5_960 }, { beginMs: 12_100 });
    // Its sound begins 28 ms after its picture, and may begin when the sound before it has ended.
    expect(second).toBe(5_972);
    expect(third).toBe(12_100);
  });

  test("the place that it was moved to is told, pauses too", () => {
    const pauses = [{ mediaMs: 2_000, fromMs: 5_000, toMs: 8_000 }];
    const { beginMs, parts } = placeParts([part({ beginMs: 0 }), part({ beginMs: 3_000, pauses })]);
    const [, second] = parts;
    if (second === undefined) throw new Error("There is no second part");
    for (const mediaMs of [0, 1_999, 2_000, 4_000]) {
      expect(wallMsOf(second.timeline, mediaMs) - beginMs).toBe(second.toTrackMs(mediaMs));
    }
    expect(second.toTrackMs(2_000) - second.toTrackMs(1_000)).toBe(4_000);
    expect(second.timeline.pauses[0]?.fromMs).toBe(BEGIN_MS + 5_000 + 2_972);
  });

  test("no gap and no pause is longer than an MP4 can tell", () => {
    const dayMs = 24 * 3_600_000;
    const [, second] = beginsMs({ beginMs: 0 }, { beginMs: dayMs });
    expect(second).toBe(6_000 + GAP_MS_MAX);
    const pauses = [{ mediaMs: 1_000, fromMs: 1_000, toMs: 1_000 + dayMs }];
    const [only] = placeParts([part({ beginMs: 0, pauses })]).parts;
    expect(only?.toTrackMs(2_000)).toBe(2_000 + GAP_MS_MAX);
  });
});
