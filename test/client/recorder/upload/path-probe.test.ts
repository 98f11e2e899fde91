import { describe, expect, test } from "bun:test";
import {
  PathProbe,
  PROBE_INTERVAL_MS_MAX,
  PROBE_SLOW_MS,
} from "../../../../client/recorder/upload/path-probe.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

/** Lets everything that is ready run. */
const settled = () =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** A probe whose requests the test answers, the oldest first. */
function probeWith() {
  const clock = new ManualClock();
  const requests: { readonly signal: AbortSignal; readonly answer: (isThere: boolean) => void }[] =
    [];
  const seen = { sent: 0, back: 0 };
  const probe = new PathProbe({
    clock,
    random: () => 1,
    reach: (signal) =>
      new Promise((resolve) => {
        seen.sent += 1;
        requests.push({ signal, answer: resolve });
      }),
    onBack: () => {
      seen.back += 1;
    },
  });
  const answer = async (i: number, isThere: boolean) => {
    requests[i]?.answer(isThere);
    await settled();
  };
  const waiting = () => requests.filter(({ signal }) => !signal.aborted).length;
  return { clock, probe, seen, answer, waiting };
}

describe("PathProbe", () => {
  test("says that the path is back at the first answer after a failure, and ends", async () => {
    const { clock, probe, seen, answer } = probeWith();
    probe.start();
    await answer(0, false);
    clock.advance(PROBE_INTERVAL_MS_MAX);
    await answer(1, true);
    expect(seen.back).toBe(1);
    const { sent } = seen;
    clock.advance(60_000);
    expect(seen.sent).toBe(sent);
    expect(clock.pendingTimers).toBe(0);
  });

  test("says nothing of a path that was never down", async () => {
    const { clock, probe, seen, answer } = probeWith();
    probe.start();
    clock.advance(PROBE_SLOW_MS / 2);
    await answer(0, true);
    expect(seen.back).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test("goes on probing while a request hangs, with few at once, and takes any answer", async () => {
    const { clock, probe, seen, answer, waiting } = probeWith();
    probe.start();
    clock.advance(30_000);
    expect(seen.sent).toBeGreaterThan(30_000 / PROBE_INTERVAL_MS_MAX - 1);
    expect(waiting()).toBe(4);
    // The newest: those before it are lost on connections that are dead.
    await answer(seen.sent - 1, true);
    expect(seen.back).toBe(1);
    expect(waiting()).toBe(1);
  });

  test("takes a slow answer for that of a path that was down", async () => {
    const { clock, probe, seen, answer } = probeWith();
    probe.start();
    clock.advance(PROBE_SLOW_MS + 1);
    await answer(1, true);
    expect(seen.back).toBe(1);
  });

  test("can be ended and begun anew", async () => {
    const { clock, probe, seen, answer } = probeWith();
    probe.start();
    await answer(0, false);
    probe.stop();
    expect(clock.pendingTimers).toBe(0);
    probe.start();
    probe.start();
    expect(seen.sent).toBe(2);
    await answer(1, true);
    expect(seen.back).toBe(0);
  });
});
