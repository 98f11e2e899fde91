import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { segmentIdSchema } from "../../src/contract/ids.ts";
import type { ExportTrack, MadeFile } from "../../src/exports/export-maker.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { onlyStream, streamsOf } from "../support/media-streams.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { oldFfmpeg } from "./composite/composite-bed.ts";
import { amplitudeOf, numbersIn } from "./composite/composite-judge.ts";
import { exportTrack } from "./composite/export-tracks.ts";
import { numberedSource } from "../support/numbered-source.ts";
import { filesOf, inOneFile, shownDurationMs, soundFromZero } from "./export-bed.ts";

const TOLERANCE_MS = 40;
const RECORDING_MS = 7_000;
/** Not a whole number of pictures, packets or milliseconds of any clock here. */
const OFFSET_MS = 1_237;
const TRACK_MS = 4_000;
const STEP_MS = 40;
const SIZE = { width: 320, height: 180 };
const PICTURE = { ...SIZE, firstNumber: 100, stepMs: STEP_MS };
/** ffmpeg's sine has an eighth of full scale. */
const LOUD = 0.1;
const SILENT = 0.005;

let directory: TemporaryDirectory;
let tracks: {
  readonly h264: ExportTrack;
  readonly vp9: ExportTrack;
  readonly sound: ExportTrack;
  readonly pictures: ExportTrack;
};
let old: FfmpegBinary | undefined;

beforeAll(async () => {
  directory = await temporaryDirectory();
  old = await oldFfmpeg();
  const place = { offsetMs: OFFSET_MS, durationMs: TRACK_MS };
  const make = (name: string, source: Parameters<typeof numberedSource>[2]) =>
    numberedSource(directory.path, name, source);
  const common = { durationMs: TRACK_MS, toneHz: 1_000 };
  tracks = {
    h264: sized(
      exportTrack({
        ...place,
        participant: "Ada",
        path: await make("h264", { ...common, picture: { ...PICTURE, codec: "h264" } }),
      }),
    ),
    vp9: sized(
      exportTrack({
        ...place,
        participant: "Bob",
        path: await make("vp9", { ...common, channels: 1, picture: { ...PICTURE, codec: "vp9" } }),
      }),
    ),
    sound: sized(
      exportTrack({
        ...place,
        participant: "Ada",
        track: "microphone",
        pictures: false,
        path: await make("sound", { ...common, toneHz: 400, channels: 1, picture: null }),
      }),
    ),
    pictures: sized(
      exportTrack({
        ...place,
        participant: "Ada",
        track: "screen",
        sound: false,
        path: await make("pictures", {
          ...common,
          toneHz: null,
          picture: { ...PICTURE, codec: "h264" },
        }),
      }),
    ),
  };
}, 60_000);

afterAll(() => directory[Symbol.asyncDispose]());

/** A track whose pictures are of the size that they are. */
function sized(track: ExportTrack): ExportTrack {
  const size = track.media.videoCodec === null ? {} : SIZE;
  return { ...track, media: { ...track.media, ...size } };
}

/** Tone from the track's begin to its end, and silence from zero on and to the recording's end. */
async function expectSoundInPlace(path: string, hz: number): Promise<void> {
  const samples = await soundFromZero(path);
  const at = (fromMs: number, toMs: number) => amplitudeOf(samples, hz, fromMs, toMs);
  expect(at(0, OFFSET_MS - TOLERANCE_MS)).toBeLessThan(SILENT);
  expect(at(OFFSET_MS + TOLERANCE_MS, OFFSET_MS + 2 * TOLERANCE_MS)).toBeGreaterThan(LOUD);
  const endMs = OFFSET_MS + TRACK_MS;
  expect(at(endMs - 2 * TOLERANCE_MS, endMs - TOLERANCE_MS)).toBeGreaterThan(LOUD);
  expect(at(endMs + TOLERANCE_MS, RECORDING_MS)).toBeLessThan(SILENT);
  expect(Math.abs(samples.length / 48 - RECORDING_MS)).toBeLessThan(TOLERANCE_MS);
}

