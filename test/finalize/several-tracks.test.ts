import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  type FfmpegBinary,
  resolveFfmpeg,
  systemFfmpegLookup,
} from "../../src/process/ffmpeg-binary.ts";
import type { TrackRecord } from "../../src/recording/ports.ts";
import { complaintsAbout, judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { streamsOf } from "../support/media-streams.ts";
import { soundCounted, soundInTime, toneIn } from "../support/sound-judge.ts";
import { type ToneTrack, makeToneSource } from "../support/tone-source.ts";
import { FinalizerBed, type SentSegment, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const MEDIA_TIMEOUT_MS = 120_000;

const BUILDS: readonly (readonly [name: string, find: () => Promise<FfmpegBinary>])[] = [
  ["the ffmpeg of this machine", testFfmpeg],
  ["the ffmpeg of npm", () => resolveFfmpeg(systemFfmpegLookup({}))],
];

const H264 = "-c:v libx264 -pix_fmt yuv420p -g 15 -bf 0";
const FRAGMENTS = "-movflags frag_keyframe+empty_moov+default_base_moof -frag_duration 500000";

/** Amplitude of each tone. */
const LEVEL = 0.3;

function tone(frequencyHz: number, rest: Partial<ToneTrack> = {}): ToneTrack {
  const expression = `${LEVEL}*sin(2*PI*${frequencyHz}*t)`;
  return { expression, layout: "mono", rate: 48_000, codec: "-c:a libopus", ...rest };
}

/** Makes what is under test of the tracks of one source. */
describe.each(BUILDS)("several tracks with %s", (_, find) => {
  let bed: FinalizerBed;
  beforeEach(async () => {
    bed = await FinalizerBed.open(await find());
  });
  afterEach(() => bed[Symbol.asyncDispose]());

  async function finalize(
    ...segments: readonly (SentSegment | string)[]
  ): Promise<{ track: TrackRecord; path: string; kinds: string[] }> {
    const sent: SentSegment[] = [];
    for (const [i, segment] of segments.entries()) {
      if (typeof segment !== "string") sent.push(segment);
      else {
        const bytes = await Bun.file(segment).bytes();
        sent.push({
          chunks: [bytes],
          capturedAtMs: [bed.clock.nowMs() - (segments.length - 1 - i) * 6_000],
        });
      }
    }
    const record = await bed.finalize(...sent);
    const track = await bed.track(record.recordingId);
    const path = bed.layout.mediaPath(trackKey(record.recordingId));
    expect(track.job?.error ?? null).toBeNull();
    expect(await complaintsAbout(path)).toEqual([]);
    const kinds = (await streamsOf(path)).map(({ kind }) => kind).toSorted();
    return { track, path, kinds };
  }

  function makeSource(
    fileName: string,
    tracks: readonly ToneTrack[],
    { pictures, muxer }: { pictures?: string; muxer?: string } = {},
  ): Promise<string> {
    return makeToneSource(bed.scratchDirectory, {
      fileName,
      tracks,
      seconds: 4,
      ...(pictures === undefined ? {} : { pictures }),
      ...(muxer === undefined ? {} : { muxer }),
    });
  }

  test(
    "two-sound-tracks.mkv: both tones are in the MP4",
    async () => {
      const { track, path, kinds } = await finalize(
        join(import.meta.dir, "../fixtures/field/two-sound-tracks.mkv"),
      );
      expect(kinds).toEqual(["audio"]);
      const { verdict, reason, media } = track.result ?? {};
      expect({ verdict, reason }).toEqual({ verdict: "complete", reason: null });
      expect(media?.audioCodec).toBe("aac");
      expect(media?.actionReason).toContain("2 sound tracks (Opus, Opus) are mixed into one");
      const sound = await soundInTime(path);
      expect(toneIn(sound, 440, 200, 3_500)).toBeGreaterThan(0.05);
      expect(toneIn(sound, 880, 200, 3_500)).toBeGreaterThan(0.05);
    },
    MEDIA_TIMEOUT_MS,
  );

  test.each([
    ["two.mkv", [{}, { rate: 44_100, layout: "stereo", codec: "-c:a aac" }], {}],
    ["two.webm", [{}, { codec: "-c:a libvorbis", layout: "stereo" }], { pictures: "-c:v libvpx" }],
    [
      "two.mkv",
      [{ codec: "-c:a pcm_s16le", rate: 8_000 }, { codec: "-c:a flac" }],
      { pictures: H264 },
    ],
    [
      "two.mp4",
      [
        { codec: "-c:a aac", layout: "stereo" },
        { codec: "-c:a aac", layout: "5.1" },
      ],
      { pictures: H264 },
    ],
    [
      "two.mp4",
      [{ codec: "-c:a aac", layout: "stereo" }, { codec: "-c:a aac" }],
      { pictures: H264, muxer: `${FRAGMENTS} -disposition:a:1 0` },
    ],
  ] as const)(
    "%s with %j: each tone keeps its level",
    async (fileName, [first, second], options) => {
      const source = await makeSource(fileName, [tone(440, first), tone(880, second)], options);
      const { track, path } = await finalize(source);
      expect(track.result).toMatchObject({ verdict: "complete", reason: null });
      for (const sound of [await soundInTime(path), await soundCounted(path)]) {
        for (const frequencyHz of [440, 880]) {
          const level = toneIn(sound, frequencyHz, 300, 3_700);
          expect(level).toBeGreaterThan(LEVEL * 0.7);
          expect(level).toBeLessThan(LEVEL * 1.6);
        }
      }
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "sounds that begin and end apart are mixed at their times, and none becomes louder by that",
    async () => {
      const source = await makeSource(
        "apart.mkv",
        [
          tone(440, { fromSeconds: 0.5, seconds: 1 }),
          tone(880, { fromSeconds: 1, seconds: 3 }),
          tone(1_760, { fromSeconds: 2, seconds: 1, codec: "-c:a aac", rate: 32_000 }),
        ],
        { pictures: H264 },
      );
      const { path } = await finalize(source);
      const sound = await soundInTime(path);
      const levels = (frequencyHz: number): number[] =>
        [0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500].map((fromMs) =>
          Number(toneIn(sound, frequencyHz, fromMs + 60, fromMs + 440).toFixed(1)),
        );
      expect(levels(440)).toEqual([0, 0.3, 0.3, 0, 0, 0, 0, 0]);
      expect(levels(880)).toEqual([0, 0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]);
      expect(levels(1_760)).toEqual([0, 0, 0, 0, 0.3, 0.3, 0, 0]);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "loud sounds do not clip together",
    async () => {
      const loud = [440, 660].map((frequencyHz) =>
        tone(frequencyHz, { expression: `0.9*sin(2*PI*${frequencyHz}*t)`, codec: "-c:a aac" }),
      );
      const { path } = await finalize(await makeSource("loud.mkv", loud));
      const sound = await soundCounted(path);
      const clipped = sound.filter((sample) => Math.abs(sample) > 1.05);
      expect(clipped.length).toBe(0);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "a segment with two sounds is joined with one that has one",
    async () => {
      const { track, path } = await finalize(
        await makeSource("two.mkv", [tone(440), tone(880)]),
        await makeSource("one.mkv", [tone(1_320, { layout: "stereo" })]),
      );
      expect(track.result?.verdict).toBe("complete");
      for (const sound of [await soundInTime(path), await soundCounted(path)]) {
        expect(toneIn(sound, 440, 300, 3_700)).toBeGreaterThan(0.2);
        expect(toneIn(sound, 880, 300, 3_700)).toBeGreaterThan(0.2);
        expect(toneIn(sound, 1_320, 4_300, 5_700)).toBeLessThan(0.01);
        expect(toneIn(sound, 1_320, 6_300, 9_700)).toBeGreaterThan(0.2);
      }
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "of two pictures the first one is shown, and the verdict names the other",
    async () => {
      const { path: ffmpeg } = await judgeFfmpeg();
      const source = join(bed.scratchDirectory, "pictures.webm");
      const inputs =
        "-f lavfi -i testsrc2=s=160x120:r=15:d=3 -f lavfi -i testsrc=s=320x240:r=10:d=3";
      const sound = "-f lavfi -i sine=440:r=48000:d=3 -map 0:v -map 1:v -map 2:a";
      const codecs = "-c:v libvpx -deadline realtime -c:a libopus";
      const args = `-v error ${inputs} ${sound} ${codecs}`.split(" ");
      expect(Bun.spawnSync([ffmpeg, ...args, source]).stderr.toString()).toBe("");
      const { track, kinds } = await finalize(source);
      expect(kinds).toEqual(["audio", "video"]);
      expect(track.result).toMatchObject({ verdict: "degraded", media: { width: 160 } });
      expect(track.result?.reason).toContain("another track of pictures (V_VP8, 320 x 240)");
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "a sound that cannot be decoded is left out and named, whichever it is",
    async () => {
      for (const broken of [0, 1]) {
        const tracks = [
          tone(440, { codec: "-c:a libvorbis" }),
          tone(880, { codec: "-c:a libvorbis" }),
        ];
        const source = await makeSource("broken.mkv", tracks);
        const bytes = await Bun.file(source).bytes();
        const text = Buffer.from(bytes.buffer);
        // The header of its decoder's tables, in the private data of the track.
        let at = text.indexOf("\u0005vorbis", 0, "latin1");
        if (broken === 1) at = text.indexOf("\u0005vorbis", at + 1, "latin1");
        expect(at).toBeGreaterThan(0);
        bytes.fill(0xff, at + 7, at + 400);
        const { track, path } = await finalize({
          chunks: [bytes],
          capturedAtMs: [bed.clock.nowMs()],
        });
        expect(track.result?.verdict).toBe("degraded");
        expect(track.result?.reason).toContain("another track of sound (A_VORBIS)");
        const sound = await soundInTime(path);
        expect(toneIn(sound, broken === 0 ? 880 : 440, 300, 3_700)).toBeGreaterThan(0.2);
      }
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "a track without a packet is none",
    async () => {
      const source = await makeSource("empty.mkv", [
        tone(440, { fromSeconds: 1, seconds: 3 }),
        tone(880, { fromSeconds: 50, seconds: 1 }),
      ]);
      // The second sound begins after all that is sent.
      const bytes = await Bun.file(source).bytes();
      const { path: ffmpeg } = await judgeFfmpeg();
      const cut = join(bed.scratchDirectory, "cut.mkv");
      const args = ["-v", "error", "-i", source, "-map", "0", "-c", "copy", "-t", "10", cut];
      expect(Bun.spawnSync([ffmpeg, ...args]).exitCode).toBe(0);
      expect(bytes.length).toBeGreaterThan(0);
      const { track, path } = await finalize(cut);
      expect(track.result).toMatchObject({ verdict: "complete", media: { action: "copy" } });
      expect(toneIn(await soundCounted(path), 440, 300, 2_700)).toBeGreaterThan(0.2);
    },
    MEDIA_TIMEOUT_MS,
  );
});
