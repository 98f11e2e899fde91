import { expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  FOLLOWING_OVERLAP_MS_MAX,
  REMAINDER_MS_MIN,
  type RecordedSegment,
  type ShownSegment,
  areAtOnce,
  driftMsOf,
  resolveOverlaps,
} from "../../src/timeline/overlapping-segments.ts";
import { type Span, lengthMs, minus, overlap, union } from "../../src/timeline/spans.ts";

const NONE = { video: null, audio: null };
const WHOLE = { fromMs: -Infinity, toMs: Infinity };

/** Picture and sound in one span, with a keyframe every so often from its begin. */
function both(fromMs: number, toMs: number, keyframeEveryMs = 2_000): RecordedSegment {
  const keyframesMs = Array.from(
    { length: Math.ceil((toMs - fromMs) / keyframeEveryMs) },
    (_, i) => fromMs + i * keyframeEveryMs,
  );
  const span = { fromMs, toMs };
  const video = { ...span, keyframesMs, holes: [], usableToMs: toMs };
  return { driftMs: 0, video, audio: span };
}

/** The same stretch of pictures and sound. */
function shown(fromMs: number, toMs: number): ShownSegment {
  return { video: { fromMs, toMs }, audio: { fromMs, toMs } };
}

test.each([
  ["one after the other", [both(0, 5_000), both(6_000, 9_000)], ["whole", "whole"]],
  [
    "a recorder that is replaced ends behind the begin of the next one",
    [both(0, 5_000), both(5_000 - FOLLOWING_OVERLAP_MS_MAX, 9_000)],
    ["whole", "whole"],
  ],
  [
    "a recorder that is replaced, of a device whose clock is fast",
    [{ ...both(0, 60_000), driftMs: 300 }, both(59_200, 90_000)],
    ["whole", "whole"],
  ],
  ["a double mount", [both(0, 8_000), both(10, 8_050)], ["whole", NONE]],
  ["a short one inside a long one", [both(0, 60_000), both(20_000, 21_000)], ["whole", NONE]],
  [
    "one that lasts longer takes over at its last keyframe before the end of the first",
    [both(0, 10_000), both(5_000, 20_000)],
    [shown(-Infinity, 9_000), shown(9_000, Infinity)],
  ],
  [
    "three that begin and end one after the other",
    [both(0, 10_000), both(5_000, 20_000), both(12_000, 30_000, 1_500)],
    [shown(-Infinity, 9_000), shown(9_000, 19_500), shown(19_500, Infinity)],
  ],
  [
    "what another covers from its begin on is not needed",
    [both(0, 10_000), both(1_000, 11_000, 8_500), both(2_000, 30_000, 50_000)],
    [shown(-Infinity, 2_000), NONE, "whole"],
  ],
  [
    "one that lost pictures takes over at the keyframe that ends its loss",
    [
      both(0, 10_000),
      {
        ...both(5_000, 20_000),
        video: {
          fromMs: 5_000,
          toMs: 20_000,
          keyframesMs: [5_000, 10_500],
          holes: [{ fromMs: 8_000, toMs: 10_500 }],
          usableToMs: 20_000,
        },
      },
    ],
    [
      "whole",
      { video: { fromMs: 10_500, toMs: Infinity }, audio: { fromMs: 10_000, toMs: Infinity } },
    ],
  ],
  [
    "pictures of no use at the end of the first are cut off",
    [
      {
        ...both(0, 10_000),
        video: {
          fromMs: 0,
          toMs: 10_000,
          keyframesMs: [0],
          holes: [{ fromMs: 5_000, toMs: 10_000 }],
          usableToMs: 5_000,
        },
      },
      both(4_800, 20_000),
    ],
    [shown(-Infinity, 4_800), "whole"],
  ],
  [
    "sound alone beside picture and sound",
    [{ ...both(0, 30_000), video: null }, both(10_000, 20_000)],
    [
      { video: null, audio: WHOLE },
      { video: WHOLE, audio: null },
    ],
  ],
  [
    "pictures alone beside sound alone",
    [
      { ...both(0, 30_000), video: null },
      { ...both(100, 20_000), audio: null },
    ],
    [
      { video: null, audio: WHOLE },
      { video: WHOLE, audio: null },
    ],
  ],
  [
    "pictures that nothing can decode do not take over",
    [
      both(0, 10_000),
      {
        ...both(5_000, 20_000),
        video: {
          fromMs: 5_000,
          toMs: 20_000,
          keyframesMs: [],
          holes: [],
          usableToMs: 20_000,
        },
      },
    ],
    [
      { video: WHOLE, audio: WHOLE },
      { video: null, audio: { fromMs: 10_000, toMs: Infinity } },
    ],
  ],
] as const)("%s", (_, segments, expected) => {
  expect(resolveOverlaps(segments)).toEqual(
    expected.map((one): ShownSegment => (one === "whole" ? { video: WHOLE, audio: WHOLE } : one)),
  );
});

