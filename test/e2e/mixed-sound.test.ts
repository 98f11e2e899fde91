import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { clockReaches, openClockPage } from "../support/clock-page.ts";
import {
  expectGaps,
  expectInPlace,
  expectWholeWallClock,
  figuresInWords,
  judgeTrack,
} from "../support/judged-track.ts";
import { openTestBed } from "../support/test-bed.ts";

const RECORDED_MS = campaign({ short: 8_000, long: 30_000 });

const BEEPS_HZ = [1_000, 2_000] as const;

test(
  "each of two sound tracks in one stream is heard at its place, beside the pictures",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "camera" };
    await using opened = await openClockPage(bed.browser, bed.pages);
    const { clock } = opened;
    const [firstHz, secondHz] = BEEPS_HZ;
    await clock.openStream({
      streamName: "camera",
      source: 1,
      picture: { width: 640, height: 360, framesPerSecond: 30 },
      beepHz: firstHz,
    });
    await clock.addSound({ streamName: "camera", beepHz: secondHz });
    await clock.startRecorder({
      ...name,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: bed.server.url,
      mimeTypes: [],
      clock: null,
      swallowed: [],
    });
    await clockReaches(Date.now() + RECORDED_MS);
    await clock.stopRecorder("camera");
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);
    for (const beepHz of BEEPS_HZ) {
      const options = { api, directory, player: clock, beepHz };
      const judged = await judgeTrack(recording, name, options);
      expect(judged.track).toMatchObject({ verdict: "complete", reason: null });
      expect(judged.timeline.segments.length).toBe(1);
      expectGaps(judged, []);
      expect(judged.beeps.length).toBeGreaterThan(RECORDED_MS / 1_000 / 2);
      process.stderr.write(`Mixed, ${beepHz} Hz: ${figuresInWords(expectInPlace(judged))}\n`);
      expectWholeWallClock(judged);
    }
  },
  CAMPAIGN_TIMEOUT_MS,
);
