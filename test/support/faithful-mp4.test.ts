import { afterAll, beforeAll, expect, test } from "bun:test";
import { expectFaithfulFiles, type Mp4Claim } from "./faithful-mp4.ts";
import { judgeFfmpeg, passThroughOption } from "./judge-ffmpeg.ts";
import { onlyStream, streamsOf, totalDurationMs } from "./media-streams.ts";
import { joinChunks, recordedSegment } from "./recorded-media.ts";
import { temporaryDirectory, type TemporaryDirectory } from "./temporary-directory.ts";

let directory: TemporaryDirectory;
/** Already an MP4, with a length for each packet: the one file that is faithful to it for sure. */
let sourcePath: string;

beforeAll(async () => {
  directory = await temporaryDirectory();
  sourcePath = `${directory.path}/source.mp4`;
  await Bun.write(sourcePath, joinChunks((await recordedSegment("mp4-vp9-opus")).chunks));
});

afterAll(() => directory[Symbol.asyncDispose]());

const TRANSCODE = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy"];

/** Makes another MP4 of the source. */
async function makeMp4(
  options: readonly string[],
  inputs: readonly string[] = ["-i", sourcePath],
): Promise<string> {
  const ffmpeg = await judgeFfmpeg();
  const all = [...inputs, ...options, ...passThroughOption(ffmpeg), "-strict", "-2"];
  const mp4Path = `${directory.path}/${Bun.randomUUIDv7()}.mp4`;
  await Bun.$`${ffmpeg.path} -v error -nostdin ${all} ${mp4Path}`;
  return mp4Path;
}

/** Tells of an MP4 what is so. */
async function truthOf(mp4Path: string, action: "copy" | "transcode"): Promise<Mp4Claim> {
  const streams = await streamsOf(mp4Path);
  return {
    sourcePath,
    mp4Path,
    media: {
      action,
      bytes: Bun.file(mp4Path).size,
      durationMs: totalDurationMs(streams),
      videoPackets: onlyStream(streams, "video").packets,
      audioPackets: onlyStream(streams, "audio").packets,
    },
  };
}

test("an MP4 with all packets of the source is faithful", async () => {
  const { frames } = await expectFaithfulFiles(await truthOf(sourcePath, "copy"));
  expect(frames.length).toBe(181);
});

test.each([
  { flaw: "whose end is cut off", options: ["-t", "5.5"] },
  { flaw: "without one frame", options: ["-vf", "select=not(eq(n\\,90))"] },
  { flaw: "with frames doubled to an even rate", options: ["-vf", "fps=60"] },
])("an MP4 $flaw is not", async ({ options }) => {
  const claim = await truthOf(await makeMp4([...TRANSCODE, ...options]), "transcode");
  expect(expectFaithfulFiles(claim)).rejects.toThrow();
});

test("an MP4 whose sound comes 50 ms too late is not", async () => {
  const inputs = ["-i", sourcePath, "-itsoffset", "0.05", "-i", sourcePath];
  const late = await makeMp4(["-map", "0:v", "-map", "1:a", "-c", "copy"], inputs);
  const claim = await truthOf(late, "copy");
  expect(expectFaithfulFiles(claim)).rejects.toThrow();
});

test("a faithful MP4 of which the server tells another length is not", async () => {
  const claim = await truthOf(sourcePath, "copy");
  const media = { ...claim.media, durationMs: claim.media.durationMs + 100 };
  expect(expectFaithfulFiles({ ...claim, media })).rejects.toThrow();
});
