import { describe, expect, test } from "bun:test";
import {
  LATE_MS,
  LOOK_MS,
  MarkWatch,
  type Visibility,
} from "../../../../client/recorder/capture/mark-watch.ts";
import type { Mark } from "../../../../src/contract/marks.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

/** A page whose timers run late, and that is shown or not, as a test has it. */
class Page extends EventTarget implements Visibility {
  visibilityState: DocumentVisibilityState = "visible";
  throttleMs = 0;

  show(state: DocumentVisibilityState): void {
    this.visibilityState = state;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

function watchOf(page: Page) {
  const clock = new ManualClock(0);
  const seen: Mark[] = [];
  const watch = new MarkWatch({
    // No browser runs here: a stream that holds no tracks any more is enough.
    stream: { getTracks: () => [] },
    page,
    clock: {
      nowMs: () => clock.nowMs(),
      after: (delayMs, callback) => clock.after(Math.max(delayMs, page.throttleMs), callback),
    },
  });
  watch.events.on("mark", (mark) => seen.push(mark));
  watch.start();
  return { watch, clock, seen };
}

describe("MarkWatch", () => {
  test("tells from when to when the page stood still", () => {
    const page = new Page();
    const { clock, seen } = watchOf(page);
    clock.advance(10 * LOOK_MS);
    page.throttleMs = LOOK_MS + LATE_MS;
    clock.advance(20_000);
    expect(seen).toEqual([]);
    page.throttleMs = 4_000;
    clock.advance(8_000);
    page.throttleMs = 0;
    clock.advance(20_000);
    expect(seen).toHaveLength(2);
    for (const mark of seen) {
      if (mark.type !== "frozen") throw new Error(mark.type);
      expect(mark.toMs - mark.atMs).toBe(4_000);
    }
  });

  test("does not take the slow timers of a hidden page for a page that stood still", () => {
    const page = new Page();
    const { clock, seen } = watchOf(page);
    clock.advance(1_000);
    page.show("hidden");
    page.throttleMs = 60_000;
    clock.advance(200_000);
    page.throttleMs = 0;
    // The timer of that time is still a minute late.
    page.show("visible");
    clock.advance(100_000);
    expect(seen).toEqual([
      { type: "hidden", atMs: 1_000 },
      { type: "visible", atMs: 201_000 },
    ]);
  });

  test("tells of a page that stood still and was hidden meanwhile, and of one hidden at the begin", () => {
    const page = new Page();
    page.visibilityState = "hidden";
    const { clock, seen, watch } = watchOf(page);
    expect(seen).toEqual([{ type: "hidden", atMs: 0 }]);
    page.throttleMs = 60_000;
    page.show("visible");
    clock.advance(5_000);
    page.show("hidden");
    expect(seen.slice(2)).toEqual([
      { type: "frozen", atMs: 0, toMs: 5_000 },
      { type: "hidden", atMs: 5_000 },
    ]);
    watch.stop();
    page.show("visible");
    clock.advance(500_000);
    expect(seen).toHaveLength(4);
    expect(clock.pendingTimers).toBe(0);
  });
});
