import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ClockCall } from "../support/clock-call.ts";
import { clockReaches } from "../support/clock-page.ts";
import {
  expectGaps,
  expectInPlace,
  expectWholeWallClock,
  figuresInWords,
  gapsOf,
  judgeTrack,
  type JudgedTrack,
} from "../support/judged-track.ts";
import { trackOf } from "../support/recordings-api.ts";
import { openTestBed } from "../support/test-bed.ts";
import { onlyStream, streamsOf } from "../support/media-streams.ts";
import { until } from "../support/until.ts";

const CALL_MS = campaign({ short: 10_000, long: 21_000 });
const LOST = [3, 4, 5];

/** Of three chunks of a second each. */
const LOST_MS_MIN = 2_800;
const LOST_MS_MAX = 3_800;

/** Picture and sound of a recorder do not begin and end in the same moment. */
const SHORT_GAP_MS = 80;

/**
 * The product's promise for the time of chunks that never arrive. What was between two pictures nobody
 * knows: where a busy machine gave them further apart, that is the tolerance.
 */
const LOSS_TOLERANCE_MS = 100;

/** Times of one packet in two MP4s differ by their rounding. */
const SAME_MS = 3;

const FROZEN_MS = 4_000;
const FREEZE_TOLERANCE_MS = 150;

/** When each picture of an MP4 is to be shown, in milliseconds since the epoch. */
async function picturePackets({ path, zeroMs }: JudgedTrack): Promise<number[]> {
  const { timesMs } = onlyStream(await streamsOf(path), "video");
  return timesMs.map((timeMs) => zeroMs + timeMs);
}

function nearest(values: readonly number[], wanted: number): number {
  const sorted = values.toSorted((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted));
  return sorted[0] ?? Number.NaN;
}

test(
  "chunks that never arrive are named with their time, and all other pictures are there",
  async () => {
    await using bed = await openTestBed({ env: { STOP_GRACE_MS: "300" } });
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "camera" };
    await using call = await ClockCall.open(bed, { ...name, source: 1, swallowed: LOST });
    await clockReaches(Date.now() + CALL_MS);
    await call.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);
    const options = { api, directory, player: call.clock };
    const degraded = await judgeTrack(recording, name, options);
    expect(degraded.track.verdict).toBe("degraded");
    const figures = expectInPlace(degraded);
    expectWholeWallClock(degraded);

    // What was lost is what the whole MP4 has besides, once the chunks have come after all.
    expect(await call.clock.deliverSwallowed("camera")).toEqual(LOST.map(() => 200));
    const better = await until(
      async () => {
        const shown = await api.show(recordingId);
        const { verdict, state } = trackOf(shown, name);
        return verdict === "complete" && state === "ready" ? shown : undefined;
      },
      { what: "the late chunks made the track complete", timeoutMs: 60_000 },
    );
    const whole = await judgeTrack(better, name, options);
    expectInPlace(whole);
    expectGaps(whole, []);
    const there = await picturePackets(degraded);
    const all = await picturePackets(whole);
    const isThere = all.map((atMs) => there.some((other) => Math.abs(other - atMs) < SAME_MS));
    const [from, to] = [isThere.indexOf(false), isThere.lastIndexOf(false) + 1];
    expect(there.length).toBe(all.length - (to - from));

    const [lostFromMs, lostToMs] = [all[from] ?? 0, all[to] ?? 0];
    for (const stream of ["video", "audio"] as const) {
      const missing = gapsOf(degraded, stream, SHORT_GAP_MS).filter(
        ({ cause }) => cause === "missing-chunks",
      );
      expect(missing.length).toBe(1);
      const lengthMs = (missing[0]?.toMs ?? 0) - (missing[0]?.fromMs ?? 0);
      expect(lengthMs).toBeGreaterThan(LOST_MS_MIN);
      expect(lengthMs).toBeLessThan(LOST_MS_MAX);
    }
    const pictureGaps = gapsOf(degraded, "video", SHORT_GAP_MS);
    // Pictures that need lost ones are there, and of no use up to the next keyframe.
    for (const { cause } of pictureGaps) expect(cause).toMatch(/^(missing-chunks|damaged)$/);
    const begin = pictureGaps[0]?.fromMs ?? 0;
    const end = nearest(
      pictureGaps.map(({ toMs }) => toMs),
      lostToMs,
    );
    const stepTo = (i: number): number => (all[i] ?? 0) - (all[i - 1] ?? 0);
    for (const [errorMs, stepMs] of [
      [begin - lostFromMs, stepTo(from)],
      [end - lostToMs, stepTo(to)],
    ] as const) {
      expect(Math.abs(errorMs)).toBeLessThanOrEqual(Math.max(LOSS_TOLERANCE_MS, stepMs));
    }
    const errors = `${(begin - lostFromMs).toFixed(0)} and ${(end - lostToMs).toFixed(0)} ms`;
    process.stderr.write(
      `Chunks 3 to 5 never arrived: the gap's ends are off by ${errors}; ${figuresInWords(figures)}\n`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "a page that stands still leaves stalled pictures on the ledger, and sound in its place",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "camera" };
    await using call = await ClockCall.open(bed, { ...name, source: 1 });
    await clockReaches(Date.now() + 3_000);
    const { fromMs, toMs } = await call.clock.block(FROZEN_MS);
    await clockReaches(Date.now() + 3_000);
    await call.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);

    const judged = await judgeTrack(recording, name, { api, directory, player: call.clock });
    const figures = expectInPlace(judged);
    expectGaps(judged, [
      { cause: "stalled", streams: ["video"], fromMs, toMs, toleranceMs: FREEZE_TOLERANCE_MS },
    ]);
    expectWholeWallClock(judged);
    process.stderr.write(`A page that stood still: ${figuresInWords(figures)}\n`);
  },
  CAMPAIGN_TIMEOUT_MS,
);