const segmentArbitrary = fc
  .record({
    fromMs: fc.integer({ min: 0, max: 60_000 }),
    lengthMs: fc.integer({ min: 1, max: 30_000 }),
    keyframeEveryMs: fc.integer({ min: 1, max: 20_000 }),
    soundLateMs: fc.integer({ min: 0, max: 60 }),
    soundLongMs: fc.integer({ min: -60, max: 60 }),
  })
  .map(({ fromMs, lengthMs: length, keyframeEveryMs, soundLateMs, soundLongMs }) => {
    const { driftMs, video } = both(fromMs, fromMs + length, keyframeEveryMs);
    const beginMs = fromMs + soundLateMs;
    const audio = { fromMs: beginMs, toMs: Math.max(beginMs + 1, fromMs + length + soundLongMs) };
    return { driftMs, video, audio };
  });

const tracks = fc
  .array(segmentArbitrary, { minLength: 1, maxLength: 8 })
  .map((segments) => segments.toSorted((a, b) => a.audio.fromMs - b.audio.fromMs))
  .filter((segments) =>
    segments.every((one, i) => (one.video?.fromMs ?? 0) >= (segments[i - 1]?.video?.fromMs ?? 0)),
  );

test("each moment that any segment has is shown once, in order, from keyframe to keyframe", () => {
  fc.assert(
    fc.property(tracks, (segments) => {
      const resolved = resolveOverlaps(segments);
      expect(resolved).toHaveLength(segments.length);
      for (const stream of ["video", "audio"] as const) {
        const recorded = segments.map((segment) => segment[stream] ?? WHOLE);
        const stretches = resolved.flatMap((one, i) => {
          const span = one[stream];
          return span === null ? [] : [{ ...overlap(span, recorded[i] ?? WHOLE), index: i }];
        });
        for (const [i, { fromMs, toMs, index }] of stretches.entries()) {
          expect(toMs).toBeGreaterThan(fromMs);
          const before = stretches[i - 1];
          if (before === undefined) continue;
          // In order, and twice only what follows one another anyway.
          expect(fromMs).toBeGreaterThanOrEqual(before.fromMs);
          const isWhole = fromMs === recorded[index]?.fromMs;
          expect(before.toMs - fromMs).toBeLessThanOrEqual(isWhole ? FOLLOWING_OVERLAP_MS_MAX : 0);
          if (stream === "video" && !isWhole) {
            expect(segments[index]?.video?.keyframesMs).toContain(fromMs);
          }
        }
        const missing = minus(recorded, stretches);
        for (const rest of missing) {
          expect(lengthMs(rest)).toBeLessThan(REMAINDER_MS_MIN);
          expect(stretches.some(({ toMs }) => toMs === rest.fromMs)).toBeTrue();
        }
        const restMs = missing.reduce((sum, rest) => sum + lengthMs(rest), 0);
        expect(total(union(stretches))).toBeCloseTo(total(union(recorded)) - restMs, 3);
      }
    }),
    { numRuns: 1_000, endOnFailure: true },
  );
});

