import { describe, expect, test } from "bun:test";
import type { Mark } from "../../src/contract/marks.ts";
import type { TrackTimeline } from "../../src/contract/timeline.ts";
import { buildTrackTimeline } from "../../src/timeline/track-ledger.ts";
import { began, ledgerSegment, type PlainSegment, STARTED_AT_MS } from "./ledger-segment.ts";

/** `cause streams from-to` of each gap. */
type PlainGap = readonly [cause: string, streams: string, fromMs: number, toMs: number];

function timelineOf(...segments: readonly PlainSegment[]): TrackTimeline {
  const timeline = buildTrackTimeline({
    startedAtMs: STARTED_AT_MS,
    segments: segments.map(ledgerSegment),
  });
  if (timeline === null) throw new RangeError("There is no timeline");
  return timeline;
}

const gapsOf = (...segments: readonly PlainSegment[]): PlainGap[] =>
  timelineOf(...segments).gaps.map(({ cause, streams, fromMs, toMs }) => [
    cause,
    streams.join("+"),
    fromMs,
    toMs,
  ]);

const at = (ms: number): number => STARTED_AT_MS + ms;

describe("a track", () => {
  test("of one undisturbed segment has no gap, and begins with its first packet", () => {
    const timeline = timelineOf({ beginMs: 2_000.25, video: [80, 10_000], audio: [50, 9_990] });
    expect(timeline).toMatchObject({ offsetMs: 2_050.25, durationMs: 9_950, gaps: [] });
    expect(timeline.segments).toMatchObject([{ offsetMs: 2_050.25, durationMs: 9_950, rate: 1 }]);
  });

  test("without any media has no timeline", () => {
    const segment = ledgerSegment({ video: null, audio: null });
    expect(buildTrackTimeline({ startedAtMs: STARTED_AT_MS, segments: [segment] })).toBeNull();
    expect(buildTrackTimeline({ startedAtMs: STARTED_AT_MS, segments: [] })).toBeNull();
  });

  test("of several segments, in any order, lacks the time between them", () => {
    const timeline = timelineOf({ beginMs: 15_000, chunkCount: 5 }, { beginMs: 1_000 });
    expect(timeline).toMatchObject({ offsetMs: 1_000, durationMs: 19_000 });
    expect(timeline.segments).toMatchObject([
      { offsetMs: 1_000, durationMs: 10_000 },
      { offsetMs: 15_000, durationMs: 5_000 },
    ]);
    expect(timeline.gaps).toEqual([
      {
        cause: "between-segments",
        streams: ["video", "audio"],
        fromMs: 11_000,
        toMs: 15_000,
      },
    ]);
  });

  test("whose streams end and begin apart around a reload lacks each stream for as long as it is gone", () => {
    const first: PlainSegment = { video: [0, 9_970], audio: [0, 10_000] };
    const second: PlainSegment = { beginMs: 15_000, video: [120, 10_000], audio: [0, 10_000] };
    expect(gapsOf(first, second)).toEqual([
      ["between-segments", "video", 9_970, 15_120],
      ["between-segments", "audio", 10_000, 15_000],
    ]);
  });

  test("that begins with sound alone has no pictures until they come", () => {
    expect(gapsOf({ video: [300, 10_000], marks: [began("continuous")] })).toEqual([
      ["between-segments", "video", 0, 300],
    ]);
    const soundOnly: PlainSegment = { chunkCount: 5, video: null };
    expect(gapsOf(soundOnly, { beginMs: 5_200 })).toEqual([
      ["muted", "video", 0, 5_000],
      ["between-segments", "video+audio", 5_000, 5_200],
    ]);
  });

  test("whose camera ends before its microphone has stalled, whose shared screen has only rested", () => {
    const early: PlainSegment = { video: [0, 6_000] };
    expect(gapsOf({ ...early, marks: [began("continuous")] })).toEqual([
      ["stalled", "video", 6_000, 10_000],
    ]);
    expect(gapsOf({ ...early, marks: [began("on-change")] })).toEqual([]);
    expect(gapsOf(early)).toEqual([["stalled", "video", 6_000, 10_000]]);
  });
});