function wanted(request: { kind: "aligned" | "compatible" | "audio" }, ...of: ExportTrack[]) {
  return { directory: directory.path, request, tracks: of, durationMs: RECORDING_MS };
}

async function only(files: Promise<readonly MadeFile[]>): Promise<MadeFile> {
  const [file, ...others] = await files;
  if (file === undefined || others.length > 0) throw new Error("There should be one file");
  return file;
}

describe("aligned by an edit list", () => {
  test.each(["h264", "vp9"] as const)("%s: what was recorded stands in its place", async (name) => {
    const source = await streamsOf(tracks[name].path);
    const { path } = await only(filesOf(wanted({ kind: "aligned" }, tracks[name])));
    const made = await streamsOf(path);
    expect(Math.abs((await shownDurationMs(path)) - RECORDING_MS)).toBeLessThan(TOLERANCE_MS);
    const [video, audio] = [onlyStream(made, "video"), onlyStream(made, "audio")];
    // Nothing was encoded anew.
    expect(video).toMatchObject({
      codec: onlyStream(source, "video").codec,
      packets: onlyStream(source, "video").packets,
      bytes: onlyStream(source, "video").bytes,
    });
    expect(audio.codec).toBe("opus");
    expect(Math.abs(video.firstTimeMs - OFFSET_MS)).toBeLessThanOrEqual(2);
    // Silent packets, and less than one of them by the edit list.
    expect(audio.firstTimeMs).toBeLessThan(2.5);
    for (const { firstTimeMs, durationMs } of [video, audio]) {
      expect(Math.abs(firstTimeMs + durationMs - RECORDING_MS)).toBeLessThan(TOLERANCE_MS);
    }
    const frames = await decodeFrameNumbers(path);
    expect(frames).toHaveLength(TRACK_MS / STEP_MS);
    for (const { number, timeMs } of frames) {
      const expectedMs = OFFSET_MS + (number - PICTURE.firstNumber) * STEP_MS;
      // ffmpeg takes the begin of the first packet for zero, which is less than 2.5 ms later.
      expect(Math.abs(timeMs - expectedMs)).toBeLessThanOrEqual(3);
    }
    await expectSoundInPlace(path, 1_000);
  });

  test.each([15, 25, 30])(
    "pictures at %i a second that are not decoded in their order end with the recording",
    async (rate) => {
      const path = `${directory.path}/reordered-${rate}.mp4`;
      const source = `-f lavfi -i testsrc2=s=320x180:r=${rate}:d=4 -c:v libx264 -pix_fmt yuv420p`;
      const options = `-v error ${source} -g 300 -bf 3`.split(" ");
      const { path: ffmpeg } = await judgeFfmpeg();
      expect(Bun.spawnSync([ffmpeg, ...options, path]).stderr.toString()).toBe("");
      const track = { ...tracks.pictures, path };
      const file = await only(filesOf(wanted({ kind: "aligned" }, track)));
      expect(Math.abs((await shownDurationMs(file.path)) - RECORDING_MS)).toBeLessThan(
        TOLERANCE_MS,
      );
      const [video] = await streamsOf(file.path);
      expect(video?.packets).toBe(4 * rate);
    },
  );

  test("a track of sound alone is as long as the recording", async () => {
    const { path } = await only(filesOf(wanted({ kind: "aligned" }, tracks.sound)));
    expect(Math.abs((await shownDurationMs(path)) - RECORDING_MS)).toBeLessThan(TOLERANCE_MS);
    await expectSoundInPlace(path, 400);
  });

  test("a track that begins a little before the recording loses no more than that", async () => {
    const early: ExportTrack = {
      ...tracks.h264,
      timeline: { ...tracks.h264.timeline, offsetMs: -100 },
    };
    const { path } = await only(filesOf(wanted({ kind: "aligned" }, early)));
    expect(Math.abs((await shownDurationMs(path)) - RECORDING_MS)).toBeLessThan(TOLERANCE_MS);
    const frames = await decodeFrameNumbers(path);
    for (const { number, timeMs } of frames.slice(5)) {
      const expectedMs = -100 + (number - PICTURE.firstNumber) * STEP_MS;
      expect(Math.abs(timeMs - expectedMs)).toBeLessThanOrEqual(2);
    }
    expect(frames.length).toBeGreaterThanOrEqual(TRACK_MS / STEP_MS - 3);
  });

  test("a device's slow clock is made good: pictures and sound keep to the server's time", async () => {
    // 1 % over 4 s: the last picture stands 40 ms later than by the device's clock.
    const rate = 1.01;
    const segmentId = segmentIdSchema.parse(crypto.randomUUID());
    const drifting: ExportTrack = {
      ...tracks.h264,
      timeline: {
        ...tracks.h264.timeline,
        segments: [{ segmentId, offsetMs: OFFSET_MS, durationMs: TRACK_MS, rate }],
      },
    };
    for (const request of [{ kind: "aligned" }, { kind: "compatible", frameRate: 60 }] as const) {
      const { path } = await only(filesOf(wanted(request, drifting)));
      const samples = await soundFromZero(path);
      const endMs = OFFSET_MS + TRACK_MS * rate;
      const at = (fromMs: number, toMs: number) => amplitudeOf(samples, 1_000 / rate, fromMs, toMs);
      expect(at(endMs - 20, endMs - 5)).toBeGreaterThan(LOUD);
      expect(at(endMs + 10, endMs + 30)).toBeLessThan(0.05);
    }
    const { path } = await only(filesOf(wanted({ kind: "aligned" }, drifting)));
    for (const { number, timeMs } of await decodeFrameNumbers(path)) {
      const expectedMs = OFFSET_MS + (number - PICTURE.firstNumber) * STEP_MS * rate;
      expect(Math.abs(timeMs - expectedMs)).toBeLessThanOrEqual(2);
    }
  }, 60_000);
});

