import { describe, expect, test } from "bun:test";
import {
  MEASURE_AGAIN_MS,
  MEASURE_INTERVAL_MS,
  ROUND_TRIPS,
  ServerClock,
} from "../../../../client/recorder/upload/server-clock.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

/** Lets everything that is ready run. */
const settled = () =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** Round trips in milliseconds, there and back; null fails. The server's clock is an offset ahead. */
function clockWith(trips: readonly (readonly [number, number] | null)[], offsetMs: number) {
  const clock = new ManualClock();
  const started = { count: 0 };
  const serverClock = new ServerClock({
    clock,
    fetchServerTimeMs: async () => {
      const trip = trips[started.count];
      started.count += 1;
      // Not within the clock's own turn, which would set it back afterwards.
      await Promise.resolve();
      if (trip === undefined || trip === null) throw new TypeError("no network");
      clock.advance(trip[0]);
      const nowMs = clock.nowMs() + offsetMs;
      clock.advance(trip[1]);
      return nowMs;
    },
  });
  return { clock, serverClock, started };
}

describe("ServerClock", () => {
  test("takes the round trip that was shortest", async () => {
    const trips = [
      [300, 20],
      [50, 10],
      [3, 5],
      [40, 2],
      [90, 1],
    ] as const;
    const { serverClock, started } = clockWith(trips, 7_000);
    expect(serverClock.offsetMs).toBeNull();
    serverClock.start();
    await settled();
    expect(started.count).toBe(ROUND_TRIPS);
    // Off by half of the difference of its two ways.
    expect(serverClock.offsetMs).toBe(7_000 + (3 - 5) / 2);
    await serverClock.stop();
  });

  test("keeps what it has when the network goes", async () => {
    const { serverClock } = clockWith([[4, 4], null], -500);
    serverClock.start();
    await settled();
    expect(serverClock.offsetMs).toBe(-500);
    await serverClock.stop();
  });

  test("measures again, soon when it has nothing yet", async () => {
    const { clock, serverClock, started } = clockWith([null, [1, 1], null, [2, 2], null], 100);
    serverClock.start();
    await settled();
    expect(serverClock.offsetMs).toBeNull();
    clock.advance(MEASURE_AGAIN_MS);
    await settled();
    expect(serverClock.offsetMs).toBe(100);
    expect(started.count).toBe(3);
    clock.advance(MEASURE_INTERVAL_MS - 1);
    await settled();
    expect(started.count).toBe(3);
    clock.advance(1);
    await settled();
    expect(started.count).toBe(5);
    await serverClock.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});
