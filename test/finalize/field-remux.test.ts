import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  type FfmpegBinary,
  resolveFfmpeg,
  systemFfmpegLookup,
} from "../../src/process/ffmpeg-binary.ts";
import type { TrackRecord } from "../../src/recording/ports.ts";
import { decode, judgeFfmpeg, passThroughOption } from "../support/judge-ffmpeg.ts";
import { FinalizerBed, testFfmpeg } from "./finalizer-bed.ts";

const MEDIA_TIMEOUT_MS = 120_000;
const FIELD = join(import.meta.dir, "../fixtures/field");
const BEGAN_AT_MS = Date.UTC(2026, 0, 1);
const APART_MS = 20_000;

/** The build that npm alone provides, and the one that serves on this machine (often the same). */
const BUILDS: readonly (readonly [name: string, find: () => Promise<FfmpegBinary>])[] = [
  ["the ffmpeg of this machine", testFfmpeg],
  ["the ffmpeg of npm", () => resolveFfmpeg(systemFfmpegLookup({}))],
];

/** How many pictures of a file decode, none dropped and none doubled. Throws when the decoder complains. */
async function decodedPictures(path: string): Promise<number> {
  const ffmpeg = await judgeFfmpeg();
  const { bytes } = await decode(ffmpeg, path, [
    "-map",
    "0:v:0",
    "-vf",
    "scale=1:1,format=gray",
    ...passThroughOption(ffmpeg),
    "-f",
    "rawvideo",
  ]);
  return bytes.length;
}

/** A sample entry's type in the index of an MP4, such as `hvc1`. */
async function hasEntry(path: string, type: string): Promise<boolean> {
  return Buffer.from(await Bun.file(path).bytes()).includes(type);
}

async function fieldBytes(name: string): Promise<Uint8Array> {
  return await Bun.file(join(FIELD, name)).bytes();
}

/** What ffmpeg makes of generated media, as the arguments between its input and output say. */
async function generated(args: string, format: string): Promise<Buffer> {
  const { path } = await judgeFfmpeg();
  const inputs = "-v error -f lavfi -i testsrc2=s=160x120:r=15:d=2 -f lavfi -i sine=440:d=2";
  const made = Bun.spawnSync([
    path,
    ...`${inputs} ${args} -strict -2 -f ${format} pipe:1`.split(" "),
  ]);
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  return Buffer.from(made.stdout);
}

/** Writes over the bytes that stand at the first `mark`. */
function overwritten(bytes: Buffer, mark: string, replacement: Uint8Array): Buffer {
  const at = bytes.indexOf(mark, 0, "latin1");
  if (at < 0) throw new RangeError(`There is no ${mark}.`);
  const changed = Buffer.from(bytes);
  changed.set(replacement, at);
  return changed;
}

const GARBAGE = Buffer.alloc(24, 0xa5);

