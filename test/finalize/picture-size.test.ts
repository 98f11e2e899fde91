import { expect, test } from "bun:test";
import { planPicture } from "../../src/finalize/picture-size.ts";
import { NO_TARGETS, planRemux } from "../../src/finalize/remux-plan.ts";
import type { StreamCodec } from "../../src/finalize/source-stream.ts";

function planOf(codec: StreamCodec, width: number | null, height: number | null) {
  const source = { codecName: "", parameters: "", preSkipMs: 0, width, height };
  const streams = { video: { kind: "video" as const, codec, ...source }, audio: undefined };
  const decision = planRemux(streams, { fpsMode: true, av1InMp4: true }, NO_TARGETS);
  if (decision.outcome !== "plan") throw new Error(decision.reason);
  return decision.plan;
}

test("pictures are encoded in a size that holds the largest of them, in even numbers", () => {
  expect(planPicture(planOf("vp8", 321, 180), undefined)).toEqual({
    picture: { width: 322, height: 180 },
    notes: [],
  });
  expect(planPicture(planOf("vp8", 320, 180), { width: 180, height: 641 })).toEqual({
    picture: { width: 320, height: 642 },
    notes: [],
  });
});

test("a copy and a picture of unknown size keep theirs", () => {
  const none = { picture: undefined, notes: [] };
  expect(planPicture(planOf("vp9", 320, 180), { width: 640, height: 360 })).toEqual(none);
  expect(planPicture(planOf("vp8", null, null), undefined)).toEqual(none);
});

test("no keyframe has pictures encoded beyond 4K: they become smaller, and that is named", () => {
  const { picture, notes } = planPicture(planOf("vp8", 640, 360), {
    width: 16_383,
    height: 16_383,
  });
  expect(picture).toEqual({ width: 640, height: 360 });
  expect(notes).toEqual([
    { text: expect.stringContaining("were made smaller, to 640x360"), isLoss: true },
  ]);
});
