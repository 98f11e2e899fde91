import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { canvasOf, planLayout } from "../../src/exports/composite/layout-plan.ts";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { findFfmpegConfinement } from "../../src/finalize/ffmpeg-confinement.ts";
import { makePoster } from "../../src/finalize/poster.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { mediaOfTrack } from "../finalize/media-of-track.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import {
  SCENE_SIZE,
  type TurnedSource,
  differenceOf,
  scenePicture,
  seenPicture,
  seenStill,
  turnedMedia,
} from "../support/turned-media.ts";
import { compositeOf, oldFfmpeg } from "./composite/composite-bed.ts";
import { exportTrack } from "./composite/export-tracks.ts";
import { filesOf } from "./export-bed.ts";

const SAME_MAX = 10;
const AT_MS = 1_000;
const DURATION_MS = 3_000;
const FIELD = join(import.meta.dir, "../fixtures/field");
/** At least as long as the longest of these. */
const FIELD_MS = 5_000;
const LARGE_SIZE = { width: 640, height: 360 };

let directory: TemporaryDirectory;
const builds: FfmpegBinary[] = [];

beforeAll(async () => {
  directory = await temporaryDirectory();
  builds.push(await judgeFfmpeg());
  const old = await oldFfmpeg();
  if (old !== undefined) builds.push(old);
});
afterAll(() => directory[Symbol.asyncDispose]());

interface Exported {
  readonly path: string;
  readonly durationMs?: number;
  readonly ffmpeg: FfmpegBinary;
}

function tracksOf({ path, durationMs = DURATION_MS }: Exported) {
  return [exportTrack({ participant: "Ada", offsetMs: 0, durationMs, path, sound: false })];
}

/** Path of the only file of an export. */
async function fileOf(
  request: Parameters<typeof filesOf>[0]["request"],
  exported: Exported,
): Promise<string> {
  const { durationMs = DURATION_MS, ffmpeg } = exported;
  const tracks = tracksOf(exported);
  const files = await filesOf({ directory: directory.path, request, tracks, durationMs, ffmpeg });
  return files[0]?.path ?? "";
}

/** Above the name, since that is drawn over the picture. */
const ABOVE_NAME = 0.8;

/** What a composite shows of its only tile, of the size that the picture must have in it. */
async function composedTile(exported: Exported, size: typeof SCENE_SIZE, atMs: number) {
  const { durationMs = DURATION_MS, ffmpeg } = exported;
  const tracks = tracksOf(exported);
  const options = { height: 360, frameRate: 25 } as const;
  const { path } = await compositeOf({
    directory: directory.path,
    tracks,
    durationMs,
    options,
    ffmpeg,
  });
  const plan = planLayout(tracks, durationMs, canvasOf(options.height, options.frameRate));
  const tile = plan.scenes[0]?.tiles[0] ?? { x: 0, y: 0, width: 0, height: 0 };
  const scale = Math.min(tile.width / size.width, tile.height / size.height);
  const [width, height] = [size.width * scale, size.height * scale];
  const x = tile.x + (tile.width - width) / 2;
  const y = tile.y + (tile.height - height) / 2;
  const crop = [width, height * ABOVE_NAME, x, y].map((value) => Math.round(value)).join(":");
  return seenPicture(path, atMs, { crop });
}

async function expectScene(path: string, size = SCENE_SIZE, atMs = AT_MS): Promise<void> {
  const picture = await seenPicture(path, atMs);
  expect([picture.width, picture.height]).toEqual([size.width, size.height]);
  expect(differenceOf(picture, await scenePicture(AT_MS, size))).toBeLessThan(SAME_MAX);
}

async function expectTile(exported: Exported, size = SCENE_SIZE, atMs = AT_MS): Promise<void> {
  const expected = await scenePicture(AT_MS, size, { crop: `iw:ih*${ABOVE_NAME}:0:0` });
  expect(differenceOf(await composedTile(exported, size, atMs), expected)).toBeLessThan(SAME_MAX);
}

