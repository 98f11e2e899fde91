import { describe, expect, test } from "bun:test";
import type { SegmentSummary } from "../../src/contract/recordings.ts";
import {
  type SegmentReport,
  judgeTrack,
  rangesOf,
  withUnreadable,
} from "../../src/finalize/segment-report.ts";
import { newSegmentId } from "./finalizer-bed.ts";

function report(
  change: { summary?: Partial<SegmentSummary> } & Partial<Omit<SegmentReport, "summary">> = {},
): SegmentReport {
  const segmentId = newSegmentId();
  return {
    damage: { segmentId, damagedChunks: [], unusableBytes: 0 },
    unusable: null,
    ...change,
    summary: {
      segmentId,
      mimeType: "",
      chunks: 3,
      bytes: 300,
      nextSequence: 3,
      missing: [],
      ended: true,
      chunkCount: 3,
      openedAt: "2026-01-01T00:00:00.000Z",
      lastChunkAt: null,
      ...change.summary,
    },
  };
}

describe("judgeTrack", () => {
  test("complete: every segment has ended, and nothing is missing or damaged", () => {
    expect(judgeTrack([report(), report()])).toEqual({ verdict: "complete", reason: null });
  });

  test("degraded: names the missing and the damaged chunks of each segment", () => {
    const damaged = report();
    const { segmentId } = damaged.damage;
    const { verdict, reason } = judgeTrack([
      report({ summary: { missing: [{ from: 2, to: 4 }] } }),
      { ...damaged, damage: { segmentId, damagedChunks: [{ from: 7, to: 7 }], unusableBytes: 12 } },
      report({ summary: { ended: false, chunkCount: null } }),
    ]);
    expect(verdict).toBe("degraded");
    expect(reason).toContain("lacks chunks 2-4.");
    expect(reason).toContain(`Segment ${segmentId} has damaged chunks 7.`);
    expect(reason).toContain("12 bytes that could not be used.");
    expect(reason).toContain("never ended");
  });

  test("degraded: one of several segments could not be used", () => {
    const { verdict, reason } = judgeTrack([report(), report({ unusable: "has no chunks" })]);
    expect(verdict).toBe("degraded");
    expect(reason).toContain("has no chunks");
  });

  test("complete: a segment that its client ended without a chunk lacks nothing", () => {
    const empty = report({
      summary: { chunks: 0, bytes: 0, nextSequence: 0, chunkCount: 0 },
      unusable: "has no chunks",
    });
    expect(judgeTrack([report(), empty]).verdict).toBe("complete");
  });

  test("lost: no segment can be used", () => {
    const { verdict, reason } = judgeTrack([report({ unusable: "has only empty chunks" })]);
    expect(verdict).toBe("lost");
    expect(reason).toContain("has only empty chunks");
    expect(judgeTrack([])).toEqual({ verdict: "lost", reason: "No chunk ever came." });
  });

  test("is not complete while the recording has a segment that cannot be read", () => {
    const unreadable = [newSegmentId()];
    const complete = judgeTrack([report()]);
    expect(withUnreadable(complete, [])).toEqual(complete);
    const { verdict, reason } = withUnreadable(complete, unreadable);
    expect(verdict).toBe("degraded");
    expect(reason).toContain(unreadable[0] ?? "");
    expect(withUnreadable(judgeTrack([]), unreadable).verdict).toBe("lost");
  });
});

describe("rangesOf", () => {
  test("joins neighbours, in any order", () => {
    expect(rangesOf([5, 1, 2, 9, 4])).toEqual([
      { from: 1, to: 2 },
      { from: 4, to: 5 },
      { from: 9, to: 9 },
    ]);
  });
});