describe("a pause", () => {
  const pauses = [{ mediaMs: 4_000, fromMs: at(4_000), toMs: at(9_000) }];

  test("that nobody asked for is a stall: the computer slept", () => {
    const [pause = { mediaMs: 0, fromMs: 0, toMs: 0 }] = pauses;
    expect(gapsOf({ pauses: [{ ...pause, isStandstill: true }] })).toEqual([
      ["stalled", "video+audio", 4_000, 9_000],
    ]);
  });

  test("is a gap, and lengthens its segment", () => {
    const timeline = timelineOf({ pauses });
    expect(timeline.durationMs).toBe(15_000);
    expect(timeline.gaps).toEqual([
      { cause: "paused", streams: ["video", "audio"], fromMs: 4_000, toMs: 9_000 },
    ]);
  });

  test("in which the segment ended lasts until the next one", () => {
    const first: PlainSegment = { chunkCount: 4, pauses };
    expect(gapsOf(first, { beginMs: 10_000 })).toEqual([
      ["paused", "video+audio", 4_000, 9_000],
      ["between-segments", "video+audio", 9_000, 10_000],
    ]);
  });

  test("is told before a mute and before what else it hides", () => {
    const marks = [{ type: "muted", atMs: at(3_000), stream: "audio" }] as const;
    expect(gapsOf({ pauses, marks, audio: [0, 10_000, [3_900, 4_200]] })).toEqual([
      ["muted", "audio", 3_000, 4_000],
      ["paused", "video+audio", 4_000, 9_000],
      ["muted", "audio", 9_000, 15_000],
    ]);
  });
});

