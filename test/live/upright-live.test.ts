import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { MatroskaFilter } from "../../src/finalize/matroska-filter.ts";
import type { PassedBlock } from "../../src/finalize/passing-blocks.ts";
import { liveMediaFor } from "../../src/live/live-formats.ts";
import { launchChromium } from "../support/chromium.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import {
  SCENE_SIZE,
  type TurnedSource,
  differenceOf,
  scenePicture,
  seenStill,
  turnedMedia,
} from "../support/turned-media.ts";

const AT_MS = 1_000;
/** Chromium's colours are a little off those of ffmpeg. */
const SAME_MAX = 18;

/** Shows media as a live viewer does; resolves with the picture at a time, as PNG in base64. */
const SHOW = `(async ({ base64, type, atMs }) => {
  const happened = (target, name) => new Promise((resolve, reject) => {
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", () => reject(new Error(target.error?.message)), { once: true });
  });
  const video = document.querySelector("video");
  const presented = () => new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const source = new MediaSource();
  const opened = happened(source, "sourceopen");
  video.src = URL.createObjectURL(source);
  await opened;
  const buffer = source.addSourceBuffer(type);
  // The events alone can come before the picture that is drawn below.
  const loaded = [happened(video, "loadeddata"), presented()];
  buffer.appendBuffer(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
  await Promise.all(loaded);
  const seeked = [happened(video, "seeked"), presented()];
  video.currentTime = atMs / 1000;
  await Promise.all(seeked);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
})`;

let directory: TemporaryDirectory;
let browser: Browser;

beforeAll(async () => {
  directory = await temporaryDirectory();
  browser = await launchChromium();
});
afterAll(async () => {
  await browser.close();
  await directory[Symbol.asyncDispose]();
});

/** What a live viewer is given of a whole file. */
async function liveBytes(path: string): Promise<{ bytes: Buffer; type: string }> {
  const blocks: PassedBlock[] = [];
  const filter = new MatroskaFilter((block) => {
    blocks.push(Object.assign({}, block, { data: Uint8Array.from(block.data) }));
  });
  filter.push(await Bun.file(path).bytes());
  filter.end();
  const media = liveMediaFor({ video: filter.tracks[0]?.track, audio: undefined }, blocks[0]?.data);
  if (media === undefined) throw new Error("It cannot be shown live");
  const bytes = Buffer.concat([media.header(), media.fragment(blocks)]);
  return { bytes, type: media.contentType };
}

const TURNS: readonly TurnedSource[] = [
  { rotation: 90 },
  { rotation: 180 },
  { rotation: 270 },
  { isMirrored: true },
  { rotation: 90, isMirrored: true },
  { rotation: 270, isMirrored: true },
  { pixelAspect: "2/1" },
  { rotation: 90, pixelAspect: "2/1" },
];

test.each(["libx264", "libvpx"] as const)(
  "live viewers in Chromium see turned pictures of %s upright, with square pixels",
  async (encoder) => {
    for (const turn of TURNS) {
      const name = crypto.randomUUID();
      const source: TurnedSource = { ...turn, encoder, container: "mkv" };
      const { bytes, type } = await liveBytes(await turnedMedia(directory.path, name, source));
      const page = await browser.newPage();
      await page.setContent("<video muted></video>");
      const shown = JSON.stringify({ base64: bytes.toString("base64"), type, atMs: AT_MS });
      const picture = await page.evaluate<string>(`${SHOW}(${shown})`);
      const still = `${directory.path}/${name}.png`;
      await Bun.write(still, Buffer.from(picture, "base64"));
      await page.close();
      const seen = await seenStill(still);
      expect([seen.width, seen.height]).toEqual([SCENE_SIZE.width, SCENE_SIZE.height]);
      const difference = differenceOf(seen, await scenePicture(AT_MS));
      expect({ turn, difference, isSame: difference < SAME_MAX }).toMatchObject({ isSame: true });
    }
  },
  120_000,
);
