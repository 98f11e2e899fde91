import { expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  type Canvas,
  type Scene,
  TILES_MAX,
  canvasOf,
  framesOf,
  planLayout,
  slicesOf,
} from "../../../src/exports/composite/layout-plan.ts";
import type { Area } from "../../../src/exports/composite/tile-grid.ts";
import { segmentIdSchema } from "../../../src/contract/ids.ts";
import type { Gap } from "../../../src/contract/timeline.ts";
import { type TrackSketch, exportTrack } from "./export-tracks.ts";

const canvas = canvasOf(720, 30);

/** Each picture stands for the middle of its time. */
const HALF_PICTURE_MS = 1_000 / 30 / 2;

function scenesOf(sketches: readonly TrackSketch[], durationMs: number): readonly Scene[] {
  return planLayout(sketches.map(exportTrack), durationMs, canvas).scenes;
}

/** Who is seen from which picture on. */
function castOf(scenes: readonly Scene[]): [number, string[]][] {
  return scenes.map(({ fromFrame, tiles }) => [fromFrame, tiles.map(({ name }) => name)]);
}

function cameras(count: number): TrackSketch[] {
  return Array.from({ length: count }, (_, i) => ({
    participant: `p${i}`,
    offsetMs: 0,
    durationMs: 1_000,
  }));
}

function absence(fromMs: number, toMs: number): Gap {
  return { cause: "between-segments", streams: ["video", "audio"], fromMs, toMs };
}

function overlap(a: Area, b: Area): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

test("participants come and go at the pictures of their times", () => {
  const scenes = scenesOf(
    [
      { participant: "ada", offsetMs: 0, durationMs: 10_000 },
      { participant: "bob", offsetMs: 2_010, durationMs: 4_000 },
    ],
    10_000,
  );
  // Pictures 60 and 180 stand for the middles of their time, 2,016.7 and 6,016.7 ms.
  expect(castOf(scenes)).toEqual([
    [0, ["ada"]],
    [60, ["ada", "bob"]],
    [180, ["ada"]],
  ]);
  expect(scenes.map(({ frames }) => frames)).toEqual([60, 120, 120]);
  expect(scenes[1]?.tiles[1]?.picture?.mediaFromMs).toBeCloseTo(60_500 / 30 - 2_010, 6);
  expect(scenes[2]?.tiles[0]?.picture?.mediaFromMs).toBeCloseTo(180_500 / 30, 6);
});

test("a scene in which nobody is there has no tiles", () => {
  const scenes = scenesOf([{ participant: "ada", offsetMs: 1_000, durationMs: 1_000 }], 3_000);
  expect(castOf(scenes)).toEqual([
    [0, []],
    [30, ["ada"]],
    [60, []],
  ]);
});

test("a short gap keeps the tile, a long one takes it away and brings it back in its place", () => {
  const scenes = scenesOf(
    [
      {
        participant: "ada",
        offsetMs: 0,
        durationMs: 60_000,
        gaps: [absence(5_000, 14_000), absence(20_000, 40_000)],
      },
      { participant: "bob", offsetMs: 0, durationMs: 60_000 },
    ],
    60_000,
  );
  expect(castOf(scenes)).toEqual([
    [0, ["ada", "bob"]],
    [600, ["bob"]],
    [1_200, ["ada", "bob"]],
  ]);
  expect(scenes[2]?.tiles[0]?.picture?.mediaFromMs).toBeCloseTo(40_000 + HALF_PICTURE_MS, 6);
});

test("a pause takes nobody away", () => {
  const scenes = scenesOf(
    [
      {
        participant: "ada",
        offsetMs: 0,
        durationMs: 60_000,
        gaps: [{ cause: "paused", streams: ["video"], fromMs: 10_000, toMs: 50_000 }],
      },
    ],
    60_000,
  );
  expect(castOf(scenes)).toEqual([[0, ["ada"]]]);
});

test("who sends sound alone has a tile without a picture, and one tile for all of it", () => {
  const [scene] = scenesOf(
    [
      { participant: "ada", track: "microphone", offsetMs: 0, durationMs: 1_000, pictures: false },
      { participant: "ada", track: "music", offsetMs: 0, durationMs: 1_000, pictures: false },
      { participant: "bob", track: "microphone", offsetMs: 0, durationMs: 1_000, pictures: false },
      { participant: "bob", offsetMs: 0, durationMs: 1_000, sound: false },
    ],
    1_000,
  );
  expect(scene?.tiles.map(({ name, picture }) => [name, picture?.path ?? null])).toEqual([
    ["ada", null],
    ["bob", "/media/bob-camera.mp4"],
  ]);
});

test.each(["screen", "second"])("a shared %s is large beside the cameras", (track) => {
  const [scene] = scenesOf(
    [
      { participant: "ada", offsetMs: 0, durationMs: 1_000 },
      { participant: "bob", offsetMs: 0, durationMs: 1_000 },
      { participant: "ada", track, offsetMs: 0, durationMs: 1_000 },
    ],
    1_000,
  );
  const [screen, ...beside] = scene?.tiles ?? [];
  expect(screen?.picture?.path).toBe(`/media/ada-${track}.mp4`);
  expect(screen?.width).toBeGreaterThan(1_000);
  expect(beside.map(({ name }) => String(name))).toEqual(["ada", "bob"]);
  for (const camera of beside) {
    expect(camera.width).toBeLessThan(260);
    expect(camera.x).toBeGreaterThan((screen?.x ?? 0) + (screen?.width ?? 0));
  }
});

