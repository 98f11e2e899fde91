import { expect, test } from "bun:test";
import { NO_TARGETS, planOfWay, planRemux } from "../../src/finalize/remux-plan.ts";
import { type RemuxResult, remuxNotes } from "../../src/finalize/remux-notes.ts";
import type { StreamCount } from "../../src/finalize/source-stream.ts";

const STREAM = { codecName: "", parameters: "", width: null, height: null, preSkipMs: 0 };
const DECISION = planRemux(
  {
    video: { ...STREAM, kind: "video", codec: "vp8" },
    audio: { ...STREAM, kind: "audio", codec: "vorbis" },
  },
  { fpsMode: true, av1InMp4: true },
  NO_TARGETS,
);
if (DECISION.outcome !== "plan") throw new Error(DECISION.reason);
const { plan: PLAN } = DECISION;
const COUNT: StreamCount = {
  packets: 60,
  visiblePackets: 60,
  bytes: undefined,
  firstMs: 1_000,
  lastMs: 5_000,
  endMs: 5_040,
  holes: [],
};

function textOf(change: Partial<RemuxResult>): string {
  const whole = { counts: { video: COUNT, audio: COUNT }, findings: [], shown: undefined };
  const notes = remuxNotes({ base: PLAN, plan: PLAN, mayPass: false, ...whole, ...change });
  expect(notes.every(({ isLoss }) => isLoss)).toBeTrue();
  return notes.map(({ text }) => text).join(" ");
}

const SOURCE = "The source, which can be downloaded, has all that came.";

test("there is nothing to say of what is whole", () => {
  expect(textOf({})).toBe("");
  const finding = { stream: "video", kind: "count", text: "picture has 59 frames" } as const;
  const whole = { shown: 59, of: 59, share: 1 };
  expect(textOf({ findings: [finding], shown: { video: whole, audio: whole } })).toBe("");
});

test("says what was left out, and what the MP4 has", () => {
  const plan = planOfWay(PLAN, { video: "transcode", audio: undefined, muxer: "ffmpeg" });
  expect(textOf({ plan })).toBe(
    `Vorbis sound could not be decoded and was left out: the MP4 has the picture alone. ${SOURCE}`,
  );
  expect(textOf({ plan, mayPass: true })).toContain("could not be made this time");
});

test("says how much is shown of what can be decoded", () => {
  const shown = {
    video: { shown: 58, of: 60, share: 58 / 60 },
    audio: { shown: 1_500, of: 4_000, share: 1_500 / 4_000 },
  };
  expect(textOf({ shown })).toBe(
    `The MP4 shows 58 of 60 pictures that can be decoded. ${SOURCE} ` +
      `The MP4 has 1.5 s of 4.0 s of sound that can be decoded. ${SOURCE}`,
  );
});

test("says what disagrees where no decoder could tell", () => {
  const count = { stream: "video", kind: "count", text: "picture has 59 packets" } as const;
  const skew = { stream: undefined, kind: "skew", text: "they are 41 ms apart" } as const;
  expect(textOf({ findings: [count, skew] })).toBe(
    `The MP4 may not have all of the picture, and no decoder could tell: picture has 59 packets. ${SOURCE} ` +
      `The MP4 may not be right: they are 41 ms apart. ${SOURCE}`,
  );
});

test("says when pictures begin that had no keyframe before", () => {
  const leading = { fromMs: 1_000, toMs: 3_007 };
  const late = { ...COUNT, firstMs: 3_007, leading };
  const span = "(0:00.0 to 0:02.0 of the segment)";
  expect(textOf({ counts: { video: late, audio: COUNT } })).toContain(
    `${span}: they were left out.`,
  );
  expect(textOf({ counts: { video: late, audio: COUNT } })).toContain(
    "The sound of that time was kept.",
  );
  expect(textOf({ counts: { video: late, audio: undefined } })).not.toContain("sound");
});
