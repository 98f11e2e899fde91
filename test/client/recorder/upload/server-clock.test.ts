import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  MEASURE_AGAIN_MS,
  MEASURE_INTERVALS_MS,
  ROUND_TRIPS,
} from "../../../../client/recorder/upload/server-clock.ts";
import { ClientClockBed, settled, type SimulatedClient } from "./simulated-network.ts";

const HOUR_MS = 3_600_000;
const FIRST_INTERVAL_MS = MEASURE_INTERVALS_MS[0] ?? 0;

/** Trips one after another; there is no network when they are over. */
function tripsOf(
  trips: readonly (readonly [number, number] | null)[],
): SimulatedClient["nextTrip"] {
  let i = 0;
  return () => trips[i++] ?? null;
}

const STEADY: SimulatedClient = { aheadMs: -7_000, driftPpm: 0, nextTrip: () => [5, 5] };

describe("ServerClock", () => {
  test("believes the shortest round trip most", async () => {
    const nextTrip = tripsOf([
      [300, 20],
      [50, 10],
      [4, 4],
      [40, 2],
      [90, 1],
    ]);
    const bed = new ClientClockBed({ ...STEADY, nextTrip });
    expect(bed.serverClock.offsetMs).toBeNull();
    bed.serverClock.start();
    await settled();
    // All of them alike would be 45 ms off.
    expect(Math.abs(bed.errorMs ?? Infinity)).toBeLessThan(8);
    await bed.serverClock.stop();
  });

  test("is asked at once for what nothing was measured for, and only then", async () => {
    const bed = new ClientClockBed({ ...STEADY, nextTrip: tripsOf([null, [20, 20], [10, 10]]) });
    const { signal } = new AbortController();
    expect(await bed.serverClock.measuredOffsetMs(signal)).toBeNull();
    expect(await bed.serverClock.measuredOffsetMs(signal)).toBe(7_000);
    expect(await bed.serverClock.measuredOffsetMs(signal)).toBe(7_000);
    expect(bed.trips).toBe(2);
    expect(bed.pendingTimers).toBe(0);
  });

  test("keeps what it has when the network goes", async () => {
    const bed = new ClientClockBed({ ...STEADY, nextTrip: tripsOf([[4, 4]]) });
    bed.serverClock.start();
    await settled();
    await bed.pass(HOUR_MS);
    expect(bed.errorMs).toBe(0);
    await bed.serverClock.stop();
  });

  test("measures again: soon at first, soon when it got no answer, and not after its stop", async () => {
    let isThere = false;
    const bed = new ClientClockBed({ ...STEADY, nextTrip: () => (isThere ? [0, 0] : null) });
    bed.serverClock.start();
    await settled();
    expect(bed.serverClock.offsetMs).toBeNull();
    isThere = true;
    let trips = 1;
    expect(bed.trips).toBe(trips);
    for (const intervalMs of [MEASURE_AGAIN_MS, ...MEASURE_INTERVALS_MS, 120_000, 120_000]) {
      await bed.pass(intervalMs - 1);
      expect(bed.trips).toBe(trips);
      await bed.pass(1);
      trips += ROUND_TRIPS;
      expect(bed.trips).toBe(trips);
    }
    expect(bed.errorMs).toBe(0);
    await bed.serverClock.stop();
    expect(bed.pendingTimers).toBe(0);
    bed.serverClock.start();
    await settled();
    expect(bed.trips).toBe(trips);
  });

  test("tells the offset at an instant before and after, along the drift", async () => {
    const bed = new ClientClockBed({ ...STEADY, driftPpm: 200, nextTrip: () => [1, 1] });
    bed.serverClock.start();
    for (let i = 0; i < 600; i += 1) await bed.pass(1_000);
    const nowMs = Date.UTC(2026, 0, 1) - 7_000 + 600_000;
    const before = bed.serverClock.offsetMsAt(nowMs - 300_000) ?? 0;
    const after = bed.serverClock.offsetMsAt(nowMs + 300_000) ?? 0;
    // 200 ppm of 600 s.
    expect(Math.abs(before - after - 120)).toBeLessThan(3);
    await bed.serverClock.stop();
  });
});

