import { expect, test } from "bun:test";
import type { Route } from "playwright-core";
import { drawMore, openBarcodePage } from "../support/barcode-page.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { trackOf } from "../support/recordings-api.ts";
import { openTestBed } from "../support/test-bed.ts";

const FRAMES_PER_SECOND = 30;
const TEST_TIMEOUT_MS = 120_000;

test(
  "uploads that are lost on their way, or whose answers are, leave no hole and nothing twice",
  async () => {
    await using bed = await openTestBed();
    const { api, server } = bed;
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    await using opened = await openBarcodePage(bed.browser, bed.pages);
    const { barcode, page } = opened;
    const fates = { lost: 0, unanswered: 0, answered: 0 };
    // Of any three requests one never arrives, and one arrives without its sender learning of it.
    await page.route("**/chunks", async (route: Route) => {
      const turn = (fates.lost + fates.unanswered + fates.answered) % 3;
      if (turn === 0) {
        fates.lost += 1;
        await route.abort("connectionreset");
      } else if (turn === 1) {
        fates.unanswered += 1;
        expect((await route.fetch()).status()).toBe(200);
        await route.abort("connectionreset");
      } else {
        fates.answered += 1;
        await route.continue();
      }
    });
    await barcode.openStream({
      streamName: "camera",
      width: 640,
      height: 360,
      framesPerSecond: FRAMES_PER_SECOND,
      firstNumber: 0,
      toneHz: 440,
    });
    await barcode.startRecorder({
      ...name,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: server.url,
      mimeTypes: [],
    });
    await drawMore(barcode, "camera", 6 * FRAMES_PER_SECOND);
    await barcode.stopRecorder("camera");
    const report = await barcode.report("camera");
    expect(report).toMatchObject({ state: "stopped", pendingChunks: 0, errors: [] });
    expect(fates.lost).toBeGreaterThan(0);
    expect(fates.unanswered).toBeGreaterThan(0);
    expect(report.retries).toBeGreaterThan(0);

    await api.stop(name.recordingId);
    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    expect(track.segments).toMatchObject([
      { chunks: report.recordedChunks, chunkCount: report.recordedChunks, missing: [] },
    ]);
    const { frames } = await expectFaithfulMp4(api, name, track, bed.directory);
    // A chunk that is missing would be a hole of more than a second; a busy browser misses frames too.
    const steps = frames.slice(1).map(({ number }, i) => number - (frames[i]?.number ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(FRAMES_PER_SECOND);
  },
  TEST_TIMEOUT_MS,
);
