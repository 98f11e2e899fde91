import { expect, test } from "bun:test";
import { CODE_PERIOD_MS, SOURCES_MAX, blocksOf, codeOf } from "../fixtures/clock-code.ts";
import { beepsIn, decodeSound, silencesIn } from "./beep-judge.ts";
import { decodeClockPictures } from "./clock-judge.ts";
import { makeSyntheticClock, syntheticPath, type SyntheticClock } from "./synthetic-clock.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import {
  firstShown,
  flashesAndBeeps,
  pictureHoles,
  placeBeeps,
  placePictures,
  worstErrorMs,
} from "./timeline-judge.ts";

const BEGIN_MS = Date.UTC(2031, 4, 6, 7, 8, 9, 321);

/** The bar that the product has to meet; the judges must be much better. */
const BAR_MS = 40;
const JUDGE_ERROR_MS_MAX = 3;

async function judged(directory: string, wanted: Partial<SyntheticClock>) {
  const clock = {
    path: syntheticPath(directory),
    width: 320,
    height: 180,
    beginMs: BEGIN_MS,
    durationMs: 5_000,
    source: 5,
    beepHz: 1_000,
    soundLateMs: 0,
    offsetMs: 0,
    ...wanted,
  };
  await makeSyntheticClock(clock);
  const pictures = await decodeClockPictures(clock.path, { nearMs: BEGIN_MS + 60_000 });
  const sound = await decodeSound(clock.path);
  const zeroMs = clock.beginMs - clock.offsetMs;
  return { clock, pictures, sound, beeps: beepsIn(sound, clock.beepHz), zeroMs };
}

test("every code is read as it was written, and none with a block turned over", () => {
  for (const timeMs of [0, 1, 4_711, CODE_PERIOD_MS - 1]) {
    for (const source of [0, 7, SOURCES_MAX - 1]) {
      const blocks = blocksOf({ timeMs, source });
      expect(codeOf(blocks)).toEqual({ timeMs, source });
      for (const i of blocks.keys()) {
        expect(codeOf(blocks.map((block, at) => (at === i ? !block : block)))).toBeUndefined();
      }
    }
  }
});

test("a file without errors is found to be one", async () => {
  await using directory = await temporaryDirectory();
  const { pictures, sound, beeps, zeroMs } = await judged(directory.path, {});
  expect(pictures.length).toBe(150);
  expect(new Set(pictures.map(({ source }) => source))).toEqual(new Set([5]));
  expect(Math.abs(worstErrorMs(placePictures(pictures, zeroMs)))).toBeLessThan(2);
  for (const by of ["timeMs", "countedMs"] as const) {
    expect(beeps.length).toBe(5);
    expect(Math.abs(worstErrorMs(placeBeeps(beeps, zeroMs, by)))).toBeLessThan(JUDGE_ERROR_MS_MAX);
    const skews = flashesAndBeeps(pictures, beeps, by).map(({ skewMs }) => Math.abs(skewMs));
    expect(skews.length).toBe(5);
    expect(Math.max(...skews)).toBeLessThan(JUDGE_ERROR_MS_MAX);
  }
  const silences = silencesIn(sound, 500);
  expect(silences.length).toBe(5);
  expect(pictureHoles(pictures, 50)).toEqual([]);
});

test.each([50, -50])(
  "sound that is %d ms late is found to be so, and beyond the bar",
  async (late) => {
    await using directory = await temporaryDirectory();
    const { pictures, beeps, zeroMs } = await judged(directory.path, {
      soundLateMs: late,
      offsetMs: 200,
    });
    const errors = placeBeeps(beeps, zeroMs);
    expect(Math.abs(worstErrorMs(errors) - late)).toBeLessThan(JUDGE_ERROR_MS_MAX);
    expect(Math.abs(worstErrorMs(errors))).toBeGreaterThan(BAR_MS);
    for (const { skewMs } of flashesAndBeeps(pictures, beeps)) {
      expect(Math.abs(skewMs - late)).toBeLessThan(JUDGE_ERROR_MS_MAX);
    }
  },
);

/** The worst error that is found of beeps that are late by so much. */
function worstOf(lateMs: readonly number[]): number {
  const beeps = lateMs.map((ms, i) => ({ timeMs: i * 1_000 + ms, countedMs: i * 1_000 + ms }));
  return worstErrorMs(placeBeeps(beeps, BEGIN_MS - (BEGIN_MS % 1_000)));
}

test("a single beep that was held up on its way is not out of its place; two in a row are", () => {
  for (let at = 0; at < 5; at += 1) {
    expect(worstOf([5, 5, 5, 5, 5].with(at, 60))).toBe(5);
    expect(worstOf([5, 5, 5, 5, 5].with(at, 60).with(at === 4 ? 3 : at + 1, 60))).toBe(60);
  }
  // Of fewer than three none can be told from the others.
  expect(worstOf([60])).toBe(60);
  expect(worstOf([5, -60])).toBe(-60);
});

test("a file that is wholly 50 ms late has no skew, and is beyond the bar in its place", async () => {
  await using directory = await temporaryDirectory();
  const { pictures, beeps, zeroMs } = await judged(directory.path, { offsetMs: 1_500 });
  const wrongZeroMs = zeroMs + 50;
  expect(worstErrorMs(placePictures(pictures, wrongZeroMs))).toBeGreaterThan(BAR_MS);
  expect(worstErrorMs(placeBeeps(beeps, wrongZeroMs))).toBeGreaterThan(BAR_MS);
  expect(Math.abs(worstErrorMs(placePictures(pictures, zeroMs)))).toBeLessThan(2);
  expect(Math.abs(worstErrorMs(placeBeeps(beeps, zeroMs)))).toBeLessThan(JUDGE_ERROR_MS_MAX);
  for (const { skewMs } of flashesAndBeeps(pictures, beeps)) {
    expect(Math.abs(skewMs)).toBeLessThan(JUDGE_ERROR_MS_MAX);
  }
});

test("a clock is read in a tile of 300 pixels, and nowhere beside it", async () => {
  await using directory = await temporaryDirectory();
  const { pictures, zeroMs } = await judged(directory.path, { width: 300, height: 168 });
  expect(firstShown(pictures).length).toBe(150);
  expect(Math.abs(worstErrorMs(placePictures(pictures, zeroMs)))).toBeLessThan(2);
  const { clock } = await judged(directory.path, { width: 640, height: 360 });
  const region = { x: 200, y: 20, width: 300, height: 168 };
  const beside = await decodeClockPictures(clock.path, { nearMs: BEGIN_MS, region });
  expect(beside.length).toBe(150);
  expect(beside.every(({ drawnAtMs }) => drawnAtMs === null)).toBe(true);
});
