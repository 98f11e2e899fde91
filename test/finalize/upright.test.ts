import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { TrackResult } from "../../src/recording/ports.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import {
  SCENE_SIZE,
  type SeenPicture,
  type TurnedSource,
  canEncodeAv1,
  differenceOf,
  scenePicture,
  seenPicture,
  turnedMedia,
} from "../support/turned-media.ts";
import { oldFfmpeg } from "../exports/composite/composite-bed.ts";
import { FinalizerBed, type SentSegment, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const SAME_MAX = 10;
const AT_MS = 1_000;
/** Where the second segment begins. */
const SECOND_MS = 5_000;
const FIELD = join(import.meta.dir, "../fixtures/field");
const PHONE_SIZE = { width: 360, height: 640 };

let directory: TemporaryDirectory;
const builds: { readonly name: string; readonly ffmpeg: FfmpegBinary }[] = [];
let scene: SeenPicture;

beforeAll(async () => {
  directory = await temporaryDirectory();
  builds.push({ name: "found", ffmpeg: await testFfmpeg() });
  const old = await oldFfmpeg();
  if (old !== undefined) builds.push({ name: "packaged", ffmpeg: old });
  scene = await scenePicture(AT_MS);
});
afterAll(() => directory[Symbol.asyncDispose]());

/** Recorded one after the other by the same participant. */
interface Track {
  readonly result: TrackResult;
  readonly seen: (atMs: number) => Promise<SeenPicture>;
}

async function trackOf(
  ffmpeg: FfmpegBinary,
  paths: readonly string[],
  look: (track: Track) => Promise<void>,
  marksOf: (startedAtMs: number) => NonNullable<SentSegment["marks"]> = () => [],
): Promise<void> {
  await using bed = await FinalizerBed.open(ffmpeg);
  const startedAtMs = bed.clock.nowMs();
  const segments: SentSegment[] = [];
  for (const [i, path] of paths.entries()) {
    const atMs = startedAtMs + i * SECOND_MS;
    const began = { type: "began", atMs, reason: "start", pictures: "continuous" } as const;
    segments.push({
      chunks: [await Bun.file(path).bytes()],
      mimeType: path.endsWith(".mp4") ? "video/mp4" : "video/x-matroska",
      capturedAtMs: [atMs],
      marks: [began, ...marksOf(startedAtMs)],
    });
  }
  bed.clock.advance(paths.length * SECOND_MS);
  const { recordingId, state, reason } = await bed.finalize(...segments);
  expect({ state, reason }).toEqual({ state: "ready", reason: null });
  const { result } = await bed.track(recordingId);
  if (result === null) throw new Error("The track has no result");
  const media = bed.layout.mediaPath(trackKey(recordingId));
  await look({ result, seen: (atMs) => seenPicture(media, atMs) });
}

async function expectScene(track: Track, atMs: number, size = SCENE_SIZE): Promise<void> {
  const { width, height, gray } = await track.seen(atMs);
  expect({ width, height }).toEqual(size);
  const expected = size === SCENE_SIZE ? scene : await scenePicture(AT_MS, size);
  expect(differenceOf({ width, height, gray }, expected)).toBeLessThan(SAME_MAX);
}

/** All ways to turn and mirror. */
function turnsOf(source: TurnedSource): TurnedSource[] {
  return ([0, 90, 180, 270] as const).flatMap((rotation) => [
    { ...source, rotation },
    { ...source, rotation, isMirrored: true },
  ]);
}

function nameOf({
  rotation = 0,
  isMirrored = false,
  pixelAspect,
  encoder,
  container,
}: TurnedSource) {
  const shape = pixelAspect === undefined ? "" : `, pixels ${pixelAspect}`;
  return `${encoder ?? "libx264"} ${container ?? "mp4"}, turned ${rotation}${isMirrored ? ", mirrored" : ""}${shape}`;
}

/** The packaged build cannot write it into MP4, and mediabunny does. */
const AV1: readonly TurnedSource[] = (await canEncodeAv1())
  ? [
      { encoder: "libaom-av1", container: "mkv", rotation: 90 },
      { encoder: "libaom-av1", container: "mkv", pixelAspect: "2/1" },
    ]
  : [];

const ALONE: readonly TurnedSource[] = [
  ...turnsOf({ container: "mp4" }),
  ...turnsOf({ container: "mkv" }),
  ...turnsOf({ container: "mkv", encoder: "libvpx" }),
  ...AV1,
  { encoder: "libvpx", container: "mkv", rotation: 90, width: 322, height: 182 },
  { pixelAspect: "2/1" },
  { pixelAspect: "1/2" },
  { pixelAspect: "12/11", width: 384, height: 288 },
  { pixelAspect: "2/1", rotation: 90 },
  { pixelAspect: "2/1", container: "mkv" },
  { pixelAspect: "2/1", container: "mkv", encoder: "libvpx" },
  { pixelAspect: "1/2", container: "mkv", encoder: "libvpx", rotation: 270 },
  { pixelAspect: "12/11", container: "mkv", encoder: "libvpx", width: 384, height: 288 },
];

describe("a segment alone is seen upright", () => {
  for (const source of ALONE) {
    test(nameOf(source), async () => {
      const path = await turnedMedia(directory.path, crypto.randomUUID(), source);
      const size = {
        width: source.width ?? SCENE_SIZE.width,
        height: source.height ?? SCENE_SIZE.height,
      };
      for (const { ffmpeg } of builds) {
        await trackOf(ffmpeg, [path], async (track) => {
          expect(track.result).toMatchObject({ verdict: "complete" });
          expect(track.result.media).toMatchObject(size);
          await expectScene(track, AT_MS, source.width === undefined ? SCENE_SIZE : size);
        });
      }
    });
  }
});

test("odd sides of turned pictures that are transcoded grow by a pixel, without a bar", async () => {
  const odd = { width: 321, height: 181 };
  const source = { encoder: "libvpx", container: "mkv", rotation: 90, ...odd } as const;
  const path = await turnedMedia(directory.path, crypto.randomUUID(), source);
  for (const { ffmpeg } of builds) {
    await trackOf(ffmpeg, [path], async (track) => {
      const seen = await track.seen(AT_MS);
      expect([seen.width, seen.height]).toEqual([322, 182]);
      expect(differenceOf(seen, await scenePicture(AT_MS, odd))).toBeLessThan(SAME_MAX);
    });
  }
});

const JOINS: readonly (readonly [TurnedSource, TurnedSource, "copy" | "transcode"])[] = [
  [{ rotation: 90 }, { rotation: 90 }, "copy"],
  [{ rotation: 90 }, {}, "transcode"],
  [{}, { rotation: 90 }, "transcode"],
  [{ rotation: 90 }, { rotation: 270 }, "transcode"],
  [{ rotation: 180, isMirrored: true }, { rotation: 180 }, "transcode"],
  [{ pixelAspect: "2/1" }, { pixelAspect: "2/1" }, "copy"],
  [{ pixelAspect: "2/1" }, {}, "transcode"],
  [{ pixelAspect: "1/2", rotation: 90 }, { pixelAspect: "2/1" }, "transcode"],
  [
    { encoder: "libvpx-vp9", container: "mkv", rotation: 90 },
    { encoder: "libvpx-vp9", container: "mkv" },
    "transcode",
  ],
  [{ encoder: "libvpx", container: "mkv", rotation: 90 }, { rotation: 90 }, "transcode"],
];

describe("joined segments are seen upright", () => {
  for (const [first, second, action] of JOINS) {
    test(`${nameOf(first)}; then ${nameOf(second)}`, async () => {
      const paths = [
        await turnedMedia(directory.path, crypto.randomUUID(), first),
        await turnedMedia(directory.path, crypto.randomUUID(), second),
      ];
      for (const { ffmpeg } of builds) {
        await trackOf(ffmpeg, paths, async (track) => {
          expect(track.result).toMatchObject({ verdict: "complete", media: { action } });
          await expectScene(track, AT_MS);
          await expectScene(track, SECOND_MS + AT_MS);
        });
      }
    });
  }
});

function pauses(startedAtMs: number): NonNullable<SentSegment["marks"]> {
  return [
    { type: "paused", atMs: startedAtMs + 1_500 },
    { type: "resumed", atMs: startedAtMs + 2_500 },
  ];
}

describe("a phone's picture", () => {
  const rotated = join(FIELD, "rotated-90.mp4");
  const plain = join(FIELD, "not-rotated.mp4");

  test("with a pause is upright", async () => {
    for (const { ffmpeg } of builds) {
      await trackOf(
        ffmpeg,
        [rotated],
        async ({ result, seen }) => {
          expect(result.media).toMatchObject({ ...PHONE_SIZE, action: "copy" });
          const { width, height } = await seen(AT_MS);
          expect({ width, height }).toEqual(PHONE_SIZE);
        },
        pauses,
      );
    }
  });

  for (const paths of [
    [rotated, plain],
    [plain, rotated],
  ]) {
    test(`is upright joined: ${paths.map((path) => path.split("/").at(-1)).join(", ")}`, async () => {
      for (const { ffmpeg } of builds) {
        await trackOf(ffmpeg, paths, async ({ result, seen }) => {
          expect(result.verdict).toBe("complete");
          for (const [i, path] of paths.entries()) {
            const picture = await seen(i * SECOND_MS + AT_MS);
            const own = await seenPicture(path, AT_MS);
            expect(differenceOf(picture, own)).toBeLessThan(SAME_MAX);
          }
        });
      }
    });
  }
});
