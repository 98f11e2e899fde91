import { expect, test } from "bun:test";
import { beepsIn, decodeSound } from "./beep-judge.ts";
import { ClockCall } from "./clock-call.ts";
import { decodeClockPictures } from "./clock-judge.ts";
import { clockReaches } from "./clock-page.ts";
import { complaintsAbout } from "./judge-ffmpeg.ts";
import { makeSyntheticClock } from "./synthetic-clock.ts";
import { openTestBed } from "./test-bed.ts";
import { flashesAndBeeps, placePictures } from "./timeline-judge.ts";

const RECORDED_MS = 6_000;

/**
 * Chromium stamps the sound of a recording late, by much the same time in all of it. What is tested
 * here is that the page gives picture and sound that do not move against each other.
 */
const BROWSER_SKEW_MS_MAX = 60;
const SPREAD_MS_MAX = 30;

test("what the page films can be read, and picture and sound keep their distance", async () => {
  await using bed = await openTestBed();
  const { api } = bed;
  const recordingId = await api.start();
  await using call = await ClockCall.open(bed, {
    recordingId,
    participantId: "ann",
    trackId: "camera",
    source: 9,
  });
  const begunAtMs = Date.now();
  await clockReaches(begunAtMs + RECORDED_MS);
  await call.stop();
  await api.stop(recordingId);
  await api.ready(recordingId);

  const path = `${bed.directory}/source`;
  await api.download(api.trackUrl(call.name, "source"), path);
  const pictures = await decodeClockPictures(path, { nearMs: begunAtMs });
  expect(pictures.length).toBeGreaterThan(RECORDED_MS / 100);
  expect(new Set(pictures.map(({ source }) => source))).toEqual(new Set([9]));
  // The first one was drawn some time before the recorder asked for it.
  const errors = placePictures(pictures, begunAtMs)
    .slice(1)
    .map(({ errorMs }) => errorMs);
  expect(Math.max(...errors) - Math.min(...errors)).toBeLessThan(SPREAD_MS_MAX);
  const skews = flashesAndBeeps(pictures, beepsIn(await decodeSound(path), 1_000)).map(
    ({ skewMs }) => skewMs,
  );
  expect(skews.length).toBeGreaterThanOrEqual(RECORDED_MS / 1_000 - 3);
  expect(Math.max(...skews) - Math.min(...skews)).toBeLessThan(SPREAD_MS_MAX);
  expect(Math.max(...skews.map(Math.abs))).toBeLessThan(BROWSER_SKEW_MS_MAX);
}, 120_000);

test("a whole file is played to its end; one with damage is refused by browser and ffmpeg", async () => {
  await using bed = await openTestBed();
  const path = `${bed.directory}/whole.mp4`;
  const durationMs = 4_000;
  await makeSyntheticClock({
    path,
    width: 320,
    height: 180,
    beginMs: Date.now(),
    durationMs,
    source: 1,
    beepHz: 1_000,
    soundLateMs: 0,
    offsetMs: 0,
  });
  const whole = await Bun.file(path).bytes();
  const damaged = whole.slice();
  // The last pictures' data; the index is behind them.
  const index = Buffer.from(whole).lastIndexOf("moov");
  damaged.fill(0xa5, Math.floor(index / 4), index - 4);
  using files = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/whole.mp4": () => new Response(whole, { headers: { "content-type": "video/mp4" } }),
      "/damaged.mp4": () => new Response(damaged, { headers: { "content-type": "video/mp4" } }),
    },
  });
  await using call = await ClockCall.open(bed, {
    recordingId: await bed.api.start(),
    participantId: "ann",
    trackId: "camera",
    source: 1,
  });
  const played = await call.clock.playWhole(`${files.url.href}whole.mp4`);
  expect(Math.abs(played.endedAtMs - durationMs)).toBeLessThan(100);
  expect(played.framesDecoded).toBe((durationMs * 30) / 1000);
  expect(await complaintsAbout(path)).toEqual([]);

  const refused = await call.clock.playWhole(`${files.url.href}damaged.mp4`).catch(String);
  expect(refused).toMatch(/video element failed/);
  await Bun.write(`${bed.directory}/damaged.mp4`, damaged);
  expect((await complaintsAbout(`${bed.directory}/damaged.mp4`)).length).toBeGreaterThan(0);
  await call.stop();
}, 120_000);
