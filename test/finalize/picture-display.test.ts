import { expect, test } from "bun:test";
import { matrixOf } from "../../src/finalize/mp4-orientation.ts";
import {
  axesOf,
  displayOf,
  isPlain,
  shownSize,
  squareSize,
} from "../../src/finalize/picture-display.ts";

const STORED = { width: 320, height: 180 };
const ROTATIONS = [0, 90, 180, 270] as const;

test("each of the eight ways to turn and mirror is read as it is written", () => {
  for (const rotation of ROTATIONS) {
    for (const isMirrored of [false, true]) {
      expect(displayOf(axesOf({ rotation, isMirrored }))).toEqual({ rotation, isMirrored });
    }
  }
});

test("a small tilt, or a scale, is no turn", () => {
  expect(displayOf({ a: 1.9, b: 0.1, c: -0.1, d: 2 })).toEqual({ rotation: 0, isMirrored: false });
  expect(displayOf({ a: 0.1, b: 1, c: -1, d: 0.1 })).toEqual({ rotation: 90, isMirrored: false });
});

test("a turned picture stays in the area that the track has", () => {
  const one = 0x10000;
  const moved = (rotation: (typeof ROTATIONS)[number]): number[] => {
    const [, , , , , , x, y] = matrixOf({ rotation }, STORED);
    return [x / one, y / one];
  };
  expect(ROTATIONS.map((rotation) => moved(rotation))).toEqual([
    [0, 0],
    [180, 0],
    [320, 180],
    [0, 320],
  ]);
});

test("no side becomes smaller where pixels are made square", () => {
  const size = (width: number, height: number) =>
    squareSize(STORED, { pixelAspect: { width, height } });
  expect(size(2, 1)).toEqual({ width: 640, height: 180 });
  expect(size(1, 2)).toEqual({ width: 320, height: 360 });
  expect(size(12, 11)).toEqual({ width: 349, height: 180 });
  expect(shownSize(STORED, { rotation: 90, pixelAspect: { width: 2, height: 1 } })).toEqual({
    width: 180,
    height: 640,
  });
});

test("a shape of pixels that no camera has is not believed", () => {
  for (const pixelAspect of [
    { width: 1_000_000, height: 1 },
    { width: 1, height: 1_000_000 },
    { width: 0, height: 0 },
  ]) {
    expect(squareSize(STORED, { pixelAspect })).toEqual(STORED);
    expect(isPlain({ pixelAspect })).toBe(true);
  }
});

test("a picture of any size can be turned in an index", () => {
  const [, , , , , , x] = matrixOf({ rotation: 90 }, { width: 65_535, height: 65_535 });
  expect(x).toBeLessThan(2 ** 31);
});