test("a screen alone has the whole picture, also under its participant's only track", () => {
  const [scene] = scenesOf(
    [{ participant: "ada", track: "screen", offsetMs: 0, durationMs: 1_000 }],
    1_000,
  );
  expect(scene?.tiles.map(({ width }) => width)).toEqual([1_268]);
});

test.each([
  [1, 1],
  [2, 2],
  [4, 2],
  [9, 3],
])("%i pictures stand in %i columns", (count, columns) => {
  const [scene] = scenesOf(cameras(count), 1_000);
  expect(new Set(scene?.tiles.map(({ x }) => x)).size).toBe(columns);
});

test("more than can be seen are named", () => {
  const tracks = cameras(TILES_MAX + 2).map(exportTrack);
  const { scenes, unseen } = planLayout(tracks, 1_000, canvas);
  expect(scenes[0]?.tiles.length).toBe(TILES_MAX);
  const names: readonly string[] = unseen;
  expect(names).toEqual(["p36", "p37"]);
});

test("a segment of a clock that runs slow is a scene of its own, at its rate", () => {
  const segmentId = segmentIdSchema.parse(crypto.randomUUID());
  const segments = [{ segmentId, offsetMs: 1_000, durationMs: 200_000, rate: 1.001 }];
  const scenes = scenesOf(
    [{ participant: "ada", offsetMs: 1_000, durationMs: 200_000, segments }],
    202_000,
  );
  const shown = scenes.flatMap(({ fromFrame, tiles }) =>
    tiles.map(({ picture }) => [fromFrame, picture?.rate, picture?.mediaFromMs]),
  );
  expect(shown.map(([fromFrame, rate]) => [fromFrame, rate])).toEqual([[30, 1.001]]);
  expect(shown[0]?.[2] ?? 0).toBeCloseTo(HALF_PICTURE_MS / 1.001, 6);
  // A hundred seconds into the scene, the device's clock has come less far.
  const [, slice] = scenes.slice(1, 2).flatMap((scene) => slicesOf(scene, 3_000, canvas));
  expect(slice?.tiles[0]?.picture?.mediaFromMs).toBeCloseTo((100_000 + HALF_PICTURE_MS) / 1.001, 6);
});

const sketches = fc.array(
  fc.record({
    participant: fc.constantFrom("ada", "bob", "cy", "dee"),
    track: fc.constantFrom("camera", "screen", "microphone"),
    offsetMs: fc.double({ min: 0, max: 20_000, noNaN: true }),
    durationMs: fc.double({ min: 0, max: 20_000, noNaN: true }),
    pictures: fc.boolean(),
  }),
  { maxLength: 60 },
);
const canvases = fc
  .tuple(fc.constantFrom(360, 540, 720, 1_080), fc.constantFrom(15, 24, 25, 30, 60))
  .map(([height, frameRate]): Canvas => canvasOf(height, frameRate));

test("scenes follow each other to the end, and tiles are even, inside, and apart", () => {
  fc.assert(
    fc.property(
      sketches,
      canvases,
      fc.double({ min: 0, max: 45_000, noNaN: true }),
      (tracks, anyCanvas, durationMs) => {
        const { scenes } = planLayout(tracks.map(exportTrack), durationMs, anyCanvas);
        let at = 0;
        for (const { fromFrame, frames, tiles } of scenes) {
          expect(fromFrame).toBe(at);
          expect(frames).toBeGreaterThan(0);
          at += frames;
          for (const [i, tile] of tiles.entries()) {
            for (const length of [tile.x, tile.y, tile.width, tile.height]) {
              expect(length % 2).toBe(0);
            }
            expect(tile.x).toBeGreaterThanOrEqual(0);
            expect(tile.y).toBeGreaterThanOrEqual(0);
            expect(tile.x + tile.width).toBeLessThanOrEqual(anyCanvas.width);
            expect(tile.y + tile.height).toBeLessThanOrEqual(anyCanvas.height);
            expect(tile.picture?.mediaFromMs ?? 0).toBeGreaterThanOrEqual(-1e-3);
            for (const other of tiles.slice(i + 1)) expect(overlap(tile, other)).toBe(false);
          }
        }
        expect(at).toBe(framesOf(durationMs, anyCanvas));
      },
    ),
  );
});

test("slices of a scene follow each other, each with its pictures' own times", () => {
  const scenes = scenesOf([{ participant: "ada", offsetMs: 0, durationMs: 5_000 }], 5_000);
  const slices = scenes.flatMap((scene) => slicesOf(scene, 60, canvas));
  expect(slices.map(({ fromFrame, frames }) => [fromFrame, frames])).toEqual([
    [0, 60],
    [60, 60],
    [120, 30],
  ]);
  expect(slices[2]?.tiles[0]?.picture?.mediaFromMs).toBeCloseTo(4_000 + HALF_PICTURE_MS, 6);
});