/** The builds that there are: this machine's, and the one in the npm package. */
async function builds(): Promise<FfmpegBinary[]> {
  const own = await judgeFfmpeg();
  return old === undefined || old.path === own.path ? [own] : [own, old];
}

describe.each([
  ["compatible", { kind: "compatible", frameRate: 30 }],
  ["aligned with media", { kind: "aligned", padding: "media" }],
] as const)("%s", (_name, request) => {
  test.each(["h264", "vp9"] as const)(
    "%s becomes H.264 and AAC at a constant rate, black before and still after",
    async (name) => {
      for (const ffmpeg of await builds()) {
        const { path } = await only(filesOf({ ...wanted(request, tracks[name]), ffmpeg }));
        const made = await streamsOf(path);
        const [video, audio] = [onlyStream(made, "video"), onlyStream(made, "audio")];
        expect([video.codec, audio.codec]).toEqual(["avc", "aac"]);
        expect(video.packets).toBe((RECORDING_MS / 1_000) * 30);
        for (const [i, timeMs] of video.timesMs.entries()) {
          expect(Math.abs(timeMs - (i * 1_000) / 30)).toBeLessThan(1);
        }
        expect(Math.abs((await shownDurationMs(path)) - RECORDING_MS)).toBeLessThan(TOLERANCE_MS);
        const numbers = await numbersIn(path, { x: 0, y: 0, ...SIZE }, SIZE);
        for (const [i, number] of numbers.entries()) {
          const sinceMs = (i * 1_000) / 30 - OFFSET_MS;
          const last = PICTURE.firstNumber + TRACK_MS / STEP_MS - 1;
          // Black is the barcode of zero. A frame shows the picture nearest to its middle.
          if (sinceMs < -TOLERANCE_MS) expect(number).toBe(0);
          if (sinceMs > TOLERANCE_MS && sinceMs < TRACK_MS - TOLERANCE_MS) {
            const exact = PICTURE.firstNumber + sinceMs / STEP_MS;
            expect(Math.abs((number ?? Number.NaN) + 0.5 - exact)).toBeLessThanOrEqual(1);
          }
          if (sinceMs > TRACK_MS + TOLERANCE_MS) expect(number).toBe(last);
        }
        await expectSoundInPlace(path, 1_000);
      }
    },
    120_000,
  );

  test("tracks of pictures or sound alone get no other stream", async () => {
    const files = await filesOf(wanted(request, tracks.sound, tracks.pictures));
    expect(files.map(({ name }) => name)).toEqual(["Ada-microphone.mp4", "Ada-screen.mp4"]);
    const [sound, pictures] = await Promise.all(files.map(({ path }) => streamsOf(path)));
    expect(sound?.map(({ codec }) => codec)).toEqual(["aac"]);
    expect(pictures?.map(({ codec }) => codec)).toEqual(["avc"]);
  });
});

