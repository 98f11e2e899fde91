import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { placeSegment } from "../../src/timeline/segment-place.ts";
import { wallMsOf } from "../../src/timeline/segment-timeline.ts";
import {
  BEGIN_MS,
  SLICE,
  reversed,
  simulate,
  type SimulatedSegment,
  type SimulatedSlice,
} from "./simulated-segment.ts";

const DAY_MS = 24 * 3_600_000;

/** Slices that are all alike, but for some that are named, and for what `each` says. */
const slices = (
  count: number,
  others: Readonly<Record<number, Partial<SimulatedSlice>>> = {},
  each: (index: number) => Partial<SimulatedSlice> = () => ({}),
): SimulatedSlice[] =>
  Array.from({ length: count }, (_, i) => ({ ...SLICE, ...others[i], ...each(i) }));

/** Slices of encoders that hold more or less, as the picture wants. */
const minutes = (count: number, each: (index: number) => Partial<SimulatedSlice> = () => ({})) =>
  slices(count * 60, {}, (i) => ({ encoderMs: encoderMsOf(i), ...each(i) }));

const encoderMsOf = (index: number) => 15 + ((index * 37) % 80);

/** Largest error of a frame's place; one every 33 ms, those beside the edge of a pause left out. */
function worstErrorMs({ request, wallMs, mediaEndMs }: SimulatedSegment, edgeMs = 0): number {
  const place = placeSegment(request);
  let worst = 0;
  for (let mediaMs = 5; mediaMs < mediaEndMs; mediaMs += 33) {
    if (place.pauses.some((pause) => Math.abs(pause.mediaMs - mediaMs) <= edgeMs)) continue;
    worst = Math.max(worst, Math.abs(wallMsOf(place, mediaMs) - wallMs(mediaMs)));
  }
  return worst;
}

describe("the begin of a segment", () => {
  test("is the mark of its start, not the browser's late event", () => {
    const { request } = simulate({ slices: slices(5), startEventMs: 730 });
    expect(placeSegment(request).beginMs).toBe(BEGIN_MS);
  });

  test("is half a frame after the start of a camera", () => {
    const { request } = simulate({ slices: slices(5) });
    const marks = request.marks.map((mark) =>
      mark.type === "began" ? { ...mark, pictures: "continuous" as const } : mark,
    );
    expect(placeSegment({ ...request, marks }).beginMs).toBe(BEGIN_MS + 16);
  });

  test("is the first stamp of a client that sends no marks", () => {
    const { request } = simulate({ slices: slices(5), hasMarks: false, startEventMs: 0 });
    expect(placeSegment(request).beginMs).toBe(BEGIN_MS);
  });

  test("is not moved by one chunk that came late out of the encoder", () => {
    const { request } = simulate({ slices: slices(6, { 0: { encoderMs: 900 } }) });
    expect(placeSegment(request).beginMs).toBe(BEGIN_MS);
  });

  test.each([-2_000, -600, 200, 5_000])(
    "is told by the others when chunk 0 was stamped by a clock that was %d ms off",
    (clockErrorMs) => {
      const segment = simulate({ slices: slices(8, { 0: { clockErrorMs } }) });
      expect(Math.abs(placeSegment(segment.request).beginMs - BEGIN_MS)).toBeLessThanOrEqual(60);
    },
  );

  test("is told by the chunks when the first frame came long after the start", () => {
    const segment = simulate({ slices: slices(8), firstFrameMs: 3_000 });
    expect(Math.abs(placeSegment(segment.request).beginMs - BEGIN_MS)).toBeLessThanOrEqual(60);
  });

  test("is when its chunks arrived, less their media, when nothing is stamped", () => {
    const { request } = simulate({
      slices: slices(6, { 3: { uploadMs: 20 } }),
      isStamped: false,
      hasMarks: false,
    });
    // 20 ms of upload, 40 ms in the encoder.
    expect(placeSegment(request).beginMs).toBe(BEGIN_MS + 60);
  });

  test("is the first arrival when a whole file came at once", () => {
    const { request } = simulate({ slices: slices(60), isStamped: false, hasMarks: false });
    const stamps = request.stamps.map((stamp) => ({
      ...stamp,
      receivedAtMs: request.openedAtMs + stamp.sequence,
    }));
    expect(placeSegment({ ...request, stamps }).beginMs).toBe(request.openedAtMs);
  });

  test.each([
    { why: "ahead", shiftMs: 3 * DAY_MS },
    { why: "of another year", shiftMs: -400 * DAY_MS },
  ])("is the arrival when the client's clock is $why, and its pauses are kept", ({ shiftMs }) => {
    const { request } = simulate({
      slices: slices(6, { 2: { pauseMs: 5_000 } }, () => ({ clockErrorMs: shiftMs })),
    });
    const place = placeSegment(request);
    expect(Math.abs(place.beginMs - BEGIN_MS)).toBeLessThanOrEqual(200);
    expect(place.pauses.map(({ fromMs, toMs }) => toMs - fromMs)).toEqual([5_000]);
    expect(place.pauses[0]?.mediaMs).toBe(3_000);
  });

  test("is the arrival when nothing is known but that", () => {
    const { request } = simulate({ slices: slices(1), isStamped: false, hasMarks: false });
    const place = placeSegment({ ...request, chunkEnds: [] });
    expect(place).toEqual({
      segmentId: request.segmentId,
      beginMs: request.openedAtMs,
      rate: 1,
      pauses: [],
    });
  });
});

