import { describe, expect, test } from "bun:test";
import {
  SILENCE_HINT_AFTER_MS,
  SilenceWatch,
  soundLevel,
} from "../../../client/studio/sound-level.ts";

const square = (amplitude: number) =>
  Float32Array.from({ length: 64 }, (_, i) => (i % 2 ? -amplitude : amplitude));

describe("soundLevel", () => {
  test("is 0 for silence and 1 for full scale", () => {
    expect(soundLevel(new Float32Array(64))).toBe(0);
    expect(soundLevel(square(1))).toBe(1);
  });

  test("moves evenly per decibel: -30 dBFS is the middle", () => {
    expect(soundLevel(square(10 ** (-30 / 20)))).toBeCloseTo(0.5, 5);
  });

  test("does not go below 0 nor, for samples beyond full scale, above 1", () => {
    expect(soundLevel(square(1e-9))).toBe(0);
    expect(soundLevel(square(4))).toBe(1);
  });
});

describe("SilenceWatch", () => {
  test("tells silence only after it has lasted, and takes it back with the first sound", () => {
    const watch = new SilenceWatch(1_000);
    expect(watch.isSilent(0, 1_000 + SILENCE_HINT_AFTER_MS - 1)).toBe(false);
    expect(watch.isSilent(0, 1_000 + SILENCE_HINT_AFTER_MS)).toBe(true);
    expect(watch.isSilent(0.2, 9_000)).toBe(false);
    expect(watch.isSilent(0, 9_001)).toBe(false);
  });
});
