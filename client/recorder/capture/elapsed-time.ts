import type { RecorderClock } from "../recorder.d.ts";

/**
 * Milliseconds on a clock that nobody sets, where there is one: for durations. The wall clock can be
 * set by an hour in the middle of a call.
 */
export function elapsedMs(clock: RecorderClock): number {
  return clock.monotonicMs?.() ?? clock.nowMs();
}
