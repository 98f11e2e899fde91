import { expect, test } from "bun:test";
import { join } from "node:path";
import { launchChromium } from "../support/chromium.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import {
  SCENE_SECONDS,
  SCENE_SIZE,
  type TurnedSource,
  differenceOf,
  scenePicture,
  seenStill,
  turnedMedia,
} from "../support/turned-media.ts";
import { mediaOfTrack } from "./media-of-track.ts";

const AT_MS = 1_000;
/** Chromium's colours are a little off those of ffmpeg. */
const SAME_MAX = 18;

/** The picture that Chromium shows of the file at a time, as PNG in base64. */
const LOOK = `(async ({ file, atMs }) => {
  const happened = (target, name) => new Promise((resolve, reject) => {
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", () => reject(new Error(target.error?.message)), { once: true });
  });
  const video = document.createElement("video");
  video.muted = true;
  document.body.replaceChildren(video);
  const presented = () => new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const loaded = [happened(video, "loadeddata"), presented()];
  video.src = file;
  await Promise.all(loaded);
  const seeked = [happened(video, "seeked"), presented()];
  video.currentTime = atMs / 1000;
  await Promise.all(seeked);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
})`;

const TRACKS: readonly (readonly [string, readonly TurnedSource[]])[] = [
  ["turned alike", [{ rotation: 90 }, { rotation: 90 }]],
  ["turned and not", [{ rotation: 90 }, {}]],
  ["not turned and turned", [{}, { rotation: 270 }]],
  ["turned in Matroska", [{ rotation: 90, container: "mkv" }]],
  [
    "mirrored",
    [
      { isMirrored: true, rotation: 270 },
      { isMirrored: true, rotation: 270 },
    ],
  ],
  ["of wide pixels", [{ pixelAspect: "2/1" }, { pixelAspect: "2/1" }]],
  ["of wide pixels and of square ones", [{ pixelAspect: "2/1" }, {}]],
];

test("Chromium shows tracks of turned and oblong-pixelled segments upright, in all of their time", async () => {
  await using directory = await temporaryDirectory();
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/": new Response("<!doctype html>", { headers: { "content-type": "text/html" } }),
      "/media/:file": ({ params }) => new Response(Bun.file(join(directory.path, params.file))),
    },
  });
  await using browser = await launchChromium();
  const page = await browser.newPage();
  await page.goto(server.url.href);
  const scene = await scenePicture(AT_MS);
  for (const [name, sources] of TRACKS) {
    const paths: string[] = [];
    for (const source of sources) {
      paths.push(await turnedMedia(directory.path, crypto.randomUUID(), source));
    }
    const media = await mediaOfTrack(directory.path, paths);
    for (const i of sources.keys()) {
      const atMs = i * SCENE_SECONDS * 1_000 + AT_MS;
      const wanted = JSON.stringify({ file: `/media${media.slice(directory.path.length)}`, atMs });
      const still = join(directory.path, `${crypto.randomUUID()}.png`);
      await Bun.write(
        still,
        Buffer.from(await page.evaluate<string>(`${LOOK}(${wanted})`), "base64"),
      );
      const seen = await seenStill(still);
      expect([name, seen.width, seen.height]).toEqual([name, SCENE_SIZE.width, SCENE_SIZE.height]);
      const difference = differenceOf(seen, scene);
      expect({ name, i, difference, isSame: difference < SAME_MAX }).toMatchObject({
        isSame: true,
      });
    }
  }
}, 120_000);
