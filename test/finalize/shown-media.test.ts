import { describe, expect, test } from "bun:test";
import { NO_TARGETS, planOfWay, planRemux } from "../../src/finalize/remux-plan.ts";
import { type ShownMedia, sharesOf } from "../../src/finalize/shown-media.ts";

const STREAM = { codecName: "", parameters: "", width: null, height: null, preSkipMs: 0 };
const DECISION = planRemux(
  {
    video: { ...STREAM, kind: "video", codec: "h264" },
    audio: { ...STREAM, kind: "audio", codec: "opus" },
  },
  { fpsMode: true, av1InMp4: true },
  NO_TARGETS,
);
if (DECISION.outcome !== "plan") throw new Error(DECISION.reason);
const { plan: PLAN } = DECISION;

const TIMES_MS = Array.from({ length: 50 }, (_, i) => i * 40);
const SOUND = { timesMs: [0, 20, 40], lengthMs: 2_000 };

/** What is shown of a file whose pictures and sound begin so late. */
function shown(videoMs: number, audioMs: number, timesMs = TIMES_MS): ShownMedia {
  return {
    video: { timesMs: timesMs.map((ms) => ms + videoMs), lengthMs: 0 },
    audio: { ...SOUND, timesMs: SOUND.timesMs.map((ms) => ms + audioMs) },
  };
}

describe("what a decoder shows of a source and of its MP4", () => {
  test("is the same wherever both begin", () => {
    const shares = sharesOf(shown(3_600_000, 3_600_010), shown(0, 10), PLAN);
    expect(shares).toMatchObject({ video: { shown: 50, of: 50, share: 1 }, audio: { share: 1 } });
  });

  test("is less by each picture that is missing, be it the first or one at another time", () => {
    const behind = TIMES_MS.filter((ms) => ms !== 400);
    expect(sharesOf(shown(0, 0), shown(0, 0, behind), PLAN).video).toMatchObject({
      shown: 49,
      of: 50,
    });
    const late = TIMES_MS.map((ms) => (ms === 400 ? 412 : ms));
    expect(sharesOf(shown(0, 0), shown(0, 0, late), PLAN).video).toMatchObject({
      shown: 49,
      of: 50,
    });
    const transcode = planOfWay(PLAN, { video: "transcode", audio: "copy", muxer: "ffmpeg" });
    expect(sharesOf(shown(0, 0), shown(0, 0, late), transcode).video).toMatchObject({ share: 1 });
  });

  test("is less by sound that is missing, or that is not at its time beside the pictures", () => {
    const short = { ...shown(0, 0), audio: { ...SOUND, lengthMs: 1_500 } };
    expect(sharesOf(shown(0, 0), short, PLAN).audio).toEqual({
      shown: 1_500,
      of: 2_000,
      share: 0.75,
    });
    expect(sharesOf(shown(0, 0), shown(0, 41), PLAN).audio?.share).toBeLessThan(1);
  });

  test("is nothing where the source shows nothing, and not known where no decoder could tell", () => {
    const none = { video: { timesMs: [], lengthMs: 0 }, audio: undefined };
    const shares = sharesOf(none, none, PLAN);
    expect(shares).toEqual({ video: { shown: 0, of: 0, share: 0 }, audio: undefined });
  });
});
