import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OverloadedError } from "../../src/recording/errors.ts";
import { isFairShare } from "../../src/recording/fair-share.ts";
import { PendingBytes } from "../../src/recording/pending-bytes.ts";

const TOTAL_MAX = 1_000;

const pendingBytes = (segmentPendingBytesMax = TOTAL_MAX) =>
  new PendingBytes({ segmentPendingBytesMax, totalPendingBytesMax: TOTAL_MAX });

const sender = (participantId: string, segmentId = "segment") => ({
  recordingId: "recording",
  participantId,
  segmentId: `${segmentId} of ${participantId}`,
});

test("one who is alone gets half, so that there is room for the next", () => {
  const pending = pendingBytes();
  pending.reserve(sender("flood"), 300);
  pending.reserve(sender("flood"), 200);
  expect(() => pending.reserve(sender("flood"), 1)).toThrow(OverloadedError);
  pending.reserve(sender("ada"), 100);
  expect(() => pending.reserve(sender("flood"), 1)).toThrow(OverloadedError);
  expect(pending.total).toBe(600);
});

test("many segments of one participant share that participant's part", () => {
  const pending = pendingBytes();
  for (let i = 0; i < 5; i += 1) pending.reserve(sender("flood", `segment ${i}`), 100);
  expect(() => pending.reserve(sender("flood", "one more"), 1)).toThrow(OverloadedError);
});

test("a segment has a limit of its own", () => {
  const pending = pendingBytes(100);
  pending.reserve(sender("ada"), 60);
  expect(() => pending.reserve(sender("ada"), 41)).toThrow("of this segment");
  pending.reserve(sender("ada", "another"), 60);
});

test("what is larger than a limit by itself passes when nothing else waits", () => {
  const pending = pendingBytes(100);
  const release = pending.reserve(sender("ada"), 5_000);
  expect(() => pending.reserve(sender("bob"), 1)).toThrow(OverloadedError);
  release();
  pending.reserve(sender("bob"), 1);
});

describe("however many flood with whatever", () => {
  const requests = fc.array(
    fc.record({
      participant: fc.integer({ min: 0, max: 5 }),
      bytes: fc.integer({ min: 1, max: 200 }),
      /** Which of those that wait is done now; none when there are fewer. */
      done: fc.integer({ min: 0, max: 40 }),
    }),
    { maxLength: 100 },
  );

  test("the total stays below its limit, and as much is left as the largest has", () => {
    fc.assert(
      fc.property(requests, (steps) => {
        const pending = pendingBytes();
        const waiting: { participant: number; bytes: number; release: () => void }[] = [];
        for (const { participant, bytes, done } of steps) {
          for (const { release } of waiting.splice(done, 1)) release();
          const before = pending.total;
          try {
            const release = pending.reserve(sender(`participant ${participant}`), bytes);
            waiting.push({ participant, bytes, release });
            const own = waiting
              .filter((other) => other.participant === participant)
              .reduce((sum, other) => sum + other.bytes, 0);
            expect(own).toBeLessThanOrEqual(TOTAL_MAX - pending.total);
          } catch (error) {
            expect(error).toBeInstanceOf(OverloadedError);
            expect(pending.total).toBe(before);
          }
          const sum = waiting.reduce((total, other) => total + other.bytes, 0);
          expect(pending.total).toBe(sum);
          expect(sum).toBeLessThan(TOTAL_MAX);
        }
        for (const { release } of waiting) release();
        expect(pending.total).toBe(0);
      }),
    );
  });

  test("who holds nothing gets in with what is half of the room that is left", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 60 }), (floods) => {
        const pending = pendingBytes();
        for (const [i, bytes] of floods.entries()) {
          try {
            pending.reserve(sender(`flood ${i % 7}`), bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(OverloadedError);
          }
        }
        const room = TOTAL_MAX - pending.total;
        expect(room).toBeGreaterThan(0);
        if (room > 1) pending.reserve(sender("ada"), Math.floor(room / 2));
      }),
    );
  });
});

test("n who take all that they can get have 1/(n+1) each", () => {
  for (const n of [1, 2, 9]) {
    const held = Array.from({ length: n }, () => 0);
    for (let total = -1; total !== held.reduce((sum, bytes) => sum + bytes, 0);) {
      total = held.reduce((sum, bytes) => sum + bytes, 0);
      for (let i = 0; i < n; i += 1) {
        const own = held[i] ?? 0;
        const others = held.reduce((sum, bytes) => sum + bytes, 0) - own;
        if (isFairShare(own + 1, others, TOTAL_MAX)) held[i] = own + 1;
      }
    }
    for (const bytes of held) expect(Math.abs(bytes - TOTAL_MAX / (n + 1))).toBeLessThan(1.01);
  }
});
