import { expect, test } from "bun:test";
import { z } from "zod";
import { launchChromium } from "../support/chromium.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { exportTrack } from "./composite/export-tracks.ts";
import { numberedSource } from "../support/numbered-source.ts";
import { filesOf } from "./export-bed.ts";

const RECORDING_MS = 7_000;
const OFFSET_MS = 1_237;
const TRACK_MS = 4_000;
const STEP_MS = 40;
const FIRST_NUMBER = 100;
const TOLERANCE_MS = 40;

const playbackSchema = z.object({
  durationMs: z.number(),
  /** Of the sound as decoded from zero on: when it is loud first and last. */
  loudFromMs: z.number(),
  loudToMs: z.number(),
  soundMs: z.number(),
  shown: z.array(z.object({ atMs: z.number(), number: z.number() })),
  reachedEnd: z.boolean(),
});

/** What Chromium makes of the file at `/file`: pictures at some times, all of the sound, its end. */
const PLAY = `(async () => {
  const happened = (target, name) => new Promise((resolve, reject) => {
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", () => reject(new Error(target.error?.message)), { once: true });
  });
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  document.body.append(video);
  // The events alone can come before the picture that is drawn below.
  const presented = () => new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const loaded = [happened(video, "loadeddata"), presented()];
  video.src = "/file";
  await Promise.all(loaded);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const shown = [];
  for (const atMs of [1300, 1500, 3017, 5100, 5500, 6900]) {
    const seeked = [happened(video, "seeked"), presented()];
    video.currentTime = atMs / 1000;
    await Promise.all(seeked);
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    context.drawImage(video, 0, 0);
    const row = context.getImageData(0, Math.floor(canvas.height / 6), canvas.width, 1).data;
    let number = 0;
    for (let bit = 0; bit < 20; bit += 1) {
      const column = Math.floor(((bit + 0.5) * canvas.width) / 20);
      if (row[column * 4] > 127) number += 2 ** bit;
    }
    shown.push({ atMs, number });
  }
  const ended = happened(video, "ended");
  await video.play();
  await ended;
  const bytes = await (await fetch("/file")).arrayBuffer();
  const buffer = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes);
  const samples = buffer.getChannelData(0);
  const isLoud = (sample) => Math.abs(sample) > 0.05;
  return {
    durationMs: video.duration * 1000,
    loudFromMs: samples.findIndex(isLoud) / 48,
    loudToMs: samples.findLastIndex(isLoud) / 48,
    soundMs: buffer.duration * 1000,
    shown,
    reachedEnd: video.ended,
  };
})()`;

test.each([
  ["H.264 copied", "h264", { kind: "aligned" }],
  ["VP9 copied", "vp9", { kind: "aligned" }],
  ["compatible", "h264", { kind: "compatible" }],
] as const)(
  "%s: Chromium shows each picture and plays the sound in its place, to the recording's end",
  async (_name, codec, request) => {
    await using directory = await temporaryDirectory();
    const size = { width: 640, height: 360 };
    const path = await numberedSource(directory.path, codec, {
      durationMs: TRACK_MS,
      toneHz: 1_000,
      picture: { ...size, firstNumber: FIRST_NUMBER, stepMs: STEP_MS, codec },
    });
    const place = { offsetMs: OFFSET_MS, durationMs: TRACK_MS };
    const [file] = await filesOf({
      directory: directory.path,
      request,
      tracks: [exportTrack({ participant: "Ada", path, ...place })],
      durationMs: RECORDING_MS,
    });
    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      routes: {
        "/": new Response("<!doctype html>", { headers: { "content-type": "text/html" } }),
        "/file": () => new Response(Bun.file(file?.path ?? "")),
      },
    });
    await using browser = await launchChromium();
    const page = await browser.newPage();
    await page.goto(server.url.href);
    const played = playbackSchema.parse(await page.evaluate<unknown>(PLAY));
    for (const [ms, wantedMs] of [
      [played.durationMs, RECORDING_MS],
      [played.soundMs, RECORDING_MS],
      [played.loudFromMs, OFFSET_MS],
      [played.loudToMs, OFFSET_MS + TRACK_MS],
    ] as const) {
      expect(Math.abs(ms - wantedMs)).toBeLessThanOrEqual(TOLERANCE_MS);
    }
    expect(played.reachedEnd).toBeTrue();
    const last = FIRST_NUMBER + TRACK_MS / STEP_MS - 1;
    for (const { atMs, number } of played.shown) {
      const exact = FIRST_NUMBER + Math.floor((atMs - OFFSET_MS) / STEP_MS);
      expect(Math.abs(number - Math.min(last, exact))).toBeLessThanOrEqual(1);
    }
  },
  60_000,
);
