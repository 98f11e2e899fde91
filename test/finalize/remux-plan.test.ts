import { describe, expect, test } from "bun:test";
import {
  NO_TARGETS,
  joinTargets,
  planOfWay,
  planRemux,
  wayOfPlan,
} from "../../src/finalize/remux-plan.ts";
import type { SourceStream, SourceStreams, StreamCodec } from "../../src/finalize/source-stream.ts";

const NEW = { fpsMode: true, av1InMp4: true };
const OLD = { fpsMode: false, av1InMp4: false };

function stream(kind: "video" | "audio", codec: StreamCodec | undefined): SourceStream {
  return {
    kind,
    codec,
    codecName: codec ?? "V_REAL/RV40",
    parameters: "",
    width: kind === "video" ? 640 : null,
    height: kind === "video" ? 360 : null,
    preSkipMs: 0,
  };
}

function planOf(video: StreamCodec | undefined, audio: StreamCodec, abilities = NEW) {
  const streams = {
    video: video === undefined ? undefined : stream("video", video),
    audio: stream("audio", audio),
  };
  const decision = planRemux(streams, abilities, NO_TARGETS);
  if (decision.outcome !== "plan") throw new Error(decision.reason);
  return decision.plan;
}

describe("planRemux", () => {
  test.each(["h264", "hevc", "vp9", "av1"] as const)("copies %s with Opus", (codec) => {
    const plan = planOf(codec, "opus");
    expect(plan).toMatchObject({ action: "copy", muxer: "ffmpeg" });
    expect(plan.video).toMatchObject({ action: "copy", codec });
    expect(plan.audio).toMatchObject({ action: "copy", codec: "opus" });
  });

  test("transcodes VP8 to H.264, says why, and copies the sound beside it", () => {
    const plan = planOf("vp8", "opus");
    expect(plan).toMatchObject({ action: "transcode", muxer: "ffmpeg" });
    expect(plan.video).toMatchObject({ action: "transcode", codec: "h264" });
    expect(plan.audio).toMatchObject({ action: "copy", codec: "opus" });
    expect(plan.reason).toContain("MP4 cannot carry it");
  });

  test.each(["pcm", "vorbis"] as const)("transcodes %s to AAC", (codec) => {
    expect(planOf(undefined, codec).audio).toMatchObject({ action: "transcode", codec: "aac" });
  });

  test.each(["opus", "aac", "mp3", "flac"] as const)("copies %s alone", (codec) => {
    const plan = planOf(undefined, codec);
    expect(plan.video).toBeUndefined();
    expect(plan.audio).toMatchObject({ action: "copy", codec });
  });

  test("has mediabunny copy AV1 where ffmpeg is too old to", () => {
    expect(planOf("av1", "opus", OLD)).toMatchObject({ action: "copy", muxer: "mediabunny" });
    expect(planOf("vp9", "opus", OLD)).toMatchObject({ action: "copy", muxer: "ffmpeg" });
  });

  test("makes H.264 and uniform AAC of what is to be joined, and copies what is H.264", () => {
    const targets = { h264: true, aac: true };
    const vp9 = { video: stream("video", "vp9"), audio: stream("audio", "opus") };
    expect(planRemux(vp9, NEW, targets)).toMatchObject({
      plan: {
        action: "transcode",
        video: { codec: "h264", reason: expect.stringContaining("segments differ") },
        audio: { codec: "aac", isUniform: true },
      },
    });
    const h264 = { video: stream("video", "h264"), audio: stream("audio", "aac") };
    expect(planRemux(h264, NEW, targets)).toMatchObject({
      plan: {
        video: { action: "copy", codec: "h264" },
        audio: { action: "transcode", codec: "aac", isUniform: true },
      },
    });
  });

  test("leaves a codec that it does not know to ffmpeg's decoders, by its name", () => {
    const unknown = { video: stream("video", undefined), audio: stream("audio", "opus") };
    expect(planRemux(unknown, NEW, NO_TARGETS)).toMatchObject({
      plan: {
        video: { action: "transcode", codec: "h264", reason: expect.stringContaining("V_REAL") },
        audio: { action: "copy", codec: "opus" },
      },
    });
  });

  test("encodes AV1 too where ffmpeg is too old to write it beside sound that it has to encode", () => {
    expect(planOf("av1", "vorbis", OLD)).toMatchObject({
      muxer: "ffmpeg",
      video: { action: "transcode", codec: "h264" },
      audio: { action: "transcode", codec: "aac" },
    });
    expect(planOf("av1", "vorbis", NEW).video).toMatchObject({ action: "copy" });
  });

  test("another way keeps what it copies, and says why it does not copy the rest", () => {
    const plan = planOf("vp9", "opus");
    expect(wayOfPlan(plan)).toEqual({ video: "copy", audio: "copy", muxer: "ffmpeg" });
    expect(planOfWay(plan, { video: "transcode", audio: "copy", muxer: "ffmpeg" })).toMatchObject({
      action: "transcode",
      video: { codec: "h264", reason: expect.stringContaining("since a copy of it does not show") },
      audio: { action: "copy", codec: "opus" },
    });
    const alone = planOfWay(plan, { video: undefined, audio: "copy", muxer: "mediabunny" });
    expect(alone.video).toBeUndefined();
    expect(alone).toMatchObject({ action: "copy", muxer: "mediabunny" });
    expect(alone.reason).toContain("mediabunny copied it");
  });

  test("refuses a segment without streams", () => {
    expect(planRemux({ video: undefined, audio: undefined }, NEW, NO_TARGETS)).toMatchObject({
      outcome: "unsupported",
    });
  });
});