test("pictures that change their size are fitted into the largest, each in its place", async () => {
  // The barcode of 7, then that of 9, twice as large.
  const parts = await Promise.all(
    (
      [
        [SIZE, 7],
        [{ width: 640, height: 360 }, 9],
      ] as const
    ).map(([size, firstNumber]) =>
      numberedSource(directory.path, `size-${size.width}`, {
        durationMs: 2_000,
        toneHz: null,
        picture: { ...size, firstNumber, stepMs: 2_000, codec: "h264" },
      }),
    ),
  );
  const path = await inOneFile(directory.path, parts);
  const sketch = { participant: "Cy", offsetMs: 500, durationMs: 4_000, sound: false, path };
  const track = sized(exportTrack(sketch));
  for (const ffmpeg of await builds()) {
    const request = { kind: "compatible" as const };
    const { path: made } = await only(
      filesOf({ ...wanted(request, track), ffmpeg, durationMs: 5_000 }),
    );
    const size = { width: 640, height: 360 };
    const numbers = await numbersIn(made, { x: 0, y: 0, ...size }, size);
    expect(numbers).toHaveLength(150);
    expect(new Set(numbers.slice(0, 14))).toEqual(new Set([0]));
    expect(new Set(numbers.slice(16, 74))).toEqual(new Set([7]));
    expect(new Set(numbers.slice(76))).toEqual(new Set([9]));
  }
}, 60_000);

describe("audio", () => {
  test.each(["flac", "wav"] as const)(
    "%s and M4A of each participant, all tracks together and as long as the recording",
    async (lossless) => {
      for (const ffmpeg of await builds()) {
        const request = { kind: "audio" as const, lossless };
        const { h264, sound, vp9, pictures } = tracks;
        const files = await filesOf({
          ...wanted(request, h264, sound, vp9, pictures),
          ffmpeg,
        });
        expect(files.map(({ name }) => name)).toEqual([
          `Ada.${lossless}`,
          "Ada.m4a",
          `Bob.${lossless}`,
          "Bob.m4a",
        ]);
        for (const { path, participantId } of files) {
          const [stream, ...others] = await streamsOf(path);
          expect(others).toEqual([]);
          expect(stream?.kind).toBe("audio");
          expect(Math.abs((await shownDurationMs(path)) - RECORDING_MS)).toBeLessThan(TOLERANCE_MS);
          await expectSoundInPlace(path, 1_000);
          if (participantId === "Ada") await expectSoundInPlace(path, 400);
          // The tone is as loud as it was: neither mixing nor spreading to stereo took from it.
          const samples = await soundFromZero(path);
          const amplitude = amplitudeOf(samples, 1_000, 2_000, 4_000);
          expect(amplitude).toBeGreaterThan(0.11);
          expect(amplitude).toBeLessThan(0.14);
        }
      }
    },
    120_000,
  );
});
