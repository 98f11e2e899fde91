import { describe, expect, test } from "bun:test";
import type { SegmentSummary } from "../../src/contract/recordings.ts";
import type { Gap, GapCause, TrackTimeline } from "../../src/contract/timeline.ts";
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
    notes: [],
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

const gap = (cause: GapCause, fromMs: number, toMs: number, streams: Gap["streams"]): Gap => ({
  cause,
  fromMs,
  toMs,
  streams,
});

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

  test("notes are named; only those of a loss lower the verdict", () => {
    const remark = { text: "The picture was made smaller.", isLoss: false };
    const loss = { text: "The sound could not be decoded.", isLoss: true };
    expect(judgeTrack([report({ notes: [remark] })])).toEqual({
      verdict: "complete",
      reason: remark.text,
    });
    const [one, other] = [report({ notes: [remark] }), report({ notes: [loss] })];
    expect(judgeTrack([one, other])).toEqual({
      verdict: "degraded",
      reason:
        `Segment ${other.summary.segmentId}: ${loss.text} ` +
        `Segment ${one.summary.segmentId}: ${remark.text}`,
    });
    // Of all segments together.
    expect(judgeTrack([report()], null, [loss])).toEqual({
      verdict: "degraded",
      reason: loss.text,
    });
  });

  describe("with the track's timeline", () => {
    const missing = report({ summary: { missing: [{ from: 3, to: 5 }] } });
    const { segmentId } = missing.summary;
    const timelineWith = (...gaps: Gap[]): TrackTimeline => ({
      offsetMs: 100,
      durationMs: 30_000,
      segments: [
        { segmentId: newSegmentId(), offsetMs: 100, durationMs: 1_000, rate: 1 },
        { segmentId, offsetMs: 2_000, durationMs: 28_100, rate: 1 },
      ],
      gaps,
    });

    test("degraded: the reason names the time of missing chunks and of damage", () => {
      const gaps = [
        gap("missing-chunks", 200, 700, ["video"]),
        gap("missing-chunks", 3_060, 6_210, ["video"]),
        gap("missing-chunks", 3_100, 6_210, ["audio"]),
        gap("damaged", 6_210, 8_000, ["video"]),
      ];
      const damage = { ...missing.damage, unusableBytes: 9 };
      const { reason } = judgeTrack([{ ...missing, damage }], timelineWith(...gaps));
      expect(reason).toBe(
        `Segment ${segmentId} lacks chunks 3-5 (0:03.1 to 0:06.2). ` +
          `Segment ${segmentId} has 9 bytes that could not be used (0:06.2 to 0:08.0).`,
      );
    });

    test("complete: recorders that ran at the same time are named", () => {
      const recorded = [
        { fromMs: 0, toMs: 9_000 },
        { fromMs: 4_000, toMs: 20_000 },
        { fromMs: 5_000, toMs: 6_000 },
      ];
      const overlaps = recorded.map(({ fromMs, toMs }) => ({
        segmentId: newSegmentId(),
        fromMs,
        toMs,
        shown: [],
      }));
      const timeline = { ...timelineWith(), overlaps };
      const note =
        "More than one recorder ran at the same time (0:04.0 to 0:09.0): the MP4 shows one of them at " +
        "each moment, first the one that began first. All of them can be downloaded as source.";
      expect(judgeTrack([report()], timeline)).toEqual({ verdict: "complete", reason: note });
      const { verdict, reason } = judgeTrack([missing], timeline);
      expect(verdict).toBe("degraded");
      expect(reason).toEndWith(` ${note}`);
    });

    test("degraded: a source that was on gave nothing for a while", () => {
      const timeline = timelineWith(
        gap("stalled", 4_000, 8_040, ["video"]),
        gap("stalled", 9_000, 10_900, ["audio"]),
        gap("stalled", 65_000, 68_000, ["video", "audio"]),
      );
      expect(judgeTrack([report()], timeline)).toEqual({
        verdict: "degraded",
        reason:
          "No pictures came from 0:04.0 to 0:08.0, 1:05.0 to 1:08.0. " +
          "No sound came from 1:05.0 to 1:08.0.",
      });
    });

    test("complete: people paused, muted and reloaded, and a picture stood for a moment", () => {
      const timeline = timelineWith(
        gap("paused", 4_000, 8_000, ["video", "audio"]),
        gap("muted", 9_000, 12_000, ["audio"]),
        gap("between-segments", 12_000, 15_000, ["video", "audio"]),
        gap("stalled", 16_000, 17_900, ["audio"]),
      );
      expect(judgeTrack([report()], timeline).verdict).toBe("complete");
    });
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
