import { describe, expect, test } from "bun:test";
import { checkMedia } from "../../src/finalize/media-check.ts";
import type { Mp4Index, Mp4Track } from "../../src/finalize/mp4-index.ts";
import { NO_TARGETS, planRemux } from "../../src/finalize/remux-plan.ts";
import type { StreamCodec, StreamCount } from "../../src/finalize/source-stream.ts";

const COUNTS = {
  video: {
    packets: 180,
    visiblePackets: 180,
    bytes: 9_000,
    firstMs: 0,
    lastMs: 5_967,
    endMs: 6_000,
    holes: [],
  },
  audio: {
    packets: 100,
    visiblePackets: 100,
    bytes: 4_000,
    firstMs: 28,
    lastMs: 5_968,
    endMs: 6_028,
    holes: [],
  },
} satisfies Record<string, StreamCount>;
const VIDEO: Mp4Track = {
  kind: "video",
  format: "vp09",
  width: 640,
  height: 360,
  samples: 180,
  bytes: 9_000,
  firstMs: 0,
  ticksPerSecond: 16_000,
  lastMs: 5_967,
  endMs: 6_000,
  playedEndMs: undefined,
};
const AUDIO: Mp4Track = {
  ...VIDEO,
  kind: "audio",
  format: "Opus",
  samples: 100,
  bytes: 4_000,
  firstMs: 28,
  lastMs: 5_968,
  endMs: 6_028,
};

function planOf(codec: StreamCodec) {
  const stream = { codecName: "", parameters: "", width: 640, height: 360, preSkipMs: 0 };
  const decision = planRemux(
    {
      video: { ...stream, kind: "video", codec },
      audio: { ...stream, kind: "audio", codec: "opus" },
    },
    { fpsMode: true, av1InMp4: true },
    NO_TARGETS,
  );
  if (decision.outcome !== "plan") throw new Error(decision.reason);
  return decision.plan;
}

function check(
  change: { video?: Partial<Mp4Track>; audio?: Partial<Mp4Track> } & Partial<Mp4Index> = {},
  codec: StreamCodec = "vp9",
  isDamaged = false,
): string[] {
  const { video, audio, ...rest } = change;
  const tracks = [
    { ...VIDEO, ...video },
    { ...AUDIO, ...audio },
  ];
  const index = { isBeforeMedia: true, samplesAreInMedia: true, tracks, ...rest };
  return checkMedia(planOf(codec), COUNTS, index, isDamaged).map(({ text }) => text);
}

describe("checkMedia", () => {
  test("finds nothing where all is as in the chunks", () => {
    expect(check()).toEqual([]);
    expect(check({}, "vp8")).toEqual([]);
  });

  test.each([
    ["a dropped packet", { video: { samples: 179 } }, "picture has 179 packets"],
    ["a doubled packet", { audio: { samples: 101 } }, "sound has 101 packets"],
    ["a packet cut short", { video: { bytes: 8_999 } }, "picture has 8999 bytes"],
    ["a missing track", { tracks: [VIDEO] }, "it has no sound"],
    ["a stretched stream", { video: { lastMs: 6_008 } }, "picture spans 6008 ms"],
    ["sound that is shifted", { audio: { firstMs: 31, lastMs: 5_971 } }, "3.0 ms apart"],
    ["an index behind the media", { isBeforeMedia: false }, "behind the media"],
    ["samples outside the media", { samplesAreInMedia: false }, "outside the media"],
  ] as const)("finds %s", (_, change, finding) => {
    expect(check({ ...change, ...("tracks" in change ? { tracks: [VIDEO] } : {}) })).toEqual([
      expect.stringContaining(finding),
    ]);
  });

  test("AV1 may have fewer bytes, a transcode others, neither fewer frames", () => {
    expect(check({ video: { bytes: 8_000 } }, "av1")).toEqual([]);
    expect(check({ video: { bytes: 20_000 } }, "vp8")).toEqual([]);
    expect(check({ video: { samples: 179 } }, "av1")).toHaveLength(1);
    expect(check({ video: { samples: 179 } }, "vp8")).toHaveLength(1);
  });

  test("a transcode has a little room in sync, a copy almost none", () => {
    const late = { audio: { firstMs: 46, lastMs: 5_986 } };
    expect(check(late, "vp8")).toEqual([]);
    expect(check(late, "vp9")).toHaveLength(1);
    expect(check({ audio: { firstMs: 49, lastMs: 5_989 } }, "vp8")).toHaveLength(1);
  });

  test("of a damaged segment fewer frames may decode, but never more, and some", () => {
    expect(check({ video: { samples: 120, lastMs: 4_000 } }, "vp8", true)).toEqual([]);
    expect(check({ video: { samples: 181 } }, "vp8", true)).toHaveLength(1);
    expect(check({ video: { samples: 0 } }, "vp8", true)).toHaveLength(1);
    // What is copied is counted exactly, damaged or not.
    expect(check({ video: { samples: 179 } }, "vp9", true)).toHaveLength(1);
  });
});
