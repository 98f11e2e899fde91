import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ClockCall } from "../support/clock-call.ts";
import { clockReaches } from "../support/clock-page.ts";
import {
  BUSY_MS,
  PLACE_TOLERANCE_MS,
  expectGaps,
  expectInPlace,
  expectWholeWallClock,
  figuresInWords,
  gapsOf,
  judgeTrack,
  type JudgedTrack,
} from "../support/judged-track.ts";
import { silentPacketMs } from "../support/faithful-mp4.ts";
import { trackOf } from "../support/recordings-api.ts";
import { openTestBed } from "../support/test-bed.ts";
import { onlyStream, streamsOf } from "../support/media-streams.ts";
import type { Hole } from "../support/timeline-judge.ts";
import { until } from "../support/until.ts";

const CALL_MS = campaign({ short: 10_000, long: 21_000 });
const LOST = [3, 4, 5];

/** Of three chunks of a second each. */
const LOST_MS_MIN = 2_500;

/** Picture and sound of a recorder do not begin and end in the same moment. */
const SHORT_GAP_MS = 80;

/**
 * The product's promise for the time of chunks that never arrive. What was between two packets nobody
 * knows: where a busy machine gave them further apart, that is the tolerance.
 */
const LOSS_TOLERANCE_MS = 100;

const FROZEN_MS = 4_000;

/** What an MP4 has lost of a stream, on the common clock; what is known of its ends. */
interface Loss extends Hole {
  /** From the packet before to the first lost one, and from the last lost one to that behind it. */
  readonly stepsMs: readonly [number, number];
}

/** A packet of one MP4, on the common clock. */
interface PlacedPacket {
  readonly atMs: number;
  /** Empty of pictures. */
  readonly payload: string;
}

async function packetsOf(
  { path, zeroMs }: JudgedTrack,
  kind: "video" | "audio",
): Promise<PlacedPacket[]> {
  const { timesMs, payloads } = onlyStream(await streamsOf(path), kind);
  // Silence stands for what the browser itself lost, or for the chunks.
  return timesMs
    .map((timeMs, i) => ({ atMs: zeroMs + timeMs, payload: payloads[i] ?? "" }))
    .filter(({ payload }) => silentPacketMs(payload) === undefined);
}

/**
 * What one MP4 of a track has lost of a stream that another one has: one stretch, before and behind
 * which both have the same packets in the same order. The silence of a room has equal packets, so that
 * several stretches may do: the right one leaves the others nearest to their times. Those are not quite
 * the same, since the cluster that sound behind a loss belongs to is lost.
 */
