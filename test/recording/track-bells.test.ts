import { describe, expect, test } from "bun:test";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { TrackBells } from "../../src/recording/track-bells.ts";
import { ManualClock } from "../support/manual-clock.ts";

const KEY = {
  recordingId: recordingIdSchema.parse(Bun.randomUUIDv7()),
  participantId: participantIdSchema.parse("ada"),
  trackId: trackIdSchema.parse("camera"),
};
const OTHER = { ...KEY, trackId: trackIdSchema.parse("screen") };
const never = new AbortController().signal;

/** Whether it is settled when all that can run has run. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  await Bun.sleep(0);
  return settled;
}

describe("TrackBells", () => {
  test("wakes whoever waits for this track, and nobody else", async () => {
    const bells = new TrackBells(new ManualClock());
    using bell = bells.listen(KEY);
    using other = bells.listen(OTHER);
    const rung = bell.rung(1_000, never);
    const otherRung = other.rung(1_000, never);
    expect(await isSettled(rung)).toBeFalse();
    bells.ring(KEY);
    expect(await isSettled(rung)).toBeTrue();
    expect(await isSettled(otherRung)).toBeFalse();
  });

  test("a ring that nobody waited for is not lost, and is heard once", async () => {
    const bells = new TrackBells(new ManualClock());
    using bell = bells.listen(KEY);
    bells.ring(KEY);
    bells.ring(KEY);
    expect(await isSettled(bell.rung(1_000, never))).toBeTrue();
    expect(await isSettled(bell.rung(1_000, never))).toBeFalse();
  });

  test("ends a wait after its time, and when its signal aborts", async () => {
    const clock = new ManualClock();
    const bells = new TrackBells(clock);
    using bell = bells.listen(KEY);
    const timed = bell.rung(1_000, never);
    clock.advance(999);
    expect(await isSettled(timed)).toBeFalse();
    clock.advance(1);
    expect(await isSettled(timed)).toBeTrue();

    const leaving = new AbortController();
    const left = bell.rung(1_000, leaving.signal);
    leaving.abort();
    expect(await isSettled(left)).toBeTrue();
    expect(await isSettled(bell.rung(1_000, leaving.signal))).toBeTrue();
  });

  test("rings for nobody who has gone", async () => {
    const bells = new TrackBells(new ManualClock());
    const gone = bells.listen(KEY);
    gone[Symbol.dispose]();
    using bell = bells.listen(KEY);
    bells.ring(KEY);
    expect(await isSettled(bell.rung(1_000, never))).toBeTrue();
    expect(await isSettled(gone.rung(1_000, never))).toBeFalse();
  });

  test("one that is disposed twice silences nobody who came meanwhile", async () => {
    const bells = new TrackBells(new ManualClock());
    const gone = bells.listen(KEY);
    gone[Symbol.dispose]();
    using bell = bells.listen(KEY);
    gone[Symbol.dispose]();
    const rung = bell.rung(1_000, never);
    bells.ring(KEY);
    expect(await isSettled(rung)).toBeTrue();
  });
});