describe("the pauses of a segment", () => {
  test("stand at the media time that was reached", () => {
    const { request } = simulate({
      slices: slices(9, { 2: { pauseMs: 4_000 }, 5: { pauseMs: 700 } }),
    });
    expect(placeSegment(request).pauses).toEqual([
      { mediaMs: 3_000, fromMs: BEGIN_MS + 3_000, toMs: BEGIN_MS + 7_000 },
      { mediaMs: 6_000, fromMs: BEGIN_MS + 10_000, toMs: BEGIN_MS + 10_700 },
    ]);
  });

  test("are none when the page was closed while it was paused", () => {
    const { request } = simulate({ slices: slices(4, { 2: { pauseMs: 4_000 } }) });
    const closed = {
      ...request,
      stamps: request.stamps.slice(0, 3),
      chunkEnds: request.chunkEnds.slice(0, 3),
      marks: request.marks.filter(({ type }) => type === "began" || type === "paused"),
    };
    expect(placeSegment(closed).pauses).toEqual([]);
  });

  test.each([
    { lost: "resumed", chunk: 4 },
    { lost: "paused", chunk: 3 },
  ])("are as long as the media then lags behind when $lost is lost", ({ lost, chunk }) => {
    const paused = { 3: { pauseMs: 6_000 } };
    const { marks } = simulate({ slices: slices(12, paused) }).request;
    const { request: left } = simulate({
      slices: slices(12, paused, (i) => ({ isLost: i === chunk })),
    });
    const request = { ...left, marks: marks.filter(({ type }) => type !== lost) };
    const [pause, ...others] = placeSegment(request).pauses;
    expect(others).toEqual([]);
    expect(Math.abs((pause?.toMs ?? 0) - (pause?.fromMs ?? 0) - 6_000)).toBeLessThanOrEqual(10);
    expect(Math.abs((pause?.mediaMs ?? 0) - 4_000)).toBeLessThanOrEqual(10);
  });

  test("do not move the begin when one comes at once, and its end is lost", () => {
    const { request } = simulate({
      slices: slices(12, { 0: { pauseMs: 6_000 }, 1: { isLost: true } }),
    });
    expect(placeSegment(request).beginMs).toBe(BEGIN_MS);
  });
});

describe("a standstill that nobody marked", () => {
  const sleep = { 9: { pauseMs: 600_000, isStandstill: true } };

  test("is found by the media that lag behind ever after, and says that it is none of the marked", () => {
    const segment = simulate({ slices: slices(30, { ...sleep, 20: { pauseMs: 5_000 } }) });
    const [first, second, ...others] = placeSegment(segment.request).pauses;
    expect(others).toEqual([]);
    expect(first).toMatchObject({ isStandstill: true, mediaMs: 9_960 });
    expect((first?.toMs ?? 0) - (first?.fromMs ?? 0)).toBe(600_000);
    expect(second).toEqual({
      mediaMs: 21_000,
      fromMs: BEGIN_MS + 621_000,
      toMs: BEGIN_MS + 626_000,
    });
    expect(worstErrorMs(segment, 1_100)).toBeLessThanOrEqual(1);
  });

  test("can come again", () => {
    const segment = simulate({
      slices: slices(40, { ...sleep, 16: { pauseMs: 8_000, isStandstill: true } }),
    });
    expect(placeSegment(segment.request).pauses).toHaveLength(2);
    expect(worstErrorMs(segment, 1_100)).toBeLessThanOrEqual(1);
  });

  test("is none when a page froze, when a clock was wrong for a while, nor in a picture that stands", () => {
    const frozen = slices(30, {}, (i) => ({ encoderMs: i > 9 && i < 16 ? 6_000 : 40 }));
    expect(placeSegment(simulate({ slices: frozen }).request).pauses).toEqual([]);
    const wrong = slices(30, {}, (i) => ({ clockErrorMs: i > 9 && i < 20 ? 5_000 : 0 }));
    expect(placeSegment(simulate({ slices: wrong }).request).pauses).toEqual([]);
    // A clock is set forward while one chunk is recorded.
    for (const at of [2, 15, 28]) {
      const early = slices(30, {}, (i) => ({ clockErrorMs: i === at ? -5_000 : 0 }));
      expect(placeSegment(simulate({ slices: early }).request).pauses).toEqual([]);
    }
    // Nothing more is drawn after 12 s.
    const still = slices(30, {}, (i) => ({ encoderMs: Math.max(40, (i + 1 - 12) * 1_000) }));
    expect(placeSegment(simulate({ slices: still }).request).pauses).toEqual([]);
  });
});

