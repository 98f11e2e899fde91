import { describe, expect, test } from "bun:test";
import {
  ANSWER_MS,
  FIRST_MP4_MS,
  LOOK_MS,
  SILENT_MS_MIN,
  StallWatch,
  type StallWatchParts,
} from "../../../../client/recorder/capture/stall-watch.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

function watchWith(parts: Partial<StallWatchParts> = {}) {
  const clock = new ManualClock();
  const watch = new StallWatch({
    clock,
    timesliceMs: 1_000,
    isMp4: false,
    stallsInRow: 0,
    ...parts,
  });
  const seen: string[] = [];
  watch.events.on("silent", ({ silentMs }) => seen.push(`silent ${silentMs}`));
  watch.events.on("stalled", ({ silentMs }) => seen.push(`stalled ${silentMs}`));
  watch.start();
  return { clock, watch, seen };
}

describe("StallWatch", () => {
  test("notices silence, and that asking did not help", () => {
    const { clock, seen } = watchWith();
    clock.advance(SILENT_MS_MIN - 1);
    expect(seen).toEqual([]);
    clock.advance(1);
    expect(seen).toEqual([`silent ${SILENT_MS_MIN}`]);
    clock.advance(ANSWER_MS);
    expect(seen).toEqual([`silent ${SILENT_MS_MIN}`, `stalled ${SILENT_MS_MIN + ANSWER_MS}`]);
  });

  test("is content with data, also when it was asked for", () => {
    const { clock, watch, seen } = watchWith();
    for (let i = 0; i < 20; i += 1) {
      clock.advance(SILENT_MS_MIN - LOOK_MS);
      watch.dataCame();
    }
    expect(seen).toEqual([]);
    clock.advance(SILENT_MS_MIN);
    watch.dataCame();
    clock.advance(ANSWER_MS);
    expect(seen).toEqual([`silent ${SILENT_MS_MIN}`]);
  });

  test("waits for five timeslices, however long they are", () => {
    const { clock, seen } = watchWith({ timesliceMs: 60_000 });
    clock.advance(299_000);
    expect(seen).toEqual([]);
    clock.advance(1_000);
    expect(seen).toEqual(["silent 300000"]);
  });

  test("waits longer for the first chunk of an MP4", () => {
    const { clock, watch, seen } = watchWith({ isMp4: true });
    clock.advance(FIRST_MP4_MS - 1);
    expect(seen).toEqual([]);
    watch.dataCame();
    clock.advance(SILENT_MS_MIN + LOOK_MS);
    expect(seen).toHaveLength(1);
  });

  test("waits ever longer when new segments do not help", () => {
    const { clock, seen } = watchWith({ stallsInRow: 3 });
    clock.advance(8 * SILENT_MS_MIN - 1);
    expect(seen).toEqual([]);
    clock.advance(1);
    expect(seen).toHaveLength(1);
    const { clock: later, seen: seenLater } = watchWith({ stallsInRow: 60 });
    later.advance(299_000);
    expect(seenLater).toEqual([]);
    later.advance(1_000);
    expect(seenLater).toHaveLength(1);
  });

  test("grants another period after a look that came late", () => {
    /** A clock whose timers the page runs only when it gets to them. */
    const clock = new ManualClock();
    let isBlocked = false;
    const waiting: (() => void)[] = [];
    const blockable = {
      nowMs: () => clock.nowMs(),
      after: (delayMs: number, callback: () => void) =>
        clock.after(delayMs, () => (isBlocked ? waiting.push(callback) : callback())),
    };
    const { seen } = watchWith({ clock: blockable });
    isBlocked = true;
    clock.advance(60_000);
    isBlocked = false;
    waiting.splice(0).forEach((callback) => callback());
    clock.advance(SILENT_MS_MIN - LOOK_MS);
    expect(seen).toEqual([]);
    clock.advance(LOOK_MS);
    expect(seen).toHaveLength(1);
  });

  test("does not look while it is stopped", () => {
    const { clock, watch, seen } = watchWith();
    clock.advance(4_000);
    watch.stop();
    clock.advance(100_000);
    expect(clock.pendingTimers).toBe(0);
    watch.start();
    clock.advance(4_000);
    expect(seen).toEqual([]);
  });
});
