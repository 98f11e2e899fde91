import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { MatroskaFilter } from "../../src/finalize/matroska-filter.ts";
import { countsOf } from "../../src/finalize/matroska-source.ts";
import { probeFile } from "../../src/finalize/mp4-source.ts";
import { type RecordedName, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

/** Sends a recording through the filter, chunk by chunk, without those that are missing. */
async function filtered(
  name: RecordedName,
  missing: readonly number[] = [],
): Promise<MatroskaFilter> {
  const { chunks } = await recordedSegment(name);
  const filter = new MatroskaFilter();
  for (const { sequence, payload } of chunks) {
    if (missing.includes(sequence)) {
      filter.gap();
      continue;
    }
    filter.push(payload);
    filter.endChunk(sequence);
  }
  filter.end();
  return filter;
}

describe("facts from the media of a segment", () => {
  // Sound: `ffprobe -show_packets`, pts of the last packet plus its duration. Pictures tell none: the
  // recorder's rate is 30 frames/s.
  test.each([
    ["vp9-opus", 5_968 + 33, 5_967 + 60],
    ["h264-opus", 5_971 + 33, 5_978 + 60],
    ["h264-opus-paused", 5_492 + 33, 5_436 + 60],
  ] as const)("%s ends where its last packets end, and has no hole", async (name, video, audio) => {
    const counts = countsOf(await filtered(name));
    expect(counts.video?.endMs).toBe(video);
    expect(counts.audio?.endMs).toBe(audio);
    expect(counts.video?.holes).toEqual([]);
    expect(counts.audio?.holes).toEqual([]);
  });

  test("tells how far the media reaches at the end of each chunk", async () => {
    const filter = await filtered("h264-opus");
    const { chunks } = await recordedSegment("h264-opus");
    const ends = [...filter.chunkEnds];
    expect(ends.map(({ sequence }) => sequence)).toEqual(chunks.map(({ sequence }) => sequence));
    for (const [i, { mediaEndMs }] of ends.entries()) {
      // The recorder hands a chunk over when it has encoded what it holds.
      expect(mediaEndMs - (chunks[i]?.atMs ?? 0)).toBeGreaterThan(-200);
      expect(mediaEndMs - (chunks[i]?.atMs ?? 0)).toBeLessThan(50);
    }
  });

  test("a missing chunk is a hole in both streams, and has no end", async () => {
    const whole = [...(await filtered("vp9-opus")).chunkEnds];
    const filter = await filtered("vp9-opus", [2]);
    const { video, audio } = countsOf(filter);
    const fromMs = whole[1]?.mediaEndMs ?? 0;
    const toMs = whole[2]?.mediaEndMs ?? 0;
    for (const stream of [video, audio]) {
      expect(stream?.holes).toHaveLength(1);
      const [hole = { fromMs: 0, toMs: 0 }] = stream?.holes ?? [];
      expect(Math.abs(hole.fromMs - fromMs)).toBeLessThan(100);
      expect(hole.toMs).toBeGreaterThan(toMs - 100);
    }
    expect([...filter.chunkEnds].map(({ sequence }) => sequence)).toEqual([0, 1, 3, 4, 5]);
  });

  test("an MP4 recording tells its end too", async () => {
    await using directory = await temporaryDirectory();
    const { chunks } = await recordedSegment("mp4-vp9-opus");
    const path = join(directory.path, "source.mp4");
    await Bun.write(path, joinChunks(chunks));
    const { counts } = await probeFile(path, new AbortController().signal);
    for (const stream of [counts.video, counts.audio]) {
      const packetMs = (stream?.endMs ?? 0) - (stream?.lastMs ?? 0);
      expect(packetMs).toBeGreaterThan(0);
      expect(packetMs).toBeLessThanOrEqual(70);
      expect(stream?.holes).toEqual([]);
    }
  });
});