describe("chunks that never came", () => {
  const missing = [3, 4, 5];

  test("are missing for their own time, and what cannot be used without them is damaged", () => {
    expect(
      gapsOf({ missing, video: [0, 10_000, [2_967, 7_500]], audio: [0, 10_000, [3_000, 6_020]] }),
    ).toEqual([
      ["missing-chunks", "video", 2_967, 6_000],
      ["missing-chunks", "audio", 3_000, 6_000],
      ["damaged", "audio", 6_000, 6_020],
      ["damaged", "video", 6_000, 7_500],
    ]);
  });

  test("end with the first picture behind them, also where a busy recorder's pictures were ahead of its sound", () => {
    const audio = [0, 10_000, [3_000, 6_000]] as const;
    expect(gapsOf({ missing, video: [0, 10_000, [3_000, 8_000, 6_900]], audio })).toEqual([
      ["missing-chunks", "audio", 3_000, 6_000],
      ["missing-chunks", "video", 3_000, 6_900],
      ["damaged", "video", 6_900, 8_000],
    ]);
    expect(gapsOf({ missing, video: [0, 10_000, [3_000, 8_000, 5_900]], audio })).toEqual([
      ["missing-chunks", "video", 3_000, 5_900],
      ["missing-chunks", "audio", 3_000, 6_000],
      ["damaged", "video", 5_900, 8_000],
    ]);
    // No chunk is so far ahead.
    expect(gapsOf({ missing, video: [0, 10_000, [3_000, 9_500, 9_000]], audio })).toEqual([
      ["missing-chunks", "video+audio", 3_000, 6_000],
      ["damaged", "video", 6_000, 9_500],
    ]);
  });

  test("are placed by their media where the sender tells no times", () => {
    expect(
      gapsOf({
        isStamped: false,
        missing,
        video: [0, 10_000, [3_000, 7_500]],
        audio: [0, 10_000, [3_000, 6_000]],
      }),
    ).toEqual([
      ["missing-chunks", "video+audio", 3_000, 6_000],
      ["damaged", "video", 6_000, 7_500],
    ]);
  });

  test.each([
    ["an hour ahead", () => 3_600_000],
    ["slower by the hour", (sequence: number) => sequence * 30],
  ])("are placed right though their sender's clock is %s", (_how, errorMs) => {
    const hole = [3_000, 6_000] as const;
    const plain = ledgerSegment({ missing, video: [0, 10_000, hole], audio: [0, 10_000, hole] });
    const stamps = plain.stamps.map(({ capturedAtMs, ...stamp }) => ({
      ...stamp,
      capturedAtMs: (capturedAtMs ?? 0) + errorMs(stamp.sequence),
    }));
    const timeline = buildTrackTimeline({
      startedAtMs: STARTED_AT_MS,
      segments: [{ ...plain, stamps }],
    });
    const [gap, ...others] =
      timeline?.gaps.filter(({ streams }) => streams.includes("video")) ?? [];
    expect(gap?.cause).toBe("missing-chunks");
    expect(Math.abs((gap?.fromMs ?? 0) - 3_000)).toBeLessThanOrEqual(100);
    expect(Math.abs((gap?.toMs ?? 0) - 6_000)).toBeLessThanOrEqual(100);
    expect(others.every(({ cause }) => cause === "damaged")).toBe(true);
  });

  test("with chunks between them that cannot be used are told apart from those", () => {
    const hole = [3_000, 6_000] as const;
    const streams = { video: [0, 10_000, hole], audio: null } as const;
    const plain = ledgerSegment({ missing: [3, 5], ...streams });
    // Chunk 4 brought nothing.
    const chunkEnds = plain.chunkEnds.map(({ sequence, mediaEndMs }) => ({
      sequence,
      mediaEndMs: sequence === 4 ? 3_000 : mediaEndMs,
    }));
    const timeline = buildTrackTimeline({
      startedAtMs: STARTED_AT_MS,
      segments: [{ ...plain, chunkEnds }],
    });
    expect(timeline?.gaps.map(({ cause, fromMs, toMs }) => [cause, fromMs, toMs])).toEqual([
      ["missing-chunks", 3_000, 4_000],
      ["damaged", 4_000, 5_000],
      ["missing-chunks", 5_000, 6_000],
    ]);
  });

  test("at the end belong to the track as long as nothing else was recorded", () => {
    const first: PlainSegment = { missing: [8, 9], video: [0, 8_000], audio: [0, 8_000] };
    const untilStop = (stoppedAtMs: number | null) => {
      const segments = [ledgerSegment(first)];
      const timeline = buildTrackTimeline({ startedAtMs: STARTED_AT_MS, stoppedAtMs, segments });
      const { durationMs, gaps = [] } = timeline ?? {};
      return { durationMs, gaps: gaps.map(({ fromMs, toMs }) => [fromMs, toMs]) };
    };
    expect(untilStop(at(20_000))).toEqual({ durationMs: 10_000, gaps: [[8_000, 10_000]] });
    expect(untilStop(at(9_000))).toEqual({ durationMs: 9_000, gaps: [[8_000, 9_000]] });
    expect(untilStop(null)).toEqual({ durationMs: 8_000, gaps: [] });
    expect(gapsOf(first, { beginMs: 9_500 })).toEqual([
      ["missing-chunks", "video+audio", 8_000, 9_500],
    ]);
    expect(gapsOf(first, { beginMs: 12_000 })).toEqual([
      ["missing-chunks", "video+audio", 8_000, 10_000],
      ["between-segments", "video+audio", 10_000, 12_000],
    ]);
  });

  test("too short for a hole of the pictures are told even so", () => {
    const segment = ledgerSegment({ missing: [3], audio: [0, 10_000, [3_000, 3_400]] });
    const stamps = segment.stamps.map((stamp) =>
      stamp.sequence > 3 ? { ...stamp, capturedAtMs: (stamp.capturedAtMs ?? 0) - 600 } : stamp,
    );
    const chunkEnds = segment.chunkEnds.map(({ sequence, mediaEndMs }) => ({
      sequence,
      mediaEndMs: sequence > 3 ? mediaEndMs - 600 : mediaEndMs,
    }));
    const timeline = buildTrackTimeline({
      startedAtMs: STARTED_AT_MS,
      segments: [{ ...segment, stamps, chunkEnds }],
    });
    expect(timeline?.gaps).toEqual([
      { cause: "missing-chunks", streams: ["video", "audio"], fromMs: 3_000, toMs: 3_400 },
    ]);
  });

  test("of a picture that rested before them do not count its rest", () => {
    const marks = [began("on-change")];
    const resting: PlainSegment = { missing, marks, video: [0, 10_000, [1_000, 6_500]] };
    expect(gapsOf({ ...resting, audio: [0, 10_000, [3_000, 6_000]] })).toEqual([
      ["missing-chunks", "video+audio", 3_000, 6_000],
      ["damaged", "video", 6_000, 6_500],
    ]);
  });

  test("that kept a whole segment from being used leave its other chunks damaged", () => {
    const lost: PlainSegment = { beginMs: 12_000, chunkCount: 4, video: null, audio: null };
    expect(gapsOf({}, { ...lost, missing: [0] }, { beginMs: 20_000 })).toEqual([
      ["between-segments", "video+audio", 10_000, 12_000],
      ["missing-chunks", "video+audio", 12_000, 13_000],
      ["damaged", "video+audio", 13_000, 16_000],
      ["between-segments", "video+audio", 16_000, 20_000],
    ]);
  });
});

