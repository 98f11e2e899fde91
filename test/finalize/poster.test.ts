import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { findFfmpegConfinement } from "../../src/finalize/ffmpeg-confinement.ts";
import type { FfmpegContext } from "../../src/finalize/ffmpeg-run.ts";
import { makePoster } from "../../src/finalize/poster.ts";
import { decode, judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { numberedSource } from "../support/numbered-source.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

let directory: TemporaryDirectory;
let context: FfmpegContext;

beforeAll(async () => {
  directory = await temporaryDirectory();
  context = {
    ffmpeg: await judgeFfmpeg(),
    confinement: await findFfmpegConfinement(),
    limits: finalizeLimits(readConfig({})),
    signal: new AbortController().signal,
  };
});

afterAll(() => directory[Symbol.asyncDispose]());

/** An MP4 of ffmpeg's own pictures. */
async function pictures(name: string, graph: string, seconds: number): Promise<string> {
  const path = join(directory.path, `${name}.mp4`);
  const { path: ffmpeg } = await judgeFfmpeg();
  const child = Bun.spawn(
    [ffmpeg, "-v", "error", "-nostdin", "-f", "lavfi", "-i", graph, "-t", String(seconds)].concat(
      "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -y".split(" "),
      path,
    ),
    { stderr: "inherit" },
  );
  expect(await child.exited).toBe(0);
  return path;
}

/** A poster's size, and how bright its pixels are. */
async function look(path: string): Promise<{ width: number; height: number; gray: Uint8Array }> {
  const options = ["-vf", "showinfo,format=gray", "-f", "rawvideo"];
  const { bytes, log } = await decode(await judgeFfmpeg(), path, options);
  const [, width, height] = /\bs:(\d+)x(\d+)/.exec(log) ?? [];
  return { width: Number(width), height: Number(height), gray: bytes };
}

test("the poster is of the first moment that shows something, not of the dark begin", async () => {
  const dark = "color=c=black:s=1280x720:r=10:d=2[a];testsrc2=s=1280x720:r=10[b];[a][b]concat=n=2";
  const media = await pictures("dark", dark, 8);
  const output = join(directory.path, "dark.jpg");
  expect(await makePoster(media, 8_000, output, context)).toBe(true);
  const { width, height, gray } = await look(output);
  expect([width, height]).toEqual([640, 360]);
  expect(Math.max(...gray)).toBeGreaterThan(150);
  expect((await readdir(directory.path)).filter((name) => name.startsWith("dark.jpg"))).toEqual([
    "dark.jpg",
  ]);
});

test("a track that shows one colour all the time has a poster of it, in its own size", async () => {
  const media = await pictures("plain", "color=c=red:s=320x240:r=10", 2);
  const output = join(directory.path, "plain.jpg");
  expect(await makePoster(media, 2_000, output, context)).toBe(true);
  const { width, height, gray } = await look(output);
  expect([width, height, Math.max(...gray) - Math.min(...gray) < 8]).toEqual([320, 240, true]);
});

test("a track of one picture alone has a poster", async () => {
  const media = await pictures("single", "testsrc2=s=320x180:r=1", 1);
  const output = join(directory.path, "single.jpg");
  // The sound goes on, and so the picture stands.
  expect(await makePoster(media, 60_000, output, context)).toBe(true);
  expect((await look(output)).width).toBe(320);
});

test("what is no MP4 fails and leaves nothing", async () => {
  const media = join(directory.path, "broken.mp4");
  await Bun.write(media, "no MP4");
  const output = join(directory.path, "broken.jpg");
  await expect(makePoster(media, 1_000, output, context)).rejects.toThrow(
    "ffmpeg could not make anything",
  );
  expect((await readdir(directory.path)).filter((name) => name.startsWith("broken.jpg"))).toEqual(
    [],
  );
});

test("a portrait keeps its shape", async () => {
  const picture = {
    width: 720,
    height: 1_280,
    firstNumber: 0,
    codec: "h264",
    stepMs: 100,
  } as const;
  const source = { durationMs: 2_000, picture, toneHz: null };
  const media = await numberedSource(directory.path, "portrait", source);
  const output = join(directory.path, "portrait.jpg");
  expect(await makePoster(media, 2_000, output, context)).toBe(true);
  const { width, height } = await look(output);
  expect([width, height]).toEqual([640, 1_138]);
});
