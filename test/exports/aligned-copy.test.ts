import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { copyAligned } from "../../src/exports/aligned-copy.ts";
import { MediaUnreadableError } from "../../src/finalize/finalize-errors.ts";
import {
  type SampleTables,
  presentedMs,
  readSampleTables,
} from "../../src/finalize/mp4-sample-tables.ts";
import { decodeSound, silencesIn } from "../support/beep-judge.ts";
import { joinFiles } from "../support/joined-file.ts";
import { complaintsAbout, judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { openFilesUnder } from "../support/open-files.ts";
import { numberedSource } from "../support/numbered-source.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const RECORDING_MS = 12_000;
const STEP_MS = 40;

/** Times are whole ticks of 90 kHz or of the sound's rate in one file, and of another in the other. */
const ROUNDING_MS = 0.1;

let directory: TemporaryDirectory;
/** With a tone, and with B-frames, so that pictures are not decoded in the order in which they are shown. */
let reordered: string;

beforeAll(async () => {
  directory = await temporaryDirectory();
  reordered = join(directory.path, "reordered.mp4");
  const { path: ffmpeg } = await judgeFfmpeg();
  const inputs = "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=440:r=48000:d=4";
  const codecs = "-c:v libx264 -pix_fmt yuv420p -g 50 -bf 3 -c:a libopus -strict -2";
  const options = `-v error ${inputs} ${codecs}`.split(" ");
  const made = Bun.spawnSync([ffmpeg, ...options, reordered]);
  expect(made.stderr.toString()).toBe("");
});
afterAll(() => directory[Symbol.asyncDispose]());

interface Aligned {
  readonly path: string;
  readonly tables: SampleTables;
}

/** Copies pictures and sound, from one file unless told otherwise. */
async function aligned(
  path: string,
  offsetMs: number,
  soundPath = path,
  signal = new AbortController().signal,
): Promise<Aligned> {
  const outputPath = join(directory.path, `${crypto.randomUUID()}.mp4`);
  const placeMs = (ms: number): number => ms + offsetMs;
  const request = { outputPath, durationMs: RECORDING_MS, onProgress: () => undefined, signal };
  const counts = await copyAligned({
    ...request,
    pictures: { path, placeMs },
    sound: { path: soundPath, placeMs },
  });
  const tables = await tablesOf(outputPath);
  expect(counts).toEqual({
    videoPackets: tables.video?.count ?? 0,
    audioPackets: tables.audio?.count ?? 0,
  });
  return { path: outputPath, tables };
}

async function tablesOf(path: string): Promise<SampleTables> {
  const tables = await readSampleTables(path);
  if (tables === undefined) throw new Error(`${path} has no index`);
  return tables;
}

/** When each picture is shown, in order of decoding. */
function shownMs({ video }: SampleTables): number[] {
  return video === undefined ? [] : Array.from(video.sizes, (_, i) => presentedMs(video, i));
}

describe("a copy that is aligned", () => {
  test("shows pictures that are not decoded in their order each in its place", async () => {
    const before = shownMs(await tablesOf(reordered));
    expect(before).not.toEqual(before.toSorted((a, b) => a - b));
    const { path, tables } = await aligned(reordered, 1_234.5);
    const after = shownMs(tables);
    expect(after).toHaveLength(before.length);
    for (const [i, ms] of after.entries()) {
      expect(Math.abs(ms - (before[i] ?? 0) - 1_234.5)).toBeLessThan(ROUNDING_MS);
    }
    expect(await complaintsAbout(path)).toEqual([]);
  });

  test("passes what was before the recording's zero in no time, and keeps the rest", async () => {
    const before = shownMs(await tablesOf(reordered));
    const { path, tables } = await aligned(reordered, -1_010);
    const after = shownMs(tables);
    for (const [i, ms] of after.entries()) {
      const wantedMs = (before[i] ?? 0) - 1_010;
      if (wantedMs > 10) expect(Math.abs(ms - wantedMs)).toBeLessThan(ROUNDING_MS);
      else expect(ms).toBeLessThan(10);
      expect(ms).toBeGreaterThanOrEqual(0);
    }
    expect(await complaintsAbout(path)).toEqual([]);
  });

  test("has the last picture and silence where everything was before the recording's zero", async () => {
    const { path, tables } = await aligned(reordered, -5_000);
    expect(shownMs(tables).every((ms) => ms >= 0 && ms < 20)).toBe(true);
    expect(await complaintsAbout(path)).toEqual([]);
    const sound = await decodeSound(path);
    expect(silencesIn(sound, RECORDING_MS - 50)).toHaveLength(1);
    expect(Math.abs(sound.samples.length / 48 - RECORDING_MS)).toBeLessThan(50);
  });

  test("keeps the description of each size, and all pictures decode", async () => {
    const sizes = [320, 640, 320];
    const files = await Promise.all(
      sizes.map(async (width, i) => ({
        path: await numberedSource(directory.path, `size-${i}`, {
          durationMs: 2_000,
          toneHz: 440,
          picture: {
            width,
            height: (width * 9) / 16,
            firstNumber: 100 * (i + 1),
            codec: "h264",
            stepMs: STEP_MS,
          },
        }),
        atMs: i * 3_000,
      })),
    );
    const joined = await joinFiles(directory.path, files);
    const source = await tablesOf(joined.path);
    const { path, tables } = await aligned(joined.path, 500);
    expect(tables.video?.entries).toEqual([...(source.video?.entries ?? [])]);
    expect(tables.video?.entries).toHaveLength(2);
    expect([...(tables.video?.entryIndexes ?? [])]).toEqual([
      ...(source.video?.entryIndexes ?? []),
    ]);
    expect(await complaintsAbout(path)).toEqual([]);
    const frames = await decodeFrameNumbers(path);
    expect(frames).toHaveLength((sizes.length * 2_000) / STEP_MS);
    for (const { number, timeMs } of frames) {
      const part = Math.floor(number / 100) - 1;
      const wantedMs = 500 + part * 3_000 + (number % 100) * STEP_MS;
      expect(Math.abs(timeMs - wantedMs)).toBeLessThan(3);
    }
  });

  test("has picture and sound of a time near each other, also when they come from two files", async () => {
    const picture = {
      width: 320,
      height: 180,
      firstNumber: 1,
      codec: "vp9",
      stepMs: STEP_MS,
    } as const;
    const common = { durationMs: 8_000, toneHz: 440 };
    const one = await numberedSource(directory.path, "one", { ...common, picture });
    const other = await numberedSource(directory.path, "other", { ...common, picture: null });
    for (const soundPath of [one, other]) {
      const { tables } = await aligned(one, 700, soundPath);
      const { video, audio, media } = tables;
      if (video === undefined || audio === undefined) throw new Error("A stream is missing");
      let pictureBytes = 0;
      for (const bytes of video.sizes) pictureBytes += bytes;
      let soundBytes = 0;
      for (const bytes of audio.sizes) soundBytes += bytes;
      // Nothing else is in the file.
      expect(media.to - media.from).toBe(pictureBytes + soundBytes);
      let i = 0;
      const twoSeconds = (2_000 / common.durationMs) * (pictureBytes + soundBytes);
      for (let k = 0; k < video.count; k += 1) {
        const atMs = presentedMs(video, k);
        while (i + 1 < audio.count && presentedMs(audio, i) < atMs) i += 1;
        const distance = (video.offsetsBytes[k] ?? 0) - (audio.offsetsBytes[i] ?? 0);
        expect(Math.abs(distance)).toBeLessThan(twoSeconds);
      }
    }
  });

  test("of what is no MP4 is refused, one that is given up ends, and neither leaves a file open", async () => {
    const path = join(directory.path, "text.mp4");
    await Bun.write(path, "no MP4 at all");
    await expect(aligned(path, 0)).rejects.toBeInstanceOf(MediaUnreadableError);
    const reason = new Error("given up");
    await expect(aligned(reordered, 0, reordered, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await openFilesUnder(directory.path)).toEqual([]);
  });
});
