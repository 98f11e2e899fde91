import { describe, expect, test } from "bun:test";
import type { Hole, StreamCount } from "../../src/finalize/source-stream.ts";
import { TimeBounds, exceedsBounds } from "../../src/finalize/time-bounds.ts";
import { GAP_MS_MAX } from "../../src/finalize/timeline-places.ts";

const HOUR_MS = 3_600_000;

function count(firstMs: number, endMs: number, ...holes: readonly Hole[]): StreamCount {
  const packets = { packets: 2, visiblePackets: 2, bytes: 2 };
  return { ...packets, firstMs, lastMs: endMs - 20, endMs, holes };
}

describe("exceedsBounds", () => {
  test("is true where one stream begins long after the other has ended", () => {
    const video = count(0, 4_000);
    expect(exceedsBounds({ video, audio: count(13 * HOUR_MS, 13 * HOUR_MS + 4_000) })).toBe(true);
    expect(exceedsBounds({ video, audio: count(5 * HOUR_MS, 5 * HOUR_MS + 4_000) })).toBe(false);
  });

  test("is true of a hole that is too long for one step of an MP4, also beside other media", () => {
    const video = count(0, 8 * HOUR_MS);
    const hole = { fromMs: 1_000, toMs: 7 * HOUR_MS };
    expect(exceedsBounds({ video, audio: count(0, 8 * HOUR_MS, hole) })).toBe(true);
    expect(exceedsBounds({ video, audio: count(0, 8 * HOUR_MS) })).toBe(false);
  });

  test("is true of times that go back by more than pictures out of order do", () => {
    const video = count(0, 60_000);
    expect(exceedsBounds({ video: { ...video, furthestBackMs: 30_000 }, audio: undefined })).toBe(
      true,
    );
    expect(exceedsBounds({ video: { ...video, furthestBackMs: 500 }, audio: undefined })).toBe(
      false,
    );
  });
});

/** Where packets at these times are put. */
async function kept(
  times: Readonly<Partial<Record<"video" | "audio", readonly number[]>>>,
): Promise<{ video: number[]; audio: number[] }> {
  const bounds = new TimeBounds();
  const { video = [], audio = [] } = times;
  for (const atMs of video) bounds.add("video", atMs);
  for (const atMs of audio) bounds.add("audio", atMs);
  const settled = await bounds.settle(async () => {});
  return {
    video: video.map((atMs, i) => settled.keptMs("video", i, atMs)),
    audio: audio.map((atMs, i) => settled.keptMs("audio", i, atMs)),
  };
}

describe("TimeBounds", () => {
  test("leaves times that are within bounds as they are", async () => {
    const times = { video: [0, 99, 33, 66, 11 * HOUR_MS], audio: [5, 25, 45] };
    expect(await kept(times)).toEqual(times);
  });

  test("moves what comes behind a gap of both streams nearer, together", async () => {
    const farMs = 20 * HOUR_MS;
    expect(await kept({ video: [0, 40, farMs, farMs + 40], audio: [10, 30, farMs + 10] })).toEqual({
      video: [0, 40, 40 + GAP_MS_MAX, 80 + GAP_MS_MAX],
      audio: [10, 30, 50 + GAP_MS_MAX],
    });
  });

  test("makes each of several gaps shorter", async () => {
    const { video } = await kept({ video: [0, 20 * HOUR_MS, 50 * HOUR_MS, 51 * HOUR_MS] });
    expect(video).toEqual([0, GAP_MS_MAX, 2 * GAP_MS_MAX, 2 * GAP_MS_MAX + HOUR_MS]);
  });

  test("leaves a gap of one stream as long as the other has something in it", async () => {
    const pictures = Array.from({ length: 20 }, (_, i) => i * HOUR_MS);
    const times = { video: pictures, audio: [0, 19 * HOUR_MS] };
    expect(await kept(times)).toEqual(times);
  });

  test("has what goes back follow on what was before, picture and sound by the same", async () => {
    expect(
      await kept({ video: [0, 40, 60_000, 60_040, 0, 40], audio: [0, 20, 60_000, 60_020, 0, 20] }),
    ).toEqual({
      video: [0, 40, 60_000, 60_040, 60_080, 60_120],
      audio: [0, 20, 60_000, 60_020, 60_080, 60_100],
    });
  });
});
