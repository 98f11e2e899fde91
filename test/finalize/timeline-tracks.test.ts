import { expect, test } from "bun:test";
import { GAP_MS_MAX } from "../../src/finalize/timeline-places.ts";
import { type TimelinePart, timelineTracks } from "../../src/finalize/timeline-tracks.ts";

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

test("pictures out of order keep their times right behind a segment whose pictures are in order", async () => {
  const plain = {
    kind: "video" as const,
    entries: [Buffer.alloc(86)],
    entryIndexes: undefined,
    ticksPerSecond: 1_000,
    offsetMs: 0,
    count: 4,
    sizes: Uint32Array.of(10, 10, 10, 10),
    offsetsBytes: Float64Array.of(0, 10, 20, 30),
    decodeTicks: Float64Array.of(0, 33, 66, 99, 132),
    compositionTicks: undefined,
    isSync: undefined,
    usualTicks: 33,
  };
  // Presented at 0, 99, 33 and 66 ms.
  const reordered = { ...plain, offsetMs: -66, compositionTicks: Int32Array.of(66, 132, 33, 33) };
  const [first, second] = [plain, reordered].map((video, part) => ({
    tables: { video, audio: undefined, media: { from: 0, to: 40 } },
    toTrackMs: (mp4Ms: number) => mp4Ms + part * 132,
    parameterSets: new Map(),
  }));
  if (first === undefined || second === undefined) throw new RangeError("There are two parts");
  const [track] = (await timelineTracks([first, second])).tracks;
  if (track === undefined) throw new Error("There is no track");
  const expand = ({ counts, values }: typeof track.steps): number[] =>
    Array.from({ length: values.length }, (_, i) =>
      Array.from({ length: counts.at(i) }, () => values.at(i) | 0),
    ).flat();
  const steps = expand(track.steps);
  let decodeTicks = 0;
  const presentedTicks = expand(track.compositions).map((offset, i) => {
    const atTicks = decodeTicks + offset;
    decodeTicks += steps[i] ?? 0;
    return atTicks;
  });
  expect(presentedTicks).toEqual([0, 33, 66, 99, 132, 231, 165, 198].map((ms) => ms * 90));
  expect(Math.min(...steps)).toBeGreaterThan(0);
});

/** `stsd`'s entry of Opus in two channels (Encapsulation of Opus in ISO BMFF, 4.3). */
function opusEntry(): Buffer {
  const entry = Buffer.alloc(36 + 19);
  entry.writeUInt32BE(entry.length, 0);
  entry.write("Opus", 4, "latin1");
  entry.writeUInt16BE(2, 24);
  // Behind version 0 come the channels.
  entry.writeUInt32BE(19, 36);
  entry.write("dOps", 40, "latin1");
  entry.writeUInt8(2, 45);
  return entry;
}

/** Two packets of Opus, and as long a hole between them as is kept. */
function soundWithHole(): TimelinePart {
  const holeTicks = (GAP_MS_MAX / 1_000) * 48_000;
  const audio = {
    kind: "audio" as const,
    entries: [opusEntry()],
    entryIndexes: undefined,
    ticksPerSecond: 48_000,
    offsetMs: 0,
    count: 2,
    sizes: Uint32Array.of(100, 100),
    offsetsBytes: Float64Array.of(0, 100),
    decodeTicks: Float64Array.of(0, 960 + holeTicks, 1_920 + holeTicks),
    compositionTicks: undefined,
    isSync: undefined,
    usualTicks: 960,
  };
  const tables = { video: undefined, audio, media: { from: 0, to: 200 } };
  return { tables, toTrackMs: (mp4Ms) => mp4Ms, parameterSets: new Map(), soundPacketMs: 20 };
}

test("hours of silence between two packets let others have their turn", async () => {
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const { silentPackets } = await timelineTracks([soundWithHole()]);
  isOver = true;
  expect(silentPackets).toBe((GAP_MS_MAX / 1_000) * 50);
  // Two million packets, some ten thousand at a stretch.
  expect(turns).toBeGreaterThan(50);
});

test("hours of silence take no more memory than a second of them", async () => {
  const { insertions } = await timelineTracks([soundWithHole()]);
  const pieces = new Set(insertions.map(({ bytes }) => bytes));
  expect(insertions.length).toBeGreaterThan(40_000);
  expect(pieces.size).toBeLessThanOrEqual(4);
});
