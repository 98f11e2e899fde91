import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ClockCall } from "../support/clock-call.ts";
import { clockReaches } from "../support/clock-page.ts";
import {
  expectGaps,
  expectInPlace,
  expectWholeWallClock,
  figuresInWords,
  judgeTrack,
  skewsOf,
} from "../support/judged-track.ts";
import { openTestBed } from "../support/test-bed.ts";

/** How long each of the parts between two disturbances lasts. */
const PART_MS = campaign({ short: 3_500, long: 20_000 });
const PAUSE_MS = campaign({ short: 2_000, long: 10_000 });
const AWAY_MS = campaign({ short: 1_500, long: 5_000 });

/** A recorder's slice, the last one of which is lost with its page. */
const TIMESLICE_MS = 1_100;

const partOver = () => clockReaches(Date.now() + PART_MS);

test(
  "picture and sound stay together through a pause, a reload and another device",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    await using call = await ClockCall.open(bed, {
      recordingId,
      participantId: "ann",
      trackId: "camera",
      source: 3,
    });
    await partOver();
    const pausedAtMs = Date.now();
    await call.clock.pauseRecorder("camera");
    await clockReaches(pausedAtMs + PAUSE_MS);
    const resumedAtMs = Date.now();
    await call.clock.resumeRecorder("camera");
    await partOver();
    const leftAtMs = Date.now();
    await call.reload(() => clockReaches(leftAtMs + AWAY_MS));
    const backAtMs = Date.now();
    await partOver();
    const changedAtMs = Date.now();
    await call.clock.putTracks({ ...call.stream, source: 4 });
    await partOver();
    await call.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);

    const judged = await judgeTrack(recording, call.name, { api, directory, player: call.clock });
    const figures = expectInPlace(judged);
    const skews = skewsOf(judged);
    // Each part has its flashes and beeps, those at the begin and at the end of the file too.
    for (const atMs of [pausedAtMs, leftAtMs, changedAtMs]) {
      const partEndMs = atMs - judged.zeroMs;
      expect(skews.some(({ timeMs }) => timeMs < partEndMs && timeMs > partEndMs - 2_500)).toBe(
        true,
      );
    }
    expect(skews.at(-1)?.timeMs).toBeGreaterThan(judged.timeline.durationMs - 2_500);
    expect(skews.at(0)?.timeMs).toBeLessThan(2_500);

    const both = ["audio", "video"] as const;
    expectGaps(judged, [
      { cause: "paused", streams: both, fromMs: pausedAtMs, toMs: resumedAtMs },
      {
        cause: "between-segments",
        streams: both,
        // The slice that was not handed over is lost with the page.
        fromMs: leftAtMs - TIMESLICE_MS / 2,
        toMs: backAtMs,
      },
    ]);
    expectWholeWallClock(judged);
    process.stderr.write(`Pause, reload and another device: ${figuresInWords(figures)}\n`);
  },
  CAMPAIGN_TIMEOUT_MS,
);
