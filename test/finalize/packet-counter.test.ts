import { describe, expect, test } from "bun:test";
import { HOLES_MAX, PacketCounter } from "../../src/finalize/packet-counter.ts";

function countOf(
  kind: "video" | "audio",
  timesMs: readonly number[],
  durationMs?: number,
): PacketCounter {
  const counter = new PacketCounter(kind);
  for (const atMs of timesMs) {
    counter.add({ atMs, durationMs, packets: 1, bytes: 10, isVisible: true });
  }
  return counter;
}

function every(stepMs: number, fromMs: number, toMs: number): number[] {
  return Array.from({ length: Math.ceil((toMs - fromMs) / stepMs) }, (_, i) => fromMs + i * stepMs);
}

describe("PacketCounter", () => {
  test("ends where the last packet ends by its own duration", () => {
    expect(countOf("audio", every(20, 28, 1_028), 20).endMs).toBe(1_028);
    expect(countOf("video", []).endMs).toBeUndefined();
  });

  test("ends a usual step after the last packet when nothing tells its duration", () => {
    expect(countOf("video", every(40, 0, 1_000)).endMs).toBe(1_000);
    expect(countOf("video", [0]).endMs).toBe(0);
    // One long step tells nothing of how long a picture usually is.
    expect(countOf("video", [...every(40, 0, 1_000), 1_360]).endMs).toBe(1_400);
  });

  test("tells of silence that is longer than 100 ms, exactly from end to begin", () => {
    const times = [...every(20, 0, 500), ...every(20, 601, 1_000), ...every(20, 1_201, 2_000)];
    const { holes } = countOf("audio", times, 20);
    expect(holes).toEqual([
      { fromMs: 500, toMs: 601 },
      { fromMs: 1_001, toMs: 1_201 },
    ]);
  });

  test("takes long packets for sound, not for a hole", () => {
    expect(countOf("audio", every(120, 0, 2_000), 120).holes).toEqual([]);
  });

  test("tells of pictures that are more than 500 ms apart", () => {
    const times = [...every(40, 0, 1_000), ...every(40, 1_460, 2_000), ...every(40, 2_600, 3_000)];
    // The last before 2,600 stands at 1,980.
    expect(countOf("video", times).holes).toEqual([{ fromMs: 2_020, toMs: 2_600 }]);
  });

  test("does not believe a sample that is stretched over a hole", () => {
    const counter = new PacketCounter("video");
    for (const atMs of [...every(40, 0, 1_000), ...every(40, 5_000, 6_000)]) {
      counter.add({
        atMs,
        durationMs: atMs === 960 ? 4_040 : 40,
        packets: 1,
        bytes: 1,
        isVisible: true,
      });
    }
    expect(counter.holes).toEqual([{ fromMs: 1_000, toMs: 5_000 }]);
  });

  test("pictures that need lost ones are a hole, which tells where they begin", () => {
    const counter = new PacketCounter("video");
    for (const atMs of [...every(40, 0, 1_000), ...every(40, 4_000, 6_000)]) {
      const needsLost = atMs >= 4_000 && atMs < 5_000;
      counter.add({ atMs, durationMs: 40, packets: 1, bytes: 1, isVisible: true, needsLost });
    }
    expect(counter.holes).toEqual([{ fromMs: 1_000, toMs: 5_000, resumesMs: 4_000 }]);
    expect(counter.packets).toBe(75);
  });

  test("pictures out of order leave no hole, nor make a step longer than it is", () => {
    // As B-frames are stored: each third before the two that are shown before it.
    const decoded = every(100, 0, 2_000).flatMap((ms) => [ms + 100, ms + 33, ms + 67]);
    const counter = countOf("video", [0, ...decoded]);
    expect(counter.holes).toEqual([]);
    expect(counter.endMs).toBeCloseTo(2_033, -1);
    const slow = countOf("video", [0, 900, 300, 600, 1_800, 1_200, 1_500]);
    expect(slow.holes).toEqual([]);
  });

  test("what lies in a hole that seemed one leaves what is still one of it", () => {
    const { holes } = countOf("video", [...every(40, 0, 1_000), 5_000, 4_000, 4_500]);
    expect(holes).toEqual([{ fromMs: 1_000, toMs: 4_000 }]);
  });

  test("keeps a bounded number of holes", () => {
    const { holes } = countOf("video", every(1_000, 0, (HOLES_MAX + 10) * 1_000));
    expect(holes).toHaveLength(HOLES_MAX);
  });
});
