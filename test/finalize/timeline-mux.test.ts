import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { settleMp4Index } from "../../src/finalize/mp4-index.ts";
import {
  type SampleTable,
  type SampleTables,
  presentedMs,
  readSampleTables,
} from "../../src/finalize/mp4-sample-tables.ts";
import type { RemuxPlan } from "../../src/finalize/remux-plan.ts";
import type { StreamCount } from "../../src/finalize/source-stream.ts";
import { checkTimeline } from "../../src/finalize/timeline-check.ts";
import { muxTimeline } from "../../src/finalize/timeline-mux.ts";
import { type TimelineTracks, timelineTracks } from "../../src/finalize/timeline-tracks.ts";
import { resolveFfmpeg, systemFfmpegLookup } from "../../src/process/ffmpeg-binary.ts";
import { type JoinedFile, joinFiles, type PlacedFile } from "../support/joined-file.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { streamsOf } from "../support/media-streams.ts";
import { openFilesUnder } from "../support/open-files.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const SAMPLES_PER_SECOND = 48_000;

/** What decoders make of silence beside a tone: what rings after it, 60 dB below. */
const SILENT_AMPLITUDE = 0.001;

let directory: TemporaryDirectory;

beforeEach(async () => {
  directory = await temporaryDirectory();
});
afterEach(async () => {
  await directory[Symbol.asyncDispose]();
});

/** Makes an MP4 with a tone and a test picture of `seconds`, by the options for its codecs. */
async function make(
  name: string,
  { size = "320x180", seconds = 2, video = "", audio = "" },
): Promise<string> {
  const path = join(directory.path, name);
  const { path: ffmpeg } = await judgeFfmpeg();
  const inputs = [
    ...(video === "" ? [] : ["-f", "lavfi", "-i", `testsrc2=s=${size}:r=30:d=${seconds}`]),
    ...(audio === "" ? [] : ["-f", "lavfi", "-i", `sine=440:r=48000:d=${seconds}`]),
  ];
  const options = `${video} ${audio} -strict -2`.split(" ").filter((word) => word !== "");
  const made = Bun.spawnSync([ffmpeg, "-v", "error", ...inputs, ...options, path]);
  expect(made.stderr.toString()).toBe("");
  return path;
}

/** Joins files, each to begin at its milliseconds. */
function joined(files: readonly PlacedFile[]): Promise<JoinedFile> {
  return joinFiles(directory.path, files);
}

/** Decodes with both builds, which must not say a word; gives the sound as the first one has it. */
async function decoded(path: string): Promise<Float32Array> {
  const hasPictures = (await streamsOf(path)).some(({ kind }) => kind === "video");
  const builds = [await judgeFfmpeg(), await resolveFfmpeg(systemFfmpegLookup({}))];
  const sounds = builds.map(({ path: ffmpeg }) => {
    const strict = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", path];
    const sound = ["-map", "0:a", "-ac", "1", "-f", "f32le", "pipe:1"];
    const pictures = "-map 0:v -vsync passthrough -f rawvideo -y /dev/null".split(" ");
    const outputs = [...sound, ...(hasPictures ? pictures : [])];
    const run = Bun.spawnSync([ffmpeg, ...strict, ...outputs]);
    expect(run.stderr.toString().replaceAll(/.*deprecated pixel format.*\n?/g, "")).toBe("");
    expect(run.exitCode).toBe(0);
    return new Float32Array(new Uint8Array(run.stdout).buffer);
  });
  return sounds[0] ?? new Float32Array();
}

function loudest(sound: Float32Array, fromMs: number, toMs: number): number {
  const perMs = SAMPLES_PER_SECOND / 1_000;
  return sound
    .subarray(Math.round(fromMs * perMs), Math.round(toMs * perMs))
    .reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
}

const OPUS = "-c:a libopus";
const H264 = "-c:v libx264 -pix_fmt yuv420p -g 15";