test("damaged chunks are damaged for their own time and for what needs them", () => {
  expect(
    gapsOf({
      damaged: [3],
      video: [0, 10_000, [2_990, 5_500]],
      audio: [0, 10_000, [3_000, 4_000]],
    }),
  ).toEqual([
    ["damaged", "video", 2_990, 5_500],
    ["damaged", "audio", 3_000, 4_000],
  ]);
});

describe("a mute", () => {
  test("is a gap of its stream until it ends", () => {
    const marks = [
      { type: "muted", atMs: at(2_000), stream: "video" },
      { type: "unmuted", atMs: at(4_500), stream: "video" },
      { type: "muted", atMs: at(8_000), stream: "audio" },
    ] as const;
    expect(gapsOf({ marks })).toEqual([
      ["muted", "video", 2_000, 4_500],
      ["muted", "audio", 8_000, 10_000],
    ]);
  });

  test("is placed by the clock of the device that made the media", () => {
    const fast = ledgerSegment({
      marks: [
        { type: "muted", atMs: at(5_010), stream: "audio" },
        { type: "unmuted", atMs: at(8_016), stream: "audio" },
      ],
    });
    const segments = [{ ...fast, timeline: { ...fast.timeline, rate: 1.002 } }];
    const timeline = buildTrackTimeline({ startedAtMs: STARTED_AT_MS, segments });
    expect(timeline?.gaps).toEqual([
      { cause: "muted", streams: ["audio"], fromMs: 5_000, toMs: 8_000 },
    ]);
  });

  test("goes back behind what is not there at all", () => {
    const marks = [{ type: "muted", atMs: at(2_000), stream: "audio" }] as const;
    const hole = [3_000, 6_000] as const;
    const streams = { video: [0, 10_000, hole], audio: [0, 10_000, hole] } as const;
    expect(gapsOf({ marks, missing: [3, 4, 5], ...streams })).toEqual([
      ["muted", "audio", 2_000, 3_000],
      ["missing-chunks", "video+audio", 3_000, 6_000],
      ["muted", "audio", 6_000, 10_000],
    ]);
  });
});

