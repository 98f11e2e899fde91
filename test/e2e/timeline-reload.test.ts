import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ClockCall } from "../support/clock-call.ts";
import { clockReaches } from "../support/clock-page.ts";
import {
  BUSY_MS,
  expectGaps,
  expectInPlace,
  expectWholeWallClock,
  figuresInWords,
  gapsOf,
  judgeTrack,
} from "../support/judged-track.ts";
import { openTestBed } from "../support/test-bed.ts";

const CALL = campaign({
  short: { durationMs: 10_000, leaveAfterMs: 3_000, awayMs: 2_000 },
  long: { durationMs: 30_000, leaveAfterMs: 10_000, awayMs: 5_000 },
});

/** A recorder's slice, with what a busy page adds to it. */
const TIMESLICE_MS = 1_100;

/** How long a page may take from its begin to its first picture. */
const PAGE_START_MS_MAX = 2_000;

test(
  "who reloads the page and comes back has one MP4 with the gap on the ledger, the rest in its place",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    await using call = await ClockCall.open(bed, {
      recordingId,
      participantId: "ann",
      trackId: "camera",
      source: 1,
    });
    const beganAtMs = Date.now();
    await clockReaches(beganAtMs + CALL.leaveAfterMs);
    const leftAtMs = Date.now();
    await call.reload(() => clockReaches(leftAtMs + CALL.awayMs));
    const backAtMs = Date.now();
    await clockReaches(beganAtMs + CALL.durationMs);
    const stoppedAtMs = Date.now();
    await call.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);

    const judged = await judgeTrack(recording, call.name, { api, directory, player: call.clock });
    expect(judged.timeline.segments.length).toBe(2);
    const figures = expectInPlace(judged);
    expect(Math.abs(judged.timeline.durationMs - (stoppedAtMs - beganAtMs))).toBeLessThan(BUSY_MS);
    const [gap] = gapsOf(judged, "video", TIMESLICE_MS);
    const gapMs = (gap?.toMs ?? 0) - (gap?.fromMs ?? 0);
    expectGaps(judged, [
      {
        cause: "between-segments",
        streams: ["audio", "video"],
        fromMs: leftAtMs - TIMESLICE_MS / 2,
        toMs: backAtMs - PAGE_START_MS_MAX / 2,
        toleranceMs: PAGE_START_MS_MAX / 2 + BUSY_MS,
      },
    ]);
    // The time away, and at most one slice more; beside it the page itself takes its time to start.
    expect(gapMs).toBeGreaterThanOrEqual(CALL.awayMs);
    expect(gapMs).toBeLessThanOrEqual(backAtMs - leftAtMs + TIMESLICE_MS + BUSY_MS);
    expectWholeWallClock(judged);
    process.stderr.write(
      `A reload, ${CALL.awayMs} ms away: a gap of ${gapMs.toFixed(0)} ms; ${figuresInWords(figures)}\n`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);
