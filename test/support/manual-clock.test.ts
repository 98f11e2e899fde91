import { expect, test } from "bun:test";
import { ManualClock } from "./manual-clock.ts";

test("timers run in order of time, each at its own instant", () => {
  const clock = new ManualClock(1_000);
  const calls: [string, number][] = [];
  clock.after(300, () => calls.push(["late", clock.nowMs()]));
  clock.after(100, () => {
    calls.push(["early", clock.nowMs()]);
    clock.after(100, () => calls.push(["nested", clock.nowMs()]));
  });
  const cancel = clock.after(150, () => calls.push(["cancelled", clock.nowMs()]));
  cancel();
  clock.advance(299);
  expect(calls).toEqual([
    ["early", 1_100],
    ["nested", 1_200],
  ]);
  clock.advance(1);
  expect(calls.at(-1)).toEqual(["late", 1_300]);
  expect(clock.nowMs()).toBe(1_300);
  expect(clock.pendingTimers).toBe(0);
});