describe("pictures that did not come", () => {
  const frozen = { type: "frozen", atMs: at(3_100), toMs: at(7_000) } as const;
  const hidden = { type: "hidden", atMs: at(2_000) } as const;
  const stall: readonly PlainGap[] = [["stalled", "video", 3_000, 7_000]];
  const video = [0, 10_000, [3_000, 7_000]] as const;
  const short = [0, 10_000, [3_000, 3_600]] as const;

  test.each<[when: string, segment: PlainSegment, expected: readonly PlainGap[]]>([
    ["while the page stood still", { video, marks: [began("on-change"), frozen] }, stall],
    ["while a camera's page was hidden", { video, marks: [began("continuous"), hidden] }, stall],
    ["of a camera", { video, marks: [began("continuous")] }, stall],
    ["while sound went on, of who knows what", { video }, stall],
    ["of a screen that rests", { video, marks: [began("on-change")] }, []],
    ["of a screen that rests, its page hidden", { video, marks: [began("on-change"), hidden] }, []],
    ["nor sound, of who knows what", { video, audio: null }, []],
    ["for too short a time", { video: short, marks: [began("continuous")] }, []],
    [
      "for a short time while the page stood still",
      { video: short, marks: [began("continuous"), frozen] },
      [["stalled", "video", 3_000, 3_600]],
    ],
    [
      "while the camera was exchanged",
      {
        video: [0, 10_000, [3_000, 4_300]],
        marks: [began("continuous"), { type: "device-changed", atMs: at(4_200), stream: "video" }],
      },
      [["between-segments", "video", 3_000, 4_300]],
    ],
    [
      "since the camera was exchanged and the new one gave none",
      {
        video: [0, 10_000, [3_000, 9_300]],
        marks: [began("continuous"), { type: "device-changed", atMs: at(3_200), stream: "video" }],
      },
      [["stalled", "video", 3_000, 9_300]],
    ],
  ])("%s", (_when, segment, expected) => {
    expect(gapsOf(segment)).toEqual([...expected]);
  });
});

test("sound that did not come has stalled, unless its sender may leave silence out", () => {
  const short: PlainSegment = { audio: [0, 10_000, [3_000, 3_400]] };
  expect(gapsOf({ ...short, marks: [began("continuous")] })).toEqual([
    ["stalled", "audio", 3_000, 3_400],
  ]);
  expect(gapsOf(short)).toEqual([]);
  expect(gapsOf({ audio: [0, 10_000, [3_000, 4_400]] })).toEqual([
    ["stalled", "audio", 3_000, 4_400],
  ]);
});

describe("a segment without a stream that its track has", () => {
  const whole: PlainSegment = { marks: [began("continuous")] };
  const atMs = STARTED_AT_MS + 10_000;
  const gapsWith = (stream: "video" | "audio", marks: readonly Mark[]) =>
    gapsOf(whole, { beginMs: 10_000, [stream]: null, marks }, { ...whole, beginMs: 20_000 });

  test.each(["video", "audio"] as const)("has stalled where its source gave no %s", (stream) => {
    const marks: Mark[] = [began("continuous"), { type: "stalled", atMs, stream }];
    expect(gapsWith(stream, marks)).toEqual([["stalled", stream, 10_000, 20_000]]);
  });

  test("was muted where nobody says more, and where its source is known to be off", () => {
    expect(gapsWith("audio", [began("continuous")])).toEqual([["muted", "audio", 10_000, 20_000]]);
    const marks: Mark[] = [
      began("continuous"),
      { type: "stalled", atMs, stream: "audio" },
      { type: "muted", atMs: atMs + 4_000, stream: "audio" },
    ];
    expect(gapsWith("audio", marks)).toEqual([
      ["stalled", "audio", 10_000, 14_000],
      ["muted", "audio", 14_000, 20_000],
    ]);
  });

  test("lacks no pictures of a screen that rests", () => {
    expect(gapsWith("video", [began("on-change")])).toEqual([]);
  });
});