describe.each(BUILDS)("segments of the field with %s", (_, find) => {
  let bed: FinalizerBed;
  beforeEach(async () => {
    bed = await FinalizerBed.open(await find());
  });
  afterEach(async () => {
    await bed[Symbol.asyncDispose]();
  });

  const finalize = async (
    ...sources: readonly Uint8Array[]
  ): Promise<{ track: TrackRecord; path: string }> => {
    const segments = sources.map((bytes, i) => ({
      chunks: [bytes],
      capturedAtMs: [BEGAN_AT_MS + i * APART_MS],
    }));
    const { recordingId } = await bed.finalize(...segments);
    const track = await bed.track(recordingId);
    return { track, path: bed.layout.mediaPath(track) };
  };

  test.each([
    ["annexb-3byte-startcodes.mkv", 60, 4_000],
    ["h264-annexb-resize.mkv", 90, 6_000],
    ["h264-annexb-sps-change.mkv", 90, 6_000],
    ["hevc.mkv", 120, 4_000],
  ] as const)(
    "%s is copied, and every picture decodes",
    async (name, pictures, durationMs) => {
      const { track, path } = await finalize(await fieldBytes(name));
      expect(track.result).toMatchObject({
        verdict: "complete",
        reason: null,
        media: { action: "copy", videoPackets: pictures },
      });
      expect(Math.abs((track.result?.media?.durationMs ?? 0) - durationMs)).toBeLessThan(3);
      expect(await decodedPictures(path)).toBe(pictures);
      if (name === "hevc.mkv") expect(await hasEntry(path, "hvc1")).toBeTrue();
    },
    MEDIA_TIMEOUT_MS,
  );

  test.each([
    [["annexb-3byte-startcodes.mkv", "h264-annexb-sps-change.mkv"], 150],
    [["h264-annexb-resize.mkv", "annexb-3byte-startcodes.mkv"], 150],
    [["hevc.mkv", "hevc.mkv"], 240],
  ] as const)(
    "%p joined show every picture",
    async (names, pictures) => {
      const { track, path } = await finalize(...(await Promise.all(names.map(fieldBytes))));
      expect(track.result).toMatchObject({
        verdict: "complete",
        reason: null,
        media: { action: "copy", videoPackets: pictures },
      });
      expect(await decodedPictures(path)).toBe(pictures);
      if (names[0] === "hevc.mkv") expect(await hasEntry(path, "hvc1")).toBeTrue();
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "of a stream that cannot be decoded the other one is delivered, and the verdict names it",
    async () => {
      const vp8 = await generated("-c:v libvpx -ac 2 -c:a vorbis", "matroska");
      const broken = overwritten(vp8, "\u0001vorbis", GARBAGE);
      const { track, path } = await finalize(broken);
      expect(track.job).toMatchObject({ state: "done", attempts: 1 });
      expect(track.result).toMatchObject({
        verdict: "degraded",
        reason:
          "Vorbis sound could not be decoded and was left out: the MP4 has the picture alone. " +
          "The source, which can be downloaded, has all that came.",
        media: { videoPackets: 30, audioPackets: 0 },
      });
      expect(await decodedPictures(path)).toBe(30);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "a codec that is not known is left to ffmpeg's decoders, and left out when they do not know it",
    async () => {
      const mjpeg = await generated("-c:v mjpeg -pix_fmt yuvj420p -c:a ac3", "matroska");
      const known = await finalize(mjpeg);
      expect(known.track.result).toMatchObject({
        verdict: "complete",
        media: { action: "transcode", videoCodec: "h264", videoPackets: 30, audioCodec: "aac" },
      });
      const unknown = await finalize(overwritten(mjpeg, "A_AC3", Buffer.from("A_XYZ")));
      expect(unknown.track.result).toMatchObject({
        verdict: "degraded",
        media: { videoPackets: 30, audioPackets: 0 },
      });
      expect(unknown.track.result?.reason).toStartWith("A_XYZ sound could not be decoded");
    },
    MEDIA_TIMEOUT_MS,
  );

  test.each([
    ["avcC", "-c:v libx264 -c:a aac", 4, "H.264 video", { videoPackets: 0 }],
    ["OpusHead", "-c:v libx264 -c:a libopus", 0, "Opus sound", { audioPackets: 0 }],
  ] as const)(
    "garbage in %s is noticed though every packet can be copied",
    async (mark, args, behind, name, without) => {
      const format = mark === "avcC" ? "mp4 -movflags frag_keyframe+empty_moov" : "matroska";
      const whole = await generated(args, format);
      const garbage = Buffer.concat([Buffer.from(mark).subarray(0, behind), GARBAGE]);
      const { track } = await finalize(overwritten(whole, mark, garbage.subarray(0, 19)));
      expect(track.result).toMatchObject({ verdict: "degraded", media: without });
      expect(track.result?.reason).toStartWith(`${name} could not be decoded and was left out`);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "parameter sets of H.265 that are in the stream alone get into the header",
    async () => {
      const source = join(FIELD, "hevc.mkv");
      const repeated = join(bed.scratchDirectory, "hev1.mp4");
      const { path: judge } = await judgeFfmpeg();
      const args = `-v error -i ${source} -c copy -bsf:v hevc_mp4toannexb -tag:v hev1 ${repeated}`;
      expect(Bun.spawnSync([judge, ...args.split(" ")]).exitCode).toBe(0);
      const bytes = Buffer.from(await Bun.file(repeated).bytes());
      const arraysAt = bytes.indexOf("hvcC") + 4 + 22;
      expect(bytes[arraysAt]).toBeGreaterThan(0);
      bytes[arraysAt] = 0;
      const { track, path } = await finalize(bytes);
      expect(track.result).toMatchObject({ verdict: "complete", media: { videoPackets: 120 } });
      expect(await decodedPictures(path)).toBe(120);
      const made = Buffer.from(await Bun.file(path).bytes());
      if (track.result?.media?.action === "transcode") return;
      expect(made.includes("hvc1")).toBeTrue();
      expect(made[made.indexOf("hvcC") + 4 + 22]).toBeGreaterThanOrEqual(3);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "a file that only a decoder can read is delivered by what that shows",
    async () => {
      const whole = await generated(
        "-c:v libx264 -c:a aac",
        "mp4 -movflags frag_keyframe+empty_moov",
      );
      const at = whole.indexOf("esds") + 8;
      const { track } = await finalize(
        Buffer.concat([whole.subarray(0, at), GARBAGE, whole.subarray(at + GARBAGE.length)]),
      );
      expect(track.result).toMatchObject({ verdict: "degraded", media: { videoPackets: 30 } });
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "a file of which nothing is whole is delivered by what a decoder shows of it",
    async () => {
      const whole = await generated(
        "-c:v libx264 -c:a aac",
        "mp4 -movflags frag_keyframe+empty_moov",
      );
      // The only fragment is cut in two.
      const { track } = await finalize(whole.subarray(0, Math.floor(whole.length * 0.7)));
      expect(track.result).toMatchObject({ verdict: "degraded" });
      expect(track.result?.media?.videoPackets).toBeGreaterThan(5);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "sound of every kind is copied where MP4 can carry it, else made AAC, as long as it was",
    async () => {
      const sounds = ["pcm_s16le", "flac", "vorbis"].flatMap((codec) =>
        [8_000, 48_000].map((rate) => ({ codec, rate, channels: 2 })),
      );
      for (const { codec, rate, channels } of [
        ...sounds,
        { codec: "pcm_s16le", rate: 16_000, channels: 1 },
        { codec: "flac", rate: 44_100, channels: 6 },
      ]) {
        const args = `-map 1:a -ac ${channels} -ar ${rate} -c:a ${codec}`;
        const { track } = await finalize(await generated(args, "matroska"));
        expect(track.result).toMatchObject({
          verdict: "complete",
          reason: null,
          media: { audioCodec: codec === "flac" ? "flac" : "aac" },
        });
        // An encoder's priming counts, and its last frame is filled up: 128 ms each with 8 kHz.
        const durationMs = track.result?.media?.durationMs ?? 0;
        expect(durationMs).toBeGreaterThan(1_990);
        expect(durationMs).toBeLessThan(2_270);
      }
    },
    MEDIA_TIMEOUT_MS,
  );
});