describe("the rate of a segment", () => {
  test.each([1.000_2, 0.999_8, 1.000_05])("is found over half an hour: %d", (rate) => {
    const { request } = simulate({ slices: minutes(30), rate });
    expect(Math.abs(placeSegment(request).rate - rate)).toBeLessThan(0.000_01);
  });

  test("is 1 in a short segment, and where nothing drifts", () => {
    expect(placeSegment(simulate({ slices: minutes(9), rate: 1.000_2 }).request).rate).toBe(1);
    expect(placeSegment(simulate({ slices: minutes(60) }).request).rate).toBe(1);
  });

  test("is 1 when a page that became slow delays its chunks, or the clock was set", () => {
    const late = minutes(30, (i) => ({ encoderMs: encoderMsOf(i) + (i > 900 ? 400 : 0) }));
    expect(placeSegment(simulate({ slices: late }).request).rate).toBe(1);
    const set = minutes(30, (i) => ({ clockErrorMs: i > 900 ? 300 : 0 }));
    expect(placeSegment(simulate({ slices: set }).request).rate).toBe(1);
  });
});

/** Encoders usually hold little; a busy computer's hold a second at times. */
const someSlice = fc.record({
  mediaMs: fc.integer({ min: 200, max: 1_600 }),
  encoderMs: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 10, max: 110 }) },
    { weight: 1, arbitrary: fc.integer({ min: 110, max: 1_000 }) },
  ),
  uploadMs: fc.integer({ min: 1, max: 60_000 }),
  clockErrorMs: fc.integer({ min: -5, max: 5 }),
  pauseMs: fc.oneof(
    { weight: 6, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 50, max: 60_000 }) },
  ),
  isLost: fc.constant(false),
});

test.each([
  ["ends in ten years", BEGIN_MS + 2_000, BEGIN_MS + 3_650 * DAY_MS],
  ["began in 1970", 0, BEGIN_MS + 2_000],
])("a pause that %s moves nothing", (_, pausedAtMs, resumedAtMs) => {
  const segment = simulate({ slices: slices(10) });
  const marks = [
    ...segment.request.marks,
    { type: "paused" as const, atMs: pausedAtMs },
    { type: "resumed" as const, atMs: resumedAtMs },
  ];
  const request = { ...segment.request, marks };
  expect(worstErrorMs({ ...segment, request })).toBeLessThan(1);
});

test("whatever the network and the encoder do, frames are placed as exactly as the clock is known", () => {
  fc.assert(
    fc.property(
      fc.array(someSlice, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 0, max: 5_000 }),
      fc.integer({ min: 0, max: 10 }),
      (drawn, startEventMs, firstFrameMs) => {
        const segment = simulate({ slices: drawn, startEventMs, firstFrameMs });
        // The clock's error at the begin, and at both ends of each pause.
        const pauses = drawn.filter(({ pauseMs }) => pauseMs > 0).length;
        const boundMs = 5 + 10 + 10 * pauses;
        expect(worstErrorMs(segment, boundMs)).toBeLessThanOrEqual(boundMs);
        expect(placeSegment(reversed(segment.request))).toEqual(placeSegment(segment.request));
      },
    ),
  );
});

test("missing chunks move no frame by more than the clock's error, as long as pauses keep a mark", () => {
  fc.assert(
    fc.property(
      fc.array(someSlice, { minLength: 4, maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 12 }),
      (drawn, lost) => {
        const taken = drawn.map((slice, i) => ({
          ...slice,
          isLost: lost.includes(i) && i < drawn.length - 1,
          // A pause between two chunks that are there.
          pauseMs: lost.includes(i) || lost.includes(i + 1) ? 0 : slice.pauseMs,
        }));
        const pauses = taken.filter(({ pauseMs }) => pauseMs > 0).length;
        const boundMs = 5 + 10 * pauses;
        expect(worstErrorMs(simulate({ slices: taken }), boundMs)).toBeLessThanOrEqual(boundMs);
      },
    ),
  );
});

test("it never throws, and pauses are in order and apart, whatever is told", () => {
  const instant = fc.integer({ min: BEGIN_MS - 100_000, max: BEGIN_MS + 100_000 });
  const someMark = fc.record({
    type: fc.constantFrom("paused" as const, "resumed" as const, "ended" as const),
    atMs: instant,
  });
  const someStamp = fc.record({
    sequence: fc.nat(20),
    byteLength: fc.nat(1_000),
    capturedAtMs: fc.option(instant),
    receivedAtMs: instant,
  });
  const someEnd = fc.record({
    sequence: fc.nat(20),
    mediaEndMs: fc.integer({ min: -10, max: 60_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(someMark),
      fc.array(someStamp),
      fc.array(someEnd),
      (marks, stamps, ends) => {
        const { request } = simulate({ slices: slices(1) });
        const place = placeSegment({ ...request, marks, stamps, chunkEnds: ends });
        expect(Number.isFinite(place.beginMs)).toBe(true);
        let atMs = place.beginMs;
        for (const pause of place.pauses) {
          expect(pause.fromMs).toBeGreaterThanOrEqual(atMs);
          expect(pause.toMs).toBeGreaterThan(pause.fromMs);
          expect(pause.mediaMs).toBeGreaterThanOrEqual(-0.001);
          atMs = pause.toMs;
        }
      },
    ),
  );
});