describe("joined files", () => {
  test.each([
    ["Opus", `${OPUS} -ac 1`, `${OPUS} -ac 2`, 0],
    ["Opus, stereo first", `${OPUS} -ac 2`, `${OPUS} -ac 1`, 0],
    ["mono AAC", "-c:a aac -ac 1", "-c:a aac -ac 1", 1_024 / 48],
    ["stereo AAC", "-c:a aac -ac 2", "-c:a aac -ac 2", 1_024 / 48],
  ] as const)(
    "%s: the sound counts as long as its times say, and is silent in the gap",
    async (_, first, second, shortestMs) => {
      const { path, timeline } = await joined([
        { path: await make("first.mp4", { audio: first }), atMs: 0 },
        { path: await make("second.mp4", { audio: second }), atMs: 5_004 },
      ]);
      expect(timeline.silentPackets).toBeGreaterThan(0);
      const sound = await decoded(path);
      // By counting samples, as players do, the second tone begins where its times say. A packet of a
      // new encoder begins softly in a decoder that has decoded others.
      const begin = sound.findIndex((sample, i) => i > 3 * 48_000 && Math.abs(sample) > 0.01);
      expect(Math.abs((begin / SAMPLES_PER_SECOND) * 1_000 - 5_004)).toBeLessThan(
        shortestMs / 2 + 20,
      );
      expect(loudest(sound, 2_200, 4_900)).toBeLessThan(SILENT_AMPLITUDE);
      expect(loudest(sound, 500, 1_500)).toBeGreaterThan(0.05);
      expect(loudest(sound, 5_500, 6_500)).toBeGreaterThan(0.05);
    },
  );

  test.each([
    ["H.264", `${H264} -bf 0`],
    ["H.264 with B-frames", H264],
    ["VP9", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"],
  ] as const)(
    "%s of three sizes decodes to the end, every picture in its place",
    async (_, video) => {
      const sizes = ["320x180", "160x90", "640x360"];
      const files = await Promise.all(
        sizes.map(async (size, i) => ({
          path: await make(`${size}.mp4`, { size, video, audio: OPUS }),
          atMs: i * 3_000,
        })),
      );
      const { path } = await joined(files);
      await decoded(path);
      const index = await settleMp4Index(path);
      expect(index).toMatchObject({ isBeforeMedia: true, samplesAreInMedia: true });
      expect(index?.tracks[0]).toMatchObject({
        kind: "video",
        samples: 180,
        width: 640,
        height: 360,
      });
      const [pictures] = await streamsOf(path);
      const timesMs = pictures?.timesMs ?? [];
      const wantedMs = sizes.flatMap((_size, i) =>
        Array.from({ length: 60 }, (_frame, n) => i * 3_000 + (n * 1_000) / 30),
      );
      const errorsMs = timesMs.map((timeMs, i) => Math.abs(timeMs - (wantedMs[i] ?? 0)));
      expect(timesMs).toHaveLength(180);
      expect(Math.max(...errorsMs)).toBeLessThan(0.1);
    },
  );

  test("sound that comes first, and pictures that come later, begin where they should", async () => {
    const { path } = await joined([
      { path: await make("sound.mp4", { audio: OPUS }), atMs: 0 },
      { path: await make("both.mp4", { video: H264, audio: OPUS }), atMs: 4_000 },
      { path: await make("pictures.mp4", { video: H264 }), atMs: 7_000 },
    ]);
    const streams = await streamsOf(path);
    // The encoder's priming stands before the zero.
    expect(streams.find(({ kind }) => kind === "video")?.firstTimeMs).toBeCloseTo(4_000, 0);
    expect(streams.find(({ kind }) => kind === "audio")?.firstTimeMs).toBeCloseTo(-6.5, 0);
    await decoded(path);
  });

  test("sound that only a later file has is silence before that, beside the pictures", async () => {
    const { path, timeline } = await joined([
      { path: await make("pictures.mp4", { video: H264 }), atMs: 0 },
      { path: await make("both.mp4", { video: H264, audio: OPUS }), atMs: 3_000 },
    ]);
    const sound = await decoded(path);
    expect(loudest(sound, 0, 2_900)).toBe(0);
    expect(loudest(sound, 3_500, 4_500)).toBeGreaterThan(0.05);
    // 3 s of 20 ms, less than nothing of it left over.
    expect(timeline.silentPackets).toBeWithin(150, 153);
  });

  test("over a hundred joins no rounding adds up", async () => {
    const piece = await make("piece.mp4", { seconds: 60, audio: `${OPUS} -b:a 6k` });
    const files = Array.from({ length: 100 }, (_, i) => ({ path: piece, atMs: i * 60_033.3 }));
    const { path } = await joined(files);
    const [sound] = await streamsOf(path);
    const lastBeginMs = 99 * 60_033.3;
    const firstOfLast = sound?.timesMs.find((timeMs) => timeMs > lastBeginMs - 5) ?? 0;
    expect(Math.abs(firstOfLast - lastBeginMs)).toBeLessThan(20);
    expect(sound?.timesMs.at(-1)).toBeWithin(lastBeginMs + 59_960, lastBeginMs + 60_030);
  });
});

describe("sound of even packets", () => {
  const PACKET_MS = 60;
  const LOST = 20;

  /** Opus as Chromium's recorder gives it. */
  async function evenSound(): Promise<{ path: string; tables: SampleTables; audio: SampleTable }> {
    const audio = `${OPUS} -ac 1 -frame_duration ${PACKET_MS}`;
    const path = await make("even.mp4", { audio, seconds: 4 });
    const tables = await readSampleTables(path);
    if (tables?.audio === undefined) throw new Error("There is no sound");
    return { path, tables, audio: tables.audio };
  }

  function tracksOf(tables: SampleTables, audio: SampleTable): Promise<TimelineTracks> {
    return timelineTracks([
      {
        tables: { ...tables, audio },
        toTrackMs: (mp4Ms) => mp4Ms,
        parameterSets: new Map(),
        soundPacketMs: PACKET_MS,
      },
    ]);
  }

  test("a packet that is missing is silence, and what follows keeps its time for players", async () => {
    const { path, tables, audio } = await evenSound();
    const isThere = (_: number, i: number): boolean => i !== LOST;
    const timeline = await tracksOf(tables, {
      ...audio,
      count: audio.count - 1,
      sizes: audio.sizes.filter(isThere),
      offsetsBytes: audio.offsetsBytes.filter(isThere),
      decodeTicks: audio.decodeTicks.filter(isThere),
    });
    const outputPath = join(directory.path, "filled.mp4");
    const { signal } = new AbortController();
    const parts = [{ path, media: tables.media }];
    await muxTimeline({ timeline, parts, outputPath, onProgress: () => undefined, signal });
    expect(timeline.silentPackets).toBeGreaterThan(0);
    const [whole, filled] = [await decoded(path), await decoded(outputPath)];
    expect(Math.abs(filled.length - whole.length) / 48).toBeLessThan(3);
    // A decoder rings into the silence.
    const [fromMs, toMs] = [(LOST + 0.5) * PACKET_MS, (LOST + 0.9) * PACKET_MS];
    expect(loudest(filled, fromMs, toMs)).toBeLessThan(0.02);
    expect(loudest(filled, toMs + PACKET_MS, toMs + 3 * PACKET_MS)).toBeGreaterThan(0.05);
  });

  test("packets that only come late for a while are none that are missing", async () => {
    const { tables, audio } = await evenSound();
    // 90 ms, of which nothing is left after half a second.
    const decodeTicks = audio.decodeTicks.map((ticks, i) => {
      const lateMs = i < LOST || i > LOST + 8 ? 0 : 90 - 11 * (i - LOST);
      return ticks + lateMs * 48;
    });
    expect((await tracksOf(tables, { ...audio, decodeTicks })).silentPackets).toBe(0);
  });
});

test("a joining that is given up leaves no file open", async () => {
  const path = await make("one.mp4", { audio: OPUS });
  const reason = new Error("given up");
  const files = [0, 3_000].map((atMs) => ({ path, atMs }));
  const joining = joinFiles(directory.path, files, AbortSignal.abort(reason));
  await expect(joining).rejects.toBe(reason);
  expect(await openFilesUnder(directory.path)).toEqual([]);
});

test("a joined file is checked against what its parts hold, and where they belong", async () => {
  const file = await make("piece.mp4", { audio: OPUS });
  const begins = [0, 4_000];
  const { path, timeline } = await joined(begins.map((atMs) => ({ path: file, atMs })));
  const [made, own, index] = [
    await readSampleTables(path),
    (await readSampleTables(file))?.audio,
    await settleMp4Index(path),
  ];
  if (made === undefined || own === undefined || index === undefined) throw new Error("No index");
  const firstMs = presentedMs(own, 0);
  const check = async (movedMs: number, change: Partial<StreamCount> = {}): Promise<string[]> => {
    const audio: StreamCount = {
      packets: own.count,
      visiblePackets: own.count,
      bytes: own.sizes.reduce((sum, size) => sum + size, 0),
      firstMs: 0,
      lastMs: presentedMs(own, own.count - 1) - firstMs,
      endMs: undefined,
      holes: [],
      ...change,
    };
    const parts = begins.map((atMs, i) => ({
      media: { plan: SOUND_PLAN, counts: { video: undefined, audio }, isIncomplete: false },
      place: { toTrackMs: (ms: number) => ms + atMs + firstMs + i * movedMs },
      insertedBytes: 0,
    }));
    return (await checkTimeline(parts, timeline, made, index)).map(({ text }) => text);
  };
  expect(await check(0)).toEqual([]);
  expect(await check(100)).toEqual(["of segment 2, sound begins 100 ms from its place"]);
  expect((await check(0, { packets: own.count + 1 }))[0]).toContain(
    "of segment 1, sound has 101 packets",
  );
  expect(await check(0, { bytes: 1 })).toHaveLength(2);
  const without = { ...timeline, silentPackets: 0 };
  expect(timeline.silentPackets).toBeGreaterThan(0);
  const bare = (await checkTimeline([], without, made, index)).map(({ text }) => text);
  expect(bare).toEqual([expect.stringContaining("there should be 0")]);
});

const SOUND_PLAN: RemuxPlan = {
  video: undefined,
  audio: {
    source: {
      kind: "audio",
      codec: "opus",
      codecName: "opus",
      parameters: "",
      width: null,
      height: null,
      preSkipMs: 0,
    },
    action: "copy",
    codec: "opus",
    reason: "Opus sound is copied.",
    isUniform: false,
  },
  action: "copy",
  reason: "Opus sound is copied.",
  muxer: "ffmpeg",
};
