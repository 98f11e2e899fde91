import { expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { openBarcodePage } from "../support/barcode-page.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { openTestBed } from "../support/test-bed.ts";
import { until } from "../support/until.ts";

const FRAMES_PER_SECOND = 30;
const JOINED_AFTER_FRAMES = 10 * FRAMES_PER_SECOND;

/** What the live view promises. */
const BEHIND_MS_MAX = 3_000;
const WATCHED_MS = 6_000;
const WATCH_TIMEOUT_MS = 60_000;
const TEST_TIMEOUT_MS = 240_000;

/** Reads the number in the barcode of the picture that the live view shows; null while there is none. */
const READ_SHOWN_NUMBER = `(() => {
  const video = document.querySelector("[data-testid=recording] [data-testid=live] video");
  if (!video || video.videoWidth === 0 || video.readyState < 2) return null;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  const row = context.getImageData(0, Math.floor(canvas.height / 6), canvas.width, 1).data;
  let number = 0;
  for (let bit = 0; bit < 20; bit += 1) {
    const column = Math.floor(((bit + 0.5) * canvas.width) / 20);
    if (row[column * 4] > 127) number += 2 ** bit;
  }
  return number;
})()`;

/** When each picture was drawn, as seen from here. */
class DrawnPictures {
  readonly #seen: { readonly number: number; readonly atMs: number }[] = [];

  saw(number: number): void {
    this.#seen.push({ number, atMs: performance.now() });
  }

  /** How long ago, at most, a picture was drawn. */
  ageMs(number: number): number {
    const before = this.#seen.findLast((each) => each.number <= number);
    return before === undefined ? Infinity : performance.now() - before.atMs;
  }
}

async function openStudio(page: Page, url: string): Promise<string[]> {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  await page.goto(url);
  return faults;
}

test.each([
  { codec: "H.264", mimeType: "video/x-matroska;codecs=avc1,opus" },
  { codec: "VP8", mimeType: "video/webm;codecs=vp8,opus" },
  { codec: "VP9", mimeType: "video/webm;codecs=vp9,opus" },
])(
  "whoever opens a call in $codec after 10 s sees it at most 3 s behind",
  async ({ codec, mimeType }) => {
    await using bed = await openTestBed({ env: { LOG_LEVEL: "debug" } });
    const { api, server } = bed;
    await using opened = await openBarcodePage(bed.browser, bed.pages);
    const { barcode } = opened;
    await barcode.openStream({
      streamName: "camera",
      width: 640,
      height: 360,
      framesPerSecond: FRAMES_PER_SECOND,
      firstNumber: 0,
      toneHz: 440,
    });
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    await barcode.startRecorder({
      ...name,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: server.url,
      mimeTypes: [mimeType],
    });
    const drawn = new DrawnPictures();
    const draw = async (): Promise<number> => {
      const number = await barcode.lastNumber("camera");
      drawn.saw(number);
      return number;
    };
    await until(async () => (await draw()) >= JOINED_AFTER_FRAMES || undefined, {
      what: "the call has gone on for 10 s",
      timeoutMs: 100_000,
    });

    const context = await bed.browser.newContext();
    const page = await context.newPage();
    const faults = await openStudio(page, server.url);
    const look = async (): Promise<number | undefined> => {
      await draw();
      const shown = await page.evaluate<number | null>(READ_SHOWN_NUMBER);
      return shown === null ? undefined : drawn.ageMs(shown);
    };
    await page.getByRole("button", { name: /^Watch live/ }).click();
    const joinedAgeMs = await until(look, { what: "a picture is shown", timeoutMs: 15_000 });

    // A machine that is busy with other things holds chunks back: then it catches up again.
    let worstMs = 0;
    let nearSinceMs = Infinity;
    await until(
      async () => {
        const ageMs = (await look()) ?? Infinity;
        const isNear = ageMs < BEHIND_MS_MAX;
        worstMs = isNear ? Math.max(worstMs, ageMs) : 0;
        nearSinceMs = isNear ? Math.min(nearSinceMs, performance.now()) : Infinity;
        return performance.now() - nearSinceMs > WATCHED_MS || undefined;
      },
      { what: "it is seen less than 3 s behind all the time", timeoutMs: WATCH_TIMEOUT_MS },
    );
    process.stderr.write(
      `Live ${codec}: joined ${Math.round(joinedAgeMs)} ms behind, then at most ` +
        `${Math.round(worstMs)} ms for ${WATCHED_MS} ms\n`,
    );
    expect(await page.getByTestId("recording").getByTestId("live-status").isVisible()).toBeFalse();
    expect(faults).toEqual([]);

    // Whoever leaves holds nothing of the server any more.
    await context.close();
    await until(() => /"viewers":0.*live view ended/.test(server.stderr()) || undefined, {
      what: "the server knows that the viewer has left",
      timeoutMs: 10_000,
    });
    await barcode.stopRecorder("camera");
    await api.stop(name.recordingId);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a call without pictures is heard, one recorder after the other",
  async () => {
    await using bed = await openTestBed();
    const { chunks, mimeType } = await recordedSegment("audio-opus");
    const recordingId = await bed.api.start();
    const name = { recordingId, participantId: "ann", trackId: "microphone" };
    const page = await bed.browser.newPage();
    const faults = await openStudio(page, bed.server.url);
    const player = `document.querySelector("[data-testid=recording] [data-testid=live] video")`;
    for (const run of [1, 2]) {
      const segmentId = crypto.randomUUID();
      for (const { sequence, payload } of chunks) {
        await bed.api.upload({ ...name, segmentId, mimeType, sequence, chunks: [payload] });
        // The first is watched from its begin, which is where it is while only this has come.
        if (sequence === 0 && run === 1) {
          await page.getByRole("button", { name: /^Watch live/ }).click();
        }
      }
      // Of 6 s; the second run begins at zero again.
      await page.waitForFunction(`${player}.currentTime > 5`);
      expect(await page.evaluate<boolean>(`${player}.classList.contains("sound-only")`)).toBeTrue();
      await bed.api.endSegment(recordingId, segmentId, chunks.length);
      await page.getByText("Waiting for it to go on").waitFor();
    }
    await bed.api.stop(recordingId);
    await page.getByTestId("recording").getByTestId("live").waitFor({ state: "hidden" });
    expect(faults).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);