function sound(fromMs: number, toMs: number): RecordedSegment {
  return { driftMs: 0, video: null, audio: { fromMs, toMs } };
}

test("one that a later one follows, which begins before it would take over, is not shown", () => {
  const first = sound(15_000, 45_840);
  const longer = sound(37_000, 45_958);
  expect(resolveOverlaps([first, longer, sound(45_560, 70_000)])).toEqual([
    { video: null, audio: WHOLE },
    NONE,
    { video: null, audio: WHOLE },
  ]);
  expect(resolveOverlaps([first, longer, sound(45_560, 46_000)])).toEqual([
    { video: null, audio: WHOLE },
    { video: null, audio: { fromMs: 45_840, toMs: Infinity } },
    NONE,
  ]);
});

test("a segment that comes later changes nothing of what is shown before it", () => {
  fc.assert(
    fc.property(tracks, (segments) => {
      const [before, all] = [resolveOverlaps(segments.slice(0, -1)), resolveOverlaps(segments)];
      const beginMs = segments.at(-1)?.video?.fromMs ?? 0;
      for (const [i, { video }] of before.entries()) {
        const recorded = segments[i]?.video ?? WHOLE;
        const until = { fromMs: -Infinity, toMs: beginMs };
        const shownUntil = (span: Span | null | undefined): Span[] =>
          span ? union([overlap(overlap(span, recorded), until)]) : [];
        expect(shownUntil(all[i]?.video)).toEqual(shownUntil(video));
      }
    }),
  );
});

test("a device's clock that is fast, or not known to be right, makes a segment's end seem late", () => {
  const hour = { fromMs: 1_000, toMs: 3_601_000 };
  expect(driftMsOf(hour, 0.999_8)).toBeCloseTo(720, 6);
  expect(driftMsOf(hour, 1)).toBeCloseTo(360, 6);
  expect(driftMsOf(hour, 1.000_2)).toBe(0);
  const next = { fromMs: 3_600_000, toMs: 4_000_000, driftMs: 0 };
  expect(areAtOnce([{ ...hour, driftMs: 720 }, next])).toEqual([false, false]);
  expect(areAtOnce([next, { ...hour, driftMs: 0 }])).toEqual([true, true]);
});

function recordedFrom(fromMs: number, toMs: number) {
  return { fromMs, toMs, driftMs: 0 };
}

test("those that were recorded at the same time as any other are found in any order", () => {
  const [long, within, behind, alone] = [
    recordedFrom(0, 60_000),
    recordedFrom(5_000, 6_000),
    recordedFrom(50_000, 70_000),
    recordedFrom(80_000, 90_000),
  ];
  expect(areAtOnce([long, within, behind, alone])).toEqual([true, true, true, false]);
  expect(areAtOnce([alone, behind, within, long])).toEqual([false, true, true, true]);
  // What ends between them hides nothing.
  expect(areAtOnce([long, recordedFrom(1_000, 2_000), recordedFrom(3_000, 4_000)])).toEqual([
    true,
    true,
    true,
  ]);
  expect(
    areAtOnce([recordedFrom(0, 3_000), recordedFrom(2_900, 6_000), recordedFrom(5_900, 9_000)]),
  ).not.toContain(true);
  expect(areAtOnce([])).toEqual([]);
});

test("ten thousand segments that follow each other are looked at once each", () => {
  let asked = 0;
  const segments = Array.from({ length: 10_000 }, (_, i) => ({
    get fromMs() {
      asked += 1;
      return i * 3_000;
    },
    toMs: i * 3_000 + 2_500,
    driftMs: 0,
  }));
  expect(areAtOnce(segments)).not.toContain(true);
  expect(asked).toBeLessThan(segments.length * 50);
});

function total(spans: readonly Span[]): number {
  return spans.reduce((sum, span) => sum + lengthMs(span), 0);
}
