import { expect, test } from "bun:test";
import { SILENT_MS, runningSegment } from "../../src/live/running-segment.ts";
import type { SegmentView } from "../../src/recording/segment-view.ts";
import { newSegmentId, trackKey } from "../finalize/finalizer-bed.ts";
import { recordingIdSchema } from "../../src/contract/ids.ts";

const KEY = trackKey(recordingIdSchema.parse(Bun.randomUUIDv7()));
const BEGAN_AT_MS = Date.UTC(2026, 0, 1);

/** Times in milliseconds from the begin of the recording. */
function segment(openedMs: number, lastChunkMs: number, isComplete = false): SegmentView {
  const segmentId = newSegmentId();
  const [openedAt, lastChunkAt] = [openedMs, lastChunkMs].map((ms) =>
    new Date(BEGAN_AT_MS + ms).toISOString(),
  );
  return {
    ...KEY,
    segmentId,
    summary: {
      segmentId,
      mimeType: "video/webm",
      chunks: 3,
      bytes: 3,
      nextSequence: 3,
      missing: [],
      ended: isComplete,
      chunkCount: isComplete ? 3 : null,
      openedAt: openedAt ?? "",
      lastChunkAt: lastChunkAt ?? null,
    },
  };
}

/** @param runningAt which of them it is */
function expectRunning(segments: readonly SegmentView[], nowMs: number, runningAt: number): void {
  expect(runningSegment(segments, BEGAN_AT_MS + nowMs)).toBe(segments[runningAt]);
}

test("the newest is running, also when an older one sends chunks too", () => {
  expectRunning([segment(0, 9_900), segment(5_000, 9_000)], 10_000, 1);
});

test("the newest is running when it is paused and nothing else sends", () => {
  expectRunning([segment(0, 4_000), segment(5_000, 9_000)], 9_000 + 10 * SILENT_MS, 1);
});

test("an older one that goes on is running when the newest is complete", () => {
  expectRunning([segment(0, 9_900), segment(5_000, 9_000, true)], 10_000, 0);
  expectRunning([segment(0, 9_000), segment(4_000, 9_900), segment(5_000, 8_000, true)], 10_000, 1);
});

test("an older one that goes on is running when the newest has gone without an end", () => {
  const [older, gone] = [segment(0, 9_000 + SILENT_MS), segment(5_000, 9_000)];
  expectRunning([older, gone], 8_999 + SILENT_MS, 1);
  expectRunning([older, gone], 9_000 + SILENT_MS, 0);
});

test("what a reload left behind, or what is silent, is not running", () => {
  expectRunning([segment(0, 4_900), segment(5_000, 9_000, true)], 9_100, -1);
  expectRunning([segment(0, 9_000), segment(5_000, 9_000, true)], 9_000 + SILENT_MS, -1);
  expectRunning([], 0, -1);
});
