import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { settleMp4Index } from "../../src/finalize/mp4-index.ts";
import { resolveFfmpeg, systemFfmpegLookup } from "../../src/process/ffmpeg-binary.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

describe("settleMp4Index", () => {
  let directory: TemporaryDirectory;
  let path: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, "media.mp4");
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  /** Copies by the build that npm provides, which writes no duration for the last picture. */
  const copy = async (...options: readonly string[]): Promise<void> => {
    const source = join(directory.path, "source.mkv");
    await writeFile(source, joinChunks((await recordedSegment("h264-opus")).chunks));
    const { path: ffmpeg } = await resolveFfmpeg(systemFfmpegLookup({}));
    const args = ["-v", "quiet", "-i", source, "-c", "copy", "-strict", "-2", ...options];
    expect(Bun.spawnSync([ffmpeg, ...args, path]).exitCode).toBe(0);
  };

  test("tells packets, bytes and times of each track", async () => {
    await copy("-movflags", "+faststart");
    const index = await settleMp4Index(path);
    expect(index).toMatchObject({ isBeforeMedia: true, samplesAreInMedia: true });
    expect(index?.tracks).toMatchObject([
      {
        kind: "video",
        format: "avc1",
        width: 640,
        height: 360,
        samples: 180,
        bytes: 26_449,
        firstMs: 0,
        lastMs: 5_971,
      },
      { kind: "audio", format: "Opus", samples: 100, bytes: 48_363, firstMs: 39, lastMs: 5_978 },
    ]);
  });

  test("gives the last picture a duration, so that it is shown", async () => {
    await copy("-moov_size", "60000");
    const before = await decodeFrameNumbers(path);
    const index = await settleMp4Index(path);
    const video = index?.tracks.find(({ kind }) => kind === "video");
    expect((video?.endMs ?? 0) - (video?.lastMs ?? 0)).toBeWithin(20, 50);
    const after = await decodeFrameNumbers(path);
    expect(after).toHaveLength(180);
    expect(after.slice(0, before.length)).toEqual(before);
  });

  test("gives the last picture its own time where ffmpeg wrote a millisecond", async () => {
    await copy("-movflags", "+faststart");
    const bytes = await readFile(path);
    const stts = bytes.indexOf("stts");
    const lastEntry = stts + 12 + (bytes.readUInt32BE(stts + 8) - 1) * 8;
    expect(bytes.readUInt32BE(lastEntry)).toBe(1);
    // The first `mdhd` is the video track's.
    const ticksPerSecond = bytes.readUInt32BE(bytes.indexOf("mdhd") + 16);
    bytes.writeUInt32BE(ticksPerSecond / 1_000, lastEntry + 4);
    await writeFile(path, bytes);
    const video = (await settleMp4Index(path))?.tracks.find(({ kind }) => kind === "video");
    expect((video?.endMs ?? 0) - (video?.lastMs ?? 0)).toBeWithin(20, 50);
    expect(await decodeFrameNumbers(path)).toHaveLength(180);
  });

  test("an index at the end is told as such", async () => {
    await copy();
    expect(await settleMp4Index(path)).toMatchObject({ isBeforeMedia: false });
  });

  test("an index that was written over the beginning of the media is none", async () => {
    await copy("-moov_size", "1000");
    expect(await settleMp4Index(path)).toBeUndefined();
  });

  test("a file that is cut off, empty or no MP4 has none", async () => {
    await copy("-movflags", "+faststart");
    await truncate(path, Bun.file(path).size - 1);
    expect(await settleMp4Index(path)).toBeUndefined();
    await truncate(path, 0);
    expect(await settleMp4Index(path)).toBeUndefined();
    await writeFile(path, "#EXTM3U and other text that is no MP4 at all");
    expect(await settleMp4Index(path)).toBeUndefined();
  });
});
