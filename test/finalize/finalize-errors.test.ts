import { expect, test } from "bun:test";
import { FfmpegFailedError, passingFailure } from "../../src/finalize/finalize-errors.ts";
import { SubprocessTimeoutError } from "../../src/process/subprocess.ts";

test.each([
  [1, "pipe:0: Invalid data found when processing input\n", true],
  [69, "Error while decoding stream #0:1: Invalid data\n", true],
  [1, "av_interleaved_write_frame(): No space left on device\n", false],
  [1, "Cannot allocate memory\n", false],
  // Nobody knows why.
  [1, "", false],
  [127, "error while loading shared libraries: libx264.so\n", false],
  [137, "Killed\n", false],
  ["SIGKILL", "Invalid data\n", false],
] as const)("exit %p with %p would come again: %p", (exit, words, isPermanent) => {
  const error = new FfmpegFailedError(exit, words);
  expect(error.isPermanent).toBe(isPermanent);
  // People get a sentence, the log ffmpeg's words.
  expect(error.message).toEndWith("What it said is in the server's log.");
  expect(error.stderrTail).toBe(words);
});

test("time that was over may be enough another time", () => {
  const failure = passingFailure(new SubprocessTimeoutError("ffmpeg", "ran", 1_000, "words"));
  expect(failure).toMatchObject({ isPermanent: false, stderrTail: "words" });
  expect(passingFailure(new Error("of something else"))).toBeUndefined();
});
