import { describe, expect, test } from "bun:test";
import type { SegmentSummary } from "../../src/contract/recordings.ts";
import { type TrackSituation, decideTrack, fingerprintOf } from "../../src/finalize/readiness.ts";
import { newSegmentId } from "./finalizer-bed.ts";

const STOPPED_AT_MS = Date.UTC(2026, 0, 1);
const LIMITS = { stopGraceMs: 10_000, stopWaitMsMax: 60_000, lateWaitMsMax: 600_000 };

function segment(change: Partial<SegmentSummary> = {}, lastChunkAtMs = STOPPED_AT_MS) {
  return {
    segmentId: newSegmentId(),
    mimeType: "",
    chunks: 3,
    bytes: 300,
    nextSequence: 3,
    missing: [],
    ended: true,
    chunkCount: 3,
    openedAt: new Date(STOPPED_AT_MS - 5_000).toISOString(),
    lastChunkAt: new Date(lastChunkAtMs).toISOString(),
    ...change,
  };
}

function decide(change: Partial<TrackSituation>, afterStopMs: number) {
  const situation: TrackSituation = {
    job: undefined,
    segments: [segment()],
    takenFingerprints: [],
    stoppedAtMs: STOPPED_AT_MS,
    lateSinceMs: undefined,
    ...change,
  };
  return decideTrack(situation, STOPPED_AT_MS + afterStopMs, LIMITS);
}

describe("decideTrack", () => {
  test("a track whose segments are all whole is finalized at once", () => {
    expect(decide({ segments: [segment(), segment()] }, 0)).toEqual({ next: "finalize" });
  });

  test.each([
    ["was not ended", segment({ ended: false, chunkCount: null })],
    ["lacks a chunk", segment({ missing: [{ from: 1, to: 1 }] })],
  ])("a segment that %s is waited for as long as the grace", (_, unfinished) => {
    const segments = [segment(), unfinished];
    expect(decide({ segments }, 9_999)).toEqual({
      next: "wait",
      untilMs: STOPPED_AT_MS + 10_000,
      isLate: false,
    });
    expect(decide({ segments }, 10_000)).toEqual({ next: "finalize" });
  });

  test("every chunk begins the grace anew, until the bound after the stop", () => {
    const arriving = (afterStopMs: number) => ({
      segments: [segment({ ended: false }, STOPPED_AT_MS + afterStopMs)],
    });
    expect(decide(arriving(30_000), 31_000)).toMatchObject({ untilMs: STOPPED_AT_MS + 40_000 });
    expect(decide(arriving(58_000), 59_000)).toMatchObject({ untilMs: STOPPED_AT_MS + 60_000 });
    expect(decide(arriving(59_999), 60_000)).toEqual({ next: "finalize" });
  });

  test("a job that is queued or running is left alone", () => {
    expect(decide({ job: "queued" }, 99_000)).toEqual({ next: "under-way" });
    expect(decide({ job: "running" }, 99_000)).toEqual({ next: "under-way" });
  });

  test("a track is settled while its last run took all that is there", () => {
    const segments = [segment()];
    const takenFingerprints = [fingerprintOf(segments)];
    expect(decide({ job: "done", segments, takenFingerprints }, 99_000)).toEqual({
      next: "settled",
    });
    expect(decide({ job: "failed", segments, takenFingerprints }, 99_000)).toEqual({
      next: "settled",
    });
  });

  test("late chunks have a whole track finalized at once, another after the grace", () => {
    const takenFingerprints = ["what was there before"];
    expect(decide({ job: "done", takenFingerprints }, 99_000)).toEqual({ next: "finalize" });
    const segments = [segment({ ended: false }, STOPPED_AT_MS + 98_000)];
    expect(decide({ job: "done", takenFingerprints, segments }, 99_000)).toEqual({
      next: "wait",
      untilMs: STOPPED_AT_MS + 108_000,
      isLate: true,
    });
  });

  test("late chunks that never cease put the new MP4 off for a bounded time", () => {
    const segments = [segment({ ended: false }, STOPPED_AT_MS + 699_000)];
    const late = { job: "done", takenFingerprints: ["before"], segments } as const;
    const lateSinceMs = STOPPED_AT_MS + 100_000;
    expect(decide({ ...late, lateSinceMs }, 699_000)).toMatchObject({
      untilMs: STOPPED_AT_MS + 700_000,
    });
    expect(decide({ ...late, lateSinceMs }, 700_000)).toEqual({ next: "finalize" });
  });

  test("a failed run of which nothing is known is not repeated by itself", () => {
    expect(decide({ job: "failed" }, 99_000)).toEqual({ next: "settled" });
  });
});

describe("fingerprintOf", () => {
  test("changes with a chunk, an end or a segment, and not with their order", () => {
    const [a, b] = [segment(), segment()];
    const base = fingerprintOf([a, b]);
    expect(fingerprintOf([b, a])).toBe(base);
    expect(fingerprintOf([a])).not.toBe(base);
    expect(fingerprintOf([a, { ...b, chunks: 4 }])).not.toBe(base);
    expect(fingerprintOf([a, { ...b, chunkCount: null }])).not.toBe(base);
  });
});