function segment(
  video: StreamCodec | undefined,
  audio: StreamCodec | undefined,
  parameters = "",
): SourceStreams {
  return {
    video: video && { ...stream("video", video), parameters },
    audio: audio && { ...stream("audio", audio), parameters },
  };
}

function turned(codec: StreamCodec, rotation: 0 | 90 | 270): SourceStreams {
  return { video: { ...stream("video", codec), rotation }, audio: undefined };
}

function shaped(width: number, height: number): SourceStreams {
  const video = { ...stream("video", "h264"), pixelAspect: { width, height } };
  return { video, audio: undefined };
}

describe("joinTargets", () => {
  test.each([
    [
      "one codec of differing parameters",
      segment("h264", "opus", "a"),
      segment("h264", "opus", "b"),
    ],
    ["VP8 beside H.264, which it becomes anyway", segment("vp8", "opus"), segment("h264", "opus")],
    ["sound first, then pictures too", segment(undefined, "opus"), segment("vp9", "opus")],
    ["one codec of AAC with one set of parameters", segment("av1", "aac"), segment("av1", "aac")],
  ] as const)("needs nothing for %s", (_, first, second) => {
    expect(joinTargets([first, second])).toEqual(NO_TARGETS);
  });

  test.each([
    [
      "VP9 beside H.264",
      segment("vp9", "opus"),
      segment("h264", "opus"),
      { h264: true, aac: false },
    ],
    ["VP9 beside AV1", segment("vp9", "opus"), segment("av1", "opus"), { h264: true, aac: false }],
    ["Opus beside AAC", segment("vp9", "opus"), segment("vp9", "aac"), { h264: false, aac: true }],
    ["AAC beside PCM", segment("vp9", "aac"), segment("vp9", "pcm"), { h264: false, aac: true }],
    [
      "H.265 and AAC of differing parameters",
      segment("hevc", "aac", "a"),
      segment("hevc", "aac", "b"),
      { h264: true, aac: true },
    ],
  ] as const)("makes %s alike", (_, first, second, targets) => {
    expect(joinTargets([first, second])).toEqual(targets);
  });

  test("transcodes pictures that are turned only where the others are not turned alike", () => {
    const upright = { h264: false, aac: false, upright: true };
    expect(joinTargets([turned("h264", 90), turned("h264", 90)])).toEqual(NO_TARGETS);
    expect(joinTargets([turned("h264", 90), turned("h264", 0)])).toEqual(upright);
    expect(joinTargets([turned("vp9", 90), turned("vp9", 270)])).toEqual({
      ...upright,
      h264: true,
    });
    // VP8 is transcoded, and so upright, in any case.
    expect(joinTargets([turned("vp8", 90), turned("vp8", 0)])).toEqual(NO_TARGETS);
    expect(joinTargets([turned("vp8", 90), turned("h264", 90)])).toEqual(upright);
    expect(planRemux(turned("h264", 90), NEW, upright)).toMatchObject({
      plan: {
        video: { action: "transcode", codec: "h264", reason: expect.stringContaining("upright") },
      },
    });
    expect(planRemux(turned("h264", 0), NEW, upright)).toMatchObject({ plan: { action: "copy" } });
  });

  test("transcodes pictures that an edit list hides only in the middle of a track", () => {
    const covered = (codec: "h264" | "vp9"): SourceStreams => {
      const own = turned(codec, 0);
      return { ...own, video: own.video && { ...own.video, hidesPictures: true } };
    };
    const uncovered = { h264: false, aac: false, uncovered: true };
    expect(joinTargets([covered("h264"), turned("h264", 0)])).toEqual(NO_TARGETS);
    expect(joinTargets([turned("h264", 0), covered("h264")])).toEqual(uncovered);
    expect(joinTargets([turned("vp9", 0), covered("vp9")])).toEqual({ ...uncovered, h264: true });
    expect(planRemux(covered("h264"), NEW, uncovered)).toMatchObject({
      plan: { video: { action: "transcode", reason: expect.stringContaining("edit list") } },
    });
    expect(planRemux(turned("h264", 0), NEW, uncovered)).toMatchObject({
      plan: { action: "copy" },
    });
  });

  test("pixels of one shape are joined as they are, those of several made square", () => {
    // Sizes in whole pixels tell a shape no better than that.
    expect(joinTargets([shaped(12, 11), shaped(1_090, 1_000)])).toEqual(NO_TARGETS);
    expect(joinTargets([shaped(2, 1), shaped(1, 1)])).toMatchObject({ upright: true });
  });
});
