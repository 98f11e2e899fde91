import { describe, expect, test } from "bun:test";
import { segmentIdSchema } from "../../src/contract/ids.ts";
import type { Mark } from "../../src/contract/marks.ts";
import { measureRate } from "../../src/timeline/media-rate.ts";
import { placeSegment } from "../../src/timeline/segment-place.ts";
import { buildTrackTimeline } from "../../src/timeline/track-ledger.ts";
import { STARTED_AT_MS } from "./ledger-segment.ts";

const CHUNKS = 30_000;
const HOLES = 10_000;

/** These take seconds on a busy computer, and took minutes or all memory: the server stands still meanwhile. */
const AT_MOST_MS = 30_000;

/** What a call of `CHUNKS` chunks with these marks takes to be placed and told of. */
function toldIn(marks: readonly Mark[], sliceMs = 1_000): number {
  const fromMs = performance.now();
  const segmentId = segmentIdSchema.parse(crypto.randomUUID());
  const sequences = Array.from({ length: CHUNKS }, (_, sequence) => sequence);
  const stamps = sequences.map((sequence) => {
    const capturedAtMs = STARTED_AT_MS + sequence * sliceMs;
    return { sequence, byteLength: 100, capturedAtMs, receivedAtMs: capturedAtMs + 1_500 };
  });
  const chunkEnds = sequences.map((sequence) => {
    return { sequence, mediaEndMs: (sequence + 1) * sliceMs - 60 };
  });
  const openedAtMs = STARTED_AT_MS;
  const timeline = placeSegment({ segmentId, openedAtMs, stamps, marks, chunkEnds });
  const holes = Array.from({ length: HOLES }, (_, i) => {
    return { fromMs: i * 3_000 + 100, toMs: i * 3_000 + 900 };
  });
  const extent = { firstMs: 0, endMs: CHUNKS * sliceMs, holes };
  const known = { stamps, chunkEnds, chunkCount: CHUNKS, damagedChunks: [] };
  const segment = { ...known, timeline, marks, video: extent, audio: extent };
  const ledger = buildTrackTimeline({ startedAtMs: STARTED_AT_MS, segments: [segment] });
  expect(ledger).not.toBeNull();
  return performance.now() - fromMs;
}

const at = (i: number): number => STARTED_AT_MS + 500 + i * 500;

describe("a segment with more marks than any page makes is placed in a bearable time", () => {
  test.each<[string, (i: number) => Mark[]]>([
    [
      "pauses",
      (i) => [
        { type: "paused", atMs: at(i) },
        { type: "resumed", atMs: at(i) + 1 },
      ],
    ],
    ["pauses that never end", (i) => [{ type: "paused", atMs: at(i) }]],
    [
      "frozen pages and devices that change",
      (i) => [
        { type: "frozen", atMs: at(i), toMs: at(i) + 200 },
        { type: "device-changed", atMs: at(i) + 1, stream: "audio" },
      ],
    ],
    ["pages that are frozen for ever", (i) => [{ type: "frozen", atMs: at(i), toMs: 8e15 }]],
  ])("with %s", (_, marksAt) => {
    expect(toldIn(Array.from({ length: 50_000 }, (_unused, i) => marksAt(i)).flat())).toBeLessThan(
      AT_MOST_MS,
    );
  });

  test("whose media claims ends weeks apart, and the last one at the begin", () => {
    const lags = Array.from({ length: CHUNKS }, (_, i) => {
      const mediaEndMs = i === CHUNKS - 1 ? 0 : (i + 1) * 60_000;
      return { mediaEndMs, atMs: STARTED_AT_MS + i, beginMs: STARTED_AT_MS };
    });
    const fromMs = performance.now();
    expect(measureRate(lags)).toBe(1);
    expect(performance.now() - fromMs).toBeLessThan(AT_MOST_MS);
  });

  test("whose container tells of weeks", () => {
    expect(toldIn([], 60_000)).toBeLessThan(AT_MOST_MS);
  });
});