describe("a jump of the computer's clock", () => {
  test.each([-60_000, -40, 40, 300_000])(
    "is noticed at the next question, and measured at once: %d ms",
    async (stepMs) => {
      const bed = new ClientClockBed({ ...STEADY, driftPpm: 200, hasMonotonic: true });
      bed.serverClock.start();
      for (let i = 0; i < 300; i += 1) {
        await bed.pass(1_000);
        expect(Math.abs(bed.errorMs ?? Infinity)).toBeLessThan(5);
      }
      bed.step(stepMs);
      // Rather nothing than something wrong: the chunk waits for its stamp.
      expect(bed.serverClock.offsetMs).toBeNull();
      await settled();
      expect(Math.abs(bed.errorMs ?? Infinity)).toBeLessThan(2);
      await bed.serverClock.stop();
    },
  );

  test("is noticed after a sleep, whose end finds the clock wrong", async () => {
    const bed = new ClientClockBed({ ...STEADY, hasMonotonic: true });
    bed.serverClock.start();
    for (let i = 0; i < 60; i += 1) await bed.pass(1_000);
    bed.sleep(4 * HOUR_MS, 900);
    expect(bed.serverClock.offsetMs).toBeNull();
    await settled();
    expect(Math.abs(bed.errorMs ?? Infinity)).toBeLessThan(2);
    await bed.serverClock.stop();
  });

  test("is noticed by the next measurement where no other clock is there", async () => {
    const bed = new ClientClockBed(STEADY);
    bed.serverClock.start();
    for (let i = 0; i < 300; i += 1) await bed.pass(1_000);
    bed.step(-5_000);
    for (let i = 0; i < 120; i += 1) await bed.pass(1_000);
    expect(Math.abs(bed.errorMs ?? Infinity)).toBeLessThan(2);
    // And measured soon again, as at the begin.
    const { trips } = bed;
    await bed.pass(FIRST_INTERVAL_MS + 10_000);
    expect(bed.trips).toBeGreaterThanOrEqual(trips);
    await bed.serverClock.stop();
  });

  test("is no drift of the computer's clock, and no slow network", async () => {
    const trips = fc.sample(fc.tuple(fc.nat(3_000), fc.nat(3_000)), { numRuns: 500, seed: 1 });
    const bed = new ClientClockBed({
      ...STEADY,
      driftPpm: -200,
      hasMonotonic: true,
      nextTrip: tripsOf(trips),
    });
    bed.serverClock.start();
    await settled();
    let unknown = 0;
    for (let i = 0; i < 1_200; i += 1) {
      await bed.pass(1_000);
      if (bed.serverClock.offsetMs === null) unknown += 1;
    }
    expect(unknown).toBe(0);
    await bed.serverClock.stop();
  });
});

/** An hour of a call; the estimate is looked at every few seconds. */
async function worstErrorMs(client: SimulatedClient): Promise<number> {
  const bed = new ClientClockBed(client);
  bed.serverClock.start();
  let worst = 0;
  await settled();
  for (let passedMs = 0; passedMs < HOUR_MS; passedMs += 7_000) {
    worst = Math.max(worst, Math.abs(bed.errorMs ?? Infinity));
    await bed.pass(7_000);
  }
  await bed.serverClock.stop();
  expect(bed.pendingTimers).toBe(0);
  return worst;
}

/** Ways of a network, each by up to `spreadMs` longer than the shortest one. */
function someNetwork(spreadMs: number) {
  const way = fc.double({ min: 0, max: spreadMs, noNaN: true });
  return fc.record({
    aheadMs: fc.integer({ min: -400_000, max: 400_000 }),
    driftPpm: fc.integer({ min: -200, max: 200 }),
    wayMs: fc.integer({ min: 0, max: 150 }),
    hasMonotonic: fc.boolean(),
    longer: fc.infiniteStream(fc.tuple(way, way)),
  });
}

const TEST_TIMEOUT_MS = 120_000;

test.each([
  { spreadMs: 2, boundMs: 5 },
  { spreadMs: 20, boundMs: 25 },
  { spreadMs: 100, boundMs: 105 },
])(
  "over an hour, with ways that differ by $spreadMs ms, any drift up to 200 ppm: within $boundMs ms",
  async ({ spreadMs, boundMs }) => {
    await fc.assert(
      fc.asyncProperty(someNetwork(spreadMs), async ({ wayMs, longer, ...client }) => {
        const nextTrip = (): [number, number] => {
          const [there, back] = longer.next().value;
          return [wayMs + there, wayMs + back];
        };
        expect(await worstErrorMs({ ...client, nextTrip })).toBeLessThanOrEqual(boundMs);
      }),
      { numRuns: 15 },
    );
  },
  TEST_TIMEOUT_MS,
);