async function lossIn(
  lossy: JudgedTrack,
  whole: JudgedTrack,
  kind: "video" | "audio",
): Promise<Loss> {
  const there = await packetsOf(lossy, kind);
  const all = await packetsOf(whole, kind);
  const lost = all.length - there.length;
  expect(lost).toBeGreaterThan(0);
  /** By how much a packet's time differs where the loss begins at `from`; infinite for another packet. */
  const apartMs = (from: number): number =>
    there.reduce((mostMs, { atMs, payload }, i) => {
      const other = all[i < from ? i : i + lost];
      const isSame = other?.payload === payload;
      return isSame ? Math.max(mostMs, Math.abs(other.atMs - atMs)) : Infinity;
    }, 0);
  const places = there.map((_, from) => ({ from, apartMs: apartMs(from) }));
  const [place] = places.toSorted((a, b) => a.apartMs - b.apartMs);
  if (place === undefined) throw new Error(`The MP4 has no ${kind}`);
  expect(place.apartMs).toBeLessThanOrEqual(PLACE_TOLERANCE_MS);
  const { from } = place;
  const to = from + lost;
  const atMs = (i: number): number => all[i]?.atMs ?? Number.NaN;
  return {
    fromMs: atMs(from),
    toMs: atMs(to),
    stepsMs: [atMs(from) - atMs(from - 1), atMs(to) - atMs(to - 1)],
  };
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
    const errors: string[] = [];
    for (const stream of ["video", "audio"] as const) {
      const loss = await lossIn(degraded, whole, stream);
      expect(loss.toMs - loss.fromMs).toBeGreaterThan(LOST_MS_MIN);
      const gaps = gapsOf(degraded, stream, 0);
      // Pictures that need lost ones are there, and of no use up to the next keyframe.
      for (const { cause } of gapsOf(degraded, stream, BUSY_MS)) {
        expect(cause).toMatch(/^(missing-chunks|damaged)$/);
      }
      const missing = gaps.filter(({ cause }) => cause === "missing-chunks");
      const ends = [
        nearest(
          missing.map(({ fromMs }) => fromMs),
          loss.fromMs,
        ) - loss.fromMs,
        nearest(
          missing.map(({ toMs }) => toMs),
          loss.toMs,
        ) - loss.toMs,
      ];
      for (const [i, errorMs] of ends.entries()) {
        const stepMs = loss.stepsMs[i] ?? 0;
        expect(Math.abs(errorMs)).toBeLessThanOrEqual(Math.max(LOSS_TOLERANCE_MS, stepMs));
      }
      const namedMs = missing.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
      const lostMs = loss.toMs - loss.fromMs;
      expect(Math.abs(namedMs - lostMs)).toBeLessThanOrEqual(
        2 * LOSS_TOLERANCE_MS + loss.stepsMs[0] + loss.stepsMs[1],
      );
      errors.push(`${stream} by ${ends.map((errorMs) => errorMs.toFixed(0)).join(" and ")} ms`);
    }
    process.stderr.write(
      `Chunks 3 to 5 never arrived: the gaps' ends are off, of ${errors.join(", of ")}; ${figuresInWords(figures)}\n`,
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
    expectGaps(judged, [{ cause: "stalled", streams: ["video"], fromMs, toMs }]);
    expectWholeWallClock(judged);
    process.stderr.write(`A page that stood still: ${figuresInWords(figures)}\n`);
  },
  CAMPAIGN_TIMEOUT_MS,
);

/** How long the sound gives nothing. */
const SILENT_MS = campaign({ short: 11_000, long: 34_000 });

test(
  "sound that gives nothing for a while costs no picture, and is called stalled",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "camera" };
    await using call = await ClockCall.open(bed, { ...name, source: 1 });
    await clockReaches(Date.now() + 3_000);
    await call.clock.suspendSound({ streamName: "camera", isSuspended: true });
    const fromMs = Date.now();
    await clockReaches(fromMs + SILENT_MS);
    const toMs = Date.now();
    await call.clock.suspendSound({ streamName: "camera", isSuspended: false });
    await clockReaches(toMs + 3_000);
    const { segments } = await call.clock.report("camera");
    await call.stop();
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);

    expect(segments.map(({ reason }) => reason)).toEqual(["start", "stalled", "unstalled"]);
    const judged = await judgeTrack(recording, name, { api, directory, player: call.clock });
    expect(judged.track.verdict).toBe("degraded");
    expect(judged.track.reason).toStartWith("No sound came from ");
    const stalls = gapsOf(judged, "audio", SHORT_GAP_MS).filter(
      (gap) => gap.cause === "stalled" && gap.toMs > fromMs && gap.fromMs < toMs,
    );
    const [first, last] = [stalls[0], stalls.at(-1)];
    expect(Math.abs((first?.fromMs ?? 0) - fromMs)).toBeLessThan(BUSY_MS);
    expect(Math.abs((last?.toMs ?? 0) - toMs)).toBeLessThan(BUSY_MS);
    const stalledMs = stalls.reduce((sum, gap) => sum + gap.toMs - gap.fromMs, 0);
    expect(Math.abs(stalledMs - SILENT_MS)).toBeLessThan(BUSY_MS);
    expect(gapsOf(judged, "video", BUSY_MS)).toEqual([]);
    process.stderr.write(`silent sound: ${figuresInWords(expectInPlace(judged))}\n`);
    expectWholeWallClock(judged);
  },
  CAMPAIGN_TIMEOUT_MS,
);
