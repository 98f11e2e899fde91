import { describe, expect, test } from "bun:test";
import { type Shares, type Way, bestOf, nextWay } from "../../src/finalize/remux-ways.ts";

const COPY: Way = { video: "copy", audio: "copy", muxer: "ffmpeg" };

/** What a way brings of each stream, by its words such as `copy-transcode ffmpeg`; 0 unless it is named. */
type Outcomes = Readonly<Record<string, readonly [video: number, audio: number] | "fails">>;

function wordsOf({ video, audio, muxer }: Way): string {
  return `${video ?? "none"}-${audio ?? "none"} ${muxer}`;
}

/** Climbs to the end, and gives the ways in their order and the best of them. */
function climb(base: Way, outcomes: Outcomes): { ways: string[]; best: string | undefined } {
  const tried: { way: Way; shares: Shares | undefined }[] = [];
  for (let way = nextWay(base, tried); way !== undefined; way = nextWay(base, tried)) {
    const outcome = outcomes[wordsOf(way)] ?? "fails";
    const shares =
      outcome === "fails"
        ? undefined
        : { video: way.video && outcome[0], audio: way.audio && outcome[1] };
    tried.push({ way, shares });
    expect(tried.length).toBeLessThan(10);
  }
  const best = tried[bestOf(tried) ?? -1]?.way;
  return { ways: tried.map(({ way }) => wordsOf(way)), best: best && wordsOf(best) };
}

describe("the ladder of ways", () => {
  test("ends with the first way that brings everything", () => {
    expect(climb(COPY, { "copy-copy ffmpeg": [1, 1] }).ways).toEqual(["copy-copy ffmpeg"]);
  });

  test("what one muxer copies in part the other one copies whole", () => {
    const outcomes: Outcomes = { "copy-copy ffmpeg": [0.9, 1], "copy-copy mediabunny": [1, 1] };
    expect(climb(COPY, outcomes)).toEqual({
      ways: ["copy-copy ffmpeg", "copy-copy mediabunny"],
      best: "copy-copy mediabunny",
    });
  });

  test("transcodes only the stream that does not fit", () => {
    const outcomes: Outcomes = {
      "copy-copy ffmpeg": [0, 1],
      "copy-copy mediabunny": [0, 1],
      "none-copy ffmpeg": [0, 1],
      "transcode-none ffmpeg": [1, 0],
      "transcode-copy ffmpeg": [1, 1],
    };
    expect(climb(COPY, outcomes)).toEqual({
      ways: [
        "copy-copy ffmpeg",
        "copy-copy mediabunny",
        "copy-none ffmpeg",
        "transcode-none ffmpeg",
        "transcode-copy ffmpeg",
      ],
      best: "transcode-copy ffmpeg",
    });
  });

  test("leaves out the stream that cannot be decoded when nothing comes of both together", () => {
    const base: Way = { video: "transcode", audio: "transcode", muxer: "ffmpeg" };
    expect(climb(base, { "transcode-none ffmpeg": [1, 0] })).toEqual({
      ways: ["transcode-transcode ffmpeg", "transcode-none ffmpeg", "none-transcode ffmpeg"],
      best: "transcode-none ffmpeg",
    });
  });

  test("does not keep a stream that shows nothing beside one that is whole", () => {
    const outcomes: Outcomes = {
      "copy-copy ffmpeg": [1, 0],
      "copy-copy mediabunny": [1, 0],
      "copy-none ffmpeg": [1, 0],
    };
    expect(climb(COPY, outcomes).best).toBe("copy-none ffmpeg");
  });

  test("keeps the best where nothing is whole, and none where nothing shows anything", () => {
    const alone: Way = { video: "copy", audio: undefined, muxer: "ffmpeg" };
    const outcomes: Outcomes = { "copy-none ffmpeg": [0.9, 0], "transcode-none ffmpeg": [0.5, 0] };
    expect(climb(alone, outcomes).best).toBe("copy-none ffmpeg");
    expect(climb(alone, {})).toEqual({
      ways: ["copy-none ffmpeg", "copy-none mediabunny", "transcode-none ffmpeg"],
      best: undefined,
    });
  });

  test("leaves copies to mediabunny where ffmpeg cannot make them", () => {
    const base: Way = { ...COPY, muxer: "mediabunny" };
    expect(climb(base, { "none-copy mediabunny": [0, 1] })).toEqual({
      ways: [
        "copy-copy mediabunny",
        "copy-none mediabunny",
        "transcode-none ffmpeg",
        "none-copy mediabunny",
      ],
      best: "none-copy mediabunny",
    });
  });
});
