import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Mark } from "../../src/contract/marks.ts";
import { exportDurationMs, exportTracksOf } from "../../src/exports/export-tracks.ts";
import { readSampleTables } from "../../src/finalize/mp4-sample-tables.ts";
import { channelsOf } from "../../src/finalize/silence.ts";
import {
  type FfmpegBinary,
  resolveFfmpeg,
  systemFfmpegLookup,
} from "../../src/process/ffmpeg-binary.ts";
import type { TrackRecord } from "../../src/recording/ports.ts";
import { FinalizerBed, type SentSegment, testFfmpeg, trackKey } from "../finalize/finalizer-bed.ts";
import { complaintsAbout } from "../support/judge-ffmpeg.ts";
import { onlyStream, streamsOf } from "../support/media-streams.ts";
import { soundCounted, soundInTime, soundOf, toneIn } from "../support/sound-judge.ts";
import { makeToneSource } from "../support/tone-source.ts";
import { filesOf } from "./export-bed.ts";

const MEDIA_TIMEOUT_MS = 120_000;

/** Paused at 1.5 s for a second. */
function pauseMarks(beginMs: number): Mark[] {
  return [
    { type: "began", atMs: beginMs, reason: "start", pictures: "continuous" },
    { type: "paused", atMs: beginMs + 1_500 },
    { type: "resumed", atMs: beginMs + 2_500 },
  ];
}

/** One tone until the pause, another one after it. */
const TWO_TONES = "0.3*sin(2*PI*if(lt(t,1.5),440,880)*t)";

const AAC = "-c:a aac";
const OPUS = "-c:a libopus";
const OPUS_MANY = "-c:a libopus -mapping_family 1";
const FRAGMENTS = "-movflags frag_keyframe+empty_moov+default_base_moof -frag_duration 500000";

const KINDS = [
  ["a.mkv", "AAC", "mono", 48_000, AAC, ""],
  ["a.mkv", "AAC", "mono", 8_000, AAC, ""],
  ["a.mkv", "AAC", "stereo", 44_100, AAC, ""],
  ["a.mkv", "AAC", "5.1", 48_000, AAC, ""],
  ["a.mkv", "AAC", "7.1", 48_000, AAC, ""],
  ["a.mp4", "AAC", "stereo", 48_000, AAC, ""],
  ["a.mp4", "AAC", "3.0", 48_000, AAC, ""],
  ["a.mp4", "AAC", "5.0", 48_000, AAC, FRAGMENTS],
  ["a.mkv", "Opus", "mono", 48_000, OPUS, ""],
  ["a.mkv", "Opus", "3.0", 48_000, OPUS_MANY, ""],
  ["a.webm", "Opus", "5.1", 48_000, OPUS_MANY, ""],
  ["a.mkv", "Opus", "7.1", 48_000, OPUS_MANY, ""],
  ["a.mp4", "Opus", "quad", 48_000, OPUS_MANY, FRAGMENTS],
  ["a.mkv", "MP3", "mono", 44_100, "-c:a libmp3lame", ""],
  ["a.mp4", "MP3", "stereo", 48_000, "-c:a libmp3lame", ""],
  ["a.mkv", "FLAC", "stereo", 44_100, "-c:a flac", ""],
  ["a.mkv", "FLAC", "5.1", 48_000, "-c:a flac", ""],
  ["a.webm", "Vorbis", "mono", 22_050, "-c:a libvorbis", ""],
  ["a.webm", "Vorbis", "5.1", 48_000, "-c:a libvorbis", ""],
  ["a.mkv", "PCM", "mono", 8_000, "-c:a pcm_s16le", ""],
  ["a.mkv", "PCM", "5.1", 48_000, "-c:a pcm_s16le", ""],
  ["a.mp4", "AAC", "mono", 16_000, AAC, ""],
] as const;

const BUILDS: readonly (readonly [
  name: string,
  find: () => Promise<FfmpegBinary>,
  kinds: readonly (typeof KINDS)[number][],
])[] = [
  ["the ffmpeg of this machine", testFfmpeg, KINDS],
  // A third of them: what differs is the build, not the kind.
  [
    "the ffmpeg of npm",
    () => resolveFfmpeg(systemFfmpegLookup({})),
    KINDS.filter((_, i) => i % 3 === 0),
  ],
];

/** How far an exported sound may be from its place: a packet of AAC at 8 kHz is 128 ms long. */
const MARGIN_MS = 150;

