import type { RecorderClock } from "./recorder.d.ts";

/**
 * The browser's clock. `Date` rather than `performance`, whose time stands still in some systems'
 * sleep, and which a page and its worker do not share; `ServerClock` notices jumps of the system's
 * clock by comparing both.
 */
export const systemClock: RecorderClock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
