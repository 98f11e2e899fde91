import { describe, expect, test } from "bun:test";
import type { TrackTimeline } from "../../src/contract/timeline.ts";
import { buildTrackTimeline } from "../../src/timeline/track-ledger.ts";
import { ledgerSegment, type PlainSegment, STARTED_AT_MS } from "./ledger-segment.ts";

function timelineOf(...segments: readonly PlainSegment[]): TrackTimeline {
  const timeline = buildTrackTimeline({
    startedAtMs: STARTED_AT_MS,
    segments: segments.map(ledgerSegment),
  });
  if (timeline === null) throw new RangeError("There is no timeline");
  return timeline;
}

/** `cause streams from-to` of each gap. */
const gapsOf = (...segments: readonly PlainSegment[]) =>
  timelineOf(...segments).gaps.map(
    ({ cause, streams, fromMs, toMs }) => [cause, streams.join("+"), fromMs, toMs] as const,
  );

describe("where segments were recorded at the same time", () => {
  const hidden: PlainSegment = {
    beginMs: 2_000,
    video: null,
    audio: null,
    recorded: [2_000, 9_000],
  };

  test("one that is not shown is on the list alone, whatever it lacks", () => {
    const timeline = timelineOf(
      { recorded: [0, 10_000] },
      { ...hidden, missing: [3], marks: [{ type: "paused", atMs: STARTED_AT_MS + 5_000 }] },
    );
    expect(timeline).toMatchObject({ offsetMs: 0, durationMs: 10_000, gaps: [] });
    expect(timeline.segments).toHaveLength(1);
    expect(timeline.overlaps).toMatchObject([
      {
        fromMs: 0,
        toMs: 10_000,
        shown: [
          { streams: ["video"], fromMs: 0, toMs: 10_000 },
          { streams: ["audio"], fromMs: 0, toMs: 10_000 },
        ],
      },
      { fromMs: 2_000, toMs: 9_000, shown: [] },
    ]);
  });

  test("one that takes over leaves no gap, though the first has lost its end", () => {
    const first: PlainSegment = {
      video: [0, 7_000],
      audio: [0, 6_950],
      missing: [8, 9],
      recorded: [0, 8_000],
      isTakenOver: true,
    };
    const second: PlainSegment = { beginMs: 4_000, recorded: [4_000, 14_000] };
    expect(gapsOf(first, { ...second, video: [3_000, 10_000], audio: [3_000, 10_000] })).toEqual([
      ["between-segments", "audio", 6_950, 7_000],
    ]);
  });

  test("what one that takes over lacks from then on is explained by its own losses", () => {
    const first: PlainSegment = { chunkCount: 8, recorded: [0, 8_000] };
    const second: PlainSegment = {
      beginMs: 4_000,
      video: [5_000, 10_000],
      audio: [4_500, 10_000],
      missing: [4],
      recorded: [4_000, 14_000],
      takesOverMs: 8_000,
    };
    expect(gapsOf(first, second)).toEqual([
      ["missing-chunks", "audio", 8_000, 8_500],
      ["missing-chunks", "video", 8_000, 9_000],
    ]);
  });

  test("pictures of one beside the sound of another lack nothing but where there are none", () => {
    const sound: PlainSegment = { video: null, recorded: [0, 10_000] };
    const both: PlainSegment = { beginMs: 3_000, chunkCount: 5, recorded: [3_000, 8_000] };
    expect(gapsOf(sound, { ...both, audio: null })).toEqual([
      ["muted", "video", 0, 3_000],
      ["muted", "video", 8_000, 10_000],
    ]);
  });

  test("what the one that is shown lacks is a gap", () => {
    const lossy: PlainSegment = {
      video: [0, 10_000, [3_000, 5_000]],
      audio: [0, 10_000, [3_000, 4_000]],
      missing: [3],
      recorded: [0, 10_000],
    };
    expect(gapsOf(lossy, hidden)).toEqual([
      ["missing-chunks", "video+audio", 3_000, 4_000],
      ["damaged", "video", 4_000, 5_000],
    ]);
  });
});