const SOURCES: readonly (readonly [string, TurnedSource, typeof SCENE_SIZE?])[] = [
  ["turned by 90", { rotation: 90 }],
  ["turned by 180", { rotation: 180 }],
  ["turned by 270", { rotation: 270 }],
  ["mirrored", { isMirrored: true }],
  ["mirrored and turned by 90", { rotation: 90, isMirrored: true }],
  ["mirrored and turned by 270", { rotation: 270, isMirrored: true }],
  ["with wide pixels", { pixelAspect: "2/1" }],
  ["with high pixels", { pixelAspect: "1/2" }],
  [
    "with pixels of 12:11",
    { pixelAspect: "12/11", width: 384, height: 288 },
    { width: 384, height: 288 },
  ],
  ["with wide pixels and turned by 90", { rotation: 90, pixelAspect: "2/1" }],
];

describe.each(SOURCES)("pictures that are %s", (_, source, size = SCENE_SIZE) => {
  let path: string;

  beforeAll(async () => {
    path = await turnedMedia(directory.path, crypto.randomUUID(), source);
  });

  test("are upright in aligned exports that are copied", async () => {
    for (const ffmpeg of builds) {
      await expectScene(await fileOf({ kind: "aligned" }, { path, ffmpeg }), size);
    }
  });

  test("are upright and without bars in compatible exports", async () => {
    for (const ffmpeg of builds) {
      await expectScene(await fileOf({ kind: "compatible" }, { path, ffmpeg }), size);
    }
  });

  test("are upright in composites", async () => {
    for (const ffmpeg of builds) await expectTile({ path, ffmpeg }, size);
  });

  test("are upright in posters", async () => {
    for (const ffmpeg of builds) {
      const poster = join(directory.path, `${crypto.randomUUID()}.jpg`);
      const signal = new AbortController().signal;
      const confinement = await findFfmpegConfinement();
      const limits = finalizeLimits(readConfig({}));
      const context = { ffmpeg, confinement, limits, signal };
      expect(await makePoster(path, DURATION_MS, poster, context)).toBe(true);
      const seen = await seenStill(poster);
      expect([seen.width, seen.height]).toEqual([size.width, size.height]);
      expect(differenceOf(seen, await scenePicture(AT_MS, size))).toBeLessThan(SAME_MAX);
    }
  });
});

test("turned pictures that change their size are upright in all of it", async () => {
  const media = await mediaOfTrack(directory.path, [
    await turnedMedia(directory.path, "small", { rotation: 90 }),
    await turnedMedia(directory.path, "large", { rotation: 90, ...LARGE_SIZE }),
  ]);
  const durationMs = 2 * DURATION_MS;
  for (const ffmpeg of builds) {
    const compatible = await fileOf({ kind: "compatible" }, { path: media, durationMs, ffmpeg });
    await expectScene(compatible, LARGE_SIZE, DURATION_MS + AT_MS);
    const first = await seenPicture(compatible, AT_MS);
    expect(differenceOf(first, await scenePicture(AT_MS))).toBeLessThan(SAME_MAX);
    await expectTile({ path: media, durationMs, ffmpeg });
    await expectTile({ path: media, durationMs, ffmpeg }, LARGE_SIZE, DURATION_MS + AT_MS);
  }
});

test("a phone's picture and a squeezed one have the size that they are seen in", async () => {
  for (const ffmpeg of builds) {
    for (const [name, width, height] of [
      ["rotated-90", 360, 640],
      ["not-rotated", 640, 360],
      ["sar-2x1", 640, 180],
    ] as const) {
      const durationMs = FIELD_MS;
      const path = join(FIELD, `${name}.mp4`);
      const file = await fileOf({ kind: "compatible" }, { path, durationMs, ffmpeg });
      const picture = await seenPicture(file, AT_MS);
      expect([name, picture.width, picture.height]).toEqual([name, width, height]);
      const source = await seenPicture(path, AT_MS);
      expect(differenceOf(picture, source)).toBeLessThan(SAME_MAX);
      const crop = `iw:ih*${ABOVE_NAME}:0:0`;
      const tile = await composedTile({ path, durationMs, ffmpeg }, { width, height }, AT_MS);
      expect(differenceOf(tile, await seenPicture(path, AT_MS, { crop }))).toBeLessThan(SAME_MAX);
    }
  }
});