/** The first tone until the pause, silence in it, the second tone after it. */
function expectPause(sound: Float32Array, name: string): void {
  const heard = {
    first: toneIn(sound, 440, 200, 1_500 - MARGIN_MS) > 0.1,
    firstEnds: toneIn(sound, 440, 1_500 + MARGIN_MS, 2_500 - MARGIN_MS) < 0.01,
    isSilent: toneIn(sound, 880, 1_500 + MARGIN_MS, 2_500 - MARGIN_MS) < 0.01,
    second: toneIn(sound, 880, 2_500 + MARGIN_MS, 4_300) > 0.1,
    secondFromItsTime: toneIn(sound, 880, 2_500 + MARGIN_MS, 2_500 + 2 * MARGIN_MS) > 0.1,
    secondAlone: toneIn(sound, 440, 2_500 + MARGIN_MS, 4_300) < 0.02,
  };
  expect({ name, ...heard }).toEqual({
    name,
    first: true,
    firstEnds: true,
    isSilent: true,
    second: true,
    secondFromItsTime: true,
    secondAlone: true,
  });
}

describe.each(BUILDS)("sound of each kind with %s", (_, find, kinds) => {
  let bed: FinalizerBed;
  let ffmpeg: FfmpegBinary;
  beforeEach(async () => {
    ffmpeg = await find();
    bed = await FinalizerBed.open(ffmpeg);
  });
  afterEach(() => bed[Symbol.asyncDispose]());

  interface Finalized {
    readonly track: TrackRecord;
    readonly path: string;
    readonly exported: (request: Parameters<typeof filesOf>[0]["request"]) => Promise<string[]>;
  }

  async function finalize(...segments: readonly SentSegment[]): Promise<Finalized> {
    const record = await bed.finalize(...segments);
    const track = await bed.track(record.recordingId);
    const path = bed.layout.mediaPath(trackKey(record.recordingId));
    const tracks = exportTracksOf(record, [track], bed.layout);
    const durationMs = exportDurationMs(record, tracks);
    return {
      track,
      path,
      exported: async (request) => {
        const directory = bed.scratchDirectory;
        const files = await filesOf({ directory, request, tracks, durationMs, ffmpeg });
        return files.map((file) => file.path);
      },
    };
  }

  async function sent(path: string, marks: readonly Mark[] = []): Promise<SentSegment> {
    const bytes = await Bun.file(path).bytes();
    return { chunks: [bytes], capturedAtMs: [bed.clock.nowMs()], marks };
  }

  async function expectEverywhere({ path, exported }: Finalized, hasPictures: boolean) {
    expectPause(await soundInTime(path), "the MP4 by its times");
    expectPause(await soundCounted(path), "the MP4 by counting samples");
    const requests = [
      { kind: "compatible" },
      { kind: "audio", lossless: "wav" },
      { kind: "audio", lossless: "flac" },
      { kind: "aligned", padding: "media" },
      { kind: "aligned", padding: "edit-list" },
      ...(hasPictures ? [{ kind: "composite" } as const] : []),
    ] as const;
    for (const request of requests) {
      for (const file of await exported(request)) {
        expect(await complaintsAbout(file)).toEqual([]);
        expectPause(await soundInTime(file), JSON.stringify(request));
      }
    }
  }

  test.each(kinds)(
    "%s with %s of %s at %d Hz: what follows a pause stands at its time everywhere",
    async (fileName, __, layout, rate, codec, muxer) => {
      const source = await makeToneSource(bed.scratchDirectory, {
        fileName,
        tracks: [{ expression: TWO_TONES, layout, rate, codec }],
        seconds: 4,
        muxer,
      });
      const finalized = await finalize(await sent(source, pauseMarks(bed.clock.nowMs())));
      const { result, job } = finalized.track;
      expect([result?.verdict, result?.reason, job?.error]).toEqual(["complete", null, null]);
      expect(await complaintsAbout(finalized.path)).toEqual([]);
      await expectEverywhere(finalized, false);
    },
    MEDIA_TIMEOUT_MS,
  );

  test.each([
    ["Opus of 5.1 beside stereo", "5.1", OPUS_MANY, "stereo", OPUS, "aac", 6],
    ["Opus of 5.1 beside Opus of quad", "5.1", OPUS_MANY, "quad", OPUS_MANY, "aac", 6],
    ["Opus of 5.1 twice", "5.1", OPUS_MANY, "5.1", OPUS_MANY, "opus", 6],
    ["Opus of one channel beside two", "mono", OPUS, "stereo", OPUS, "opus", 2],
    ["AAC of one channel beside two", "mono", AAC, "stereo", AAC, "aac", 2],
    ["AAC of one channel beside 7.1", "mono", AAC, "7.1", AAC, "aac", 8],
    ["FLAC twice", "stereo", "-c:a flac", "stereo", "-c:a flac", "aac", 2],
  ] as const)(
    "%s: joined, each is heard at its time",
    async (__, first, firstCodec, second, secondCodec, codec, channels) => {
      const segments: SentSegment[] = [];
      for (const [i, [layout, options]] of (
        [
          [first, firstCodec],
          [second, secondCodec],
        ] as const
      ).entries()) {
        const expression = `0.3*sin(2*PI*${i === 0 ? 440 : 880}*t)`;
        const source = await makeToneSource(bed.scratchDirectory, {
          fileName: "a.mkv",
          tracks: [{ expression, layout, rate: 48_000, codec: options }],
          seconds: 2,
        });
        const atMs = bed.clock.nowMs() + (i - 1) * 3_000;
        segments.push({ chunks: [await Bun.file(source).bytes()], capturedAtMs: [atMs] });
      }
      const { track, path } = await finalize(...segments);
      expect(track.result).toMatchObject({ verdict: "complete", media: { audioCodec: codec } });
      expect(await complaintsAbout(path)).toEqual([]);
      const entry = (await readSampleTables(path))?.audio?.entries[0] ?? Buffer.alloc(0);
      expect(channelsOf(entry)).toBe(channels);
      for (const sound of [await soundInTime(path), await soundCounted(path)]) {
        // One channel goes to the middle of many.
        if (channels === 2 || first !== "mono") {
          expect(toneIn(sound, 440, 200, 1_800)).toBeGreaterThan(0.1);
        }
        expect(toneIn(sound, 440, 2_200, 2_800)).toBeLessThan(0.01);
        expect(toneIn(sound, 880, 2_200, 2_800)).toBeLessThan(0.01);
        expect(toneIn(sound, 880, 3_200, 4_800)).toBeGreaterThan(0.1);
      }
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "what is only behind the listener is heard in each export",
    async () => {
      const source = await makeToneSource(bed.scratchDirectory, {
        fileName: "a.mkv",
        tracks: [
          {
            expression: "0|0|0|0|0.5*sin(2*PI*440*t)|0",
            layout: "5.1",
            rate: 48_000,
            codec: OPUS_MANY,
          },
        ],
        pictures: "-c:v libx264 -pix_fmt yuv420p -g 15",
        seconds: 2,
      });
      const { exported } = await finalize(await sent(source));
      for (const request of [
        { kind: "compatible" },
        { kind: "audio", lossless: "wav" },
        { kind: "composite" },
      ] as const) {
        for (const file of await exported(request)) {
          expect(toneIn(await soundInTime(file), 440, 200, 1_800)).toBeGreaterThan(0.05);
        }
      }
    },
    MEDIA_TIMEOUT_MS,
  );

  test.each([
    ["mono-aac.mp4", 1],
    ["six-channel-aac.mp4", 6],
  ] as const)(
    "%s with a pause decodes in its own channels, and in each export",
    async (fileName, channels) => {
      const source = `${import.meta.dir}/../fixtures/field/${fileName}`;
      const finalized = await finalize(await sent(source, pauseMarks(bed.clock.nowMs())));
      expect(finalized.track.result).toMatchObject({ verdict: "complete" });
      expect(await complaintsAbout(finalized.path)).toEqual([]);
      const { packets } = onlyStream(await streamsOf(finalized.path), "audio");
      expect(packets).toBe(236);
      const [layout] = Array.from(
        Bun.spawnSync([ffmpeg.path, "-i", finalized.path])
          .stderr.toString()
          .matchAll(/48000 Hz, ([\d.a-z]+)/g),
        ([, name]) => name,
      );
      expect(layout).toBe(channels === 1 ? "mono" : "5.1");
      for (const request of [
        { kind: "compatible" },
        { kind: "audio", lossless: "wav" },
        { kind: "aligned", padding: "media" },
        { kind: "aligned", padding: "edit-list" },
        { kind: "composite" },
      ] as const) {
        for (const file of await finalized.exported(request)) {
          expect(await complaintsAbout(file)).toEqual([]);
          // Four seconds of a tone, without the second of the pause.
          expect(Math.abs((await soundOf(file)).loudMs - 4_000)).toBeLessThan(200);
        }
      }
    },
    MEDIA_TIMEOUT_MS,
  );
});
