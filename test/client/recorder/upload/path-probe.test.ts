import { expect, test } from "bun:test";
import { PROBE_SLOW_MS, PathProbe } from "../../../../client/recorder/upload/path-probe.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

/** A probe whose requests the test answers. */
function startProbe() {
  const clock = new ManualClock();
  const requests: {
    readonly signal: AbortSignal;
    readonly answer: (isThere: boolean) => void;
  }[] = [];
  const outcome = { backs: 0 };
  const probe = new PathProbe({
    clock,
    random: () => 0.5,
    reach: (signal) =>
      new Promise((resolve) => {
        requests.push({ signal, answer: resolve });
        signal.addEventListener("abort", () => resolve(false));
      }),
    onBack: () => {
      outcome.backs += 1;
    },
  });
  probe.start();
  return { clock, requests, outcome };
}

/** Lets what was answered be heard. */
const settle = () => Bun.sleep(0);

test("a path whose first probe is answered at once was never down", async () => {
  const { requests, outcome } = startProbe();
  requests[0]?.answer(true);
  await settle();
  expect(outcome.backs).toBe(0);
});

test("a probe that fails shows that the path was down", async () => {
  const { clock, requests, outcome } = startProbe();
  requests[0]?.answer(false);
  await settle();
  clock.advance(500);
  requests[1]?.answer(true);
  await settle();
  expect(outcome.backs).toBe(1);
});

test("so do probes that hang on a connection that is dead, answered or not", async () => {
  const { clock, requests, outcome } = startProbe();
  clock.advance(10 * PROBE_SLOW_MS);
  const hanging = requests.filter(({ signal }) => !signal.aborted);
  expect(requests.length).toBeGreaterThan(hanging.length);
  const before = requests.length;
  while (requests.length === before) clock.advance(100);
  requests.at(-1)?.answer(true);
  await settle();
  expect(outcome.backs).toBe(1);
  expect(requests.filter(({ signal }) => !signal.aborted).length).toBe(1);
});
