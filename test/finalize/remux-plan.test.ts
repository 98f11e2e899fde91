import { describe, expect, test } from "bun:test";
import { planRemux } from "../../src/finalize/remux-plan.ts";
import type { SourceStream, StreamCodec } from "../../src/finalize/source-stream.ts";

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
  const decision = planRemux(streams, abilities, false);
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

  test("makes segments that are to be joined alike", () => {
    const streams = { video: stream("video", "vp9"), audio: stream("audio", "opus") };
    expect(planRemux(streams, NEW, true)).toMatchObject({
      plan: { action: "transcode", video: { codec: "h264" }, audio: { codec: "aac" } },
    });
  });

  test("refuses a codec that it does not know, by its name, and a segment without streams", () => {
    const unknown = { video: stream("video", undefined), audio: undefined };
    expect(planRemux(unknown, NEW, false)).toEqual({
      outcome: "unsupported",
      reason: "The video codec V_REAL/RV40 is not supported.",
    });
    expect(planRemux({ video: undefined, audio: undefined }, NEW, false)).toMatchObject({
      outcome: "unsupported",
    });
  });
});
