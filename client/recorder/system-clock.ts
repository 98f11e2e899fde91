import type { RecorderClock } from "./recorder.d.ts";

/**
 * The browser's clock. `Date` rather than `performance`, whose time stands still in some systems'
 * sleep; jumps of the system's clock are taken out by `ServerClock`, which measures again and again.
 */
export const systemClock: RecorderClock = {
  nowMs: () => Date.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
