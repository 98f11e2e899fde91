import { expect, test } from "bun:test";
import { timelineTracks } from "../../src/finalize/timeline-tracks.ts";

const HOUR_MS = 3_600_000;

/** Two pauses of 12 hours between the pictures, with sound between them. */
const toTrackMs = (mp4Ms: number): number => mp4Ms + (mp4Ms >= 100 ? 24 * HOUR_MS : 0);

test("a picture that stands still for a day keeps the next one in its place", async () => {
  const video = {
    kind: "video" as const,
    entries: [Buffer.alloc(86)],
    entryIndexes: undefined,
    ticksPerSecond: 1_000,
    offsetMs: 0,
    count: 2,
    sizes: Uint32Array.of(10, 10),
    offsetsBytes: Float64Array.of(0, 10),
    decodeTicks: Float64Array.of(0, 100, 200),
    compositionTicks: undefined,
    isSync: undefined,
    usualTicks: 100,
  };
  const tables = { video, audio: undefined, media: { from: 0, to: 20 } };
  const { tracks } = await timelineTracks([{ tables, toTrackMs, parameterSets: new Map() }]);
  const [track] = tracks;
  const secondsToEnd = (track?.durationTicks ?? 0) / (track?.ticksPerSecond ?? 1);
  expect(secondsToEnd).toBeCloseTo(24 * 3_600 + 0.2, 3);
});
