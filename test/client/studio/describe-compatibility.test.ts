import { expect, test } from "bun:test";
import { describeCompatibility } from "../../../client/studio/describe-compatibility.ts";

test.each([
  ["h264", "aac", null],
  ["hevc", null, null],
  [null, "mp3", null],
  ["h264", "opus", "Opus"],
  ["vp9", "aac", "VP9"],
  ["av1", "opus", "AV1 and Opus"],
])("an MP4 of %p and %p lacks players because of %p", (videoCodec, audioCodec, unplayed) => {
  const sentence = `iPhone and QuickTime may not play this MP4, since it has ${unplayed}.`;
  const expected = unplayed === null ? null : sentence;
  expect(describeCompatibility({ videoCodec, audioCodec })).toBe(expected);
});
