import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Gap } from "../../src/contract/timeline.ts";
import { amplitudeOf, samplesOf } from "../exports/composite/composite-judge.ts";
import { decodeSound } from "../support/beep-judge.ts";
import { decodedChannels } from "../support/decoded-channels.ts";
import { type Delivered, FieldBed, expectComplete } from "../support/field-bed.ts";
import { complaintsAbout } from "../support/judge-ffmpeg.ts";
import { streamsOf } from "../support/media-streams.ts";
import { shownPictures } from "../support/shown-pictures.ts";
import { soundOf } from "../support/sound-judge.ts";

/** The product's promise for every picture, every sound and the length of a file. */
const TOLERANCE_MS = 40;

/** Less than a packet of sound, and far less than a picture. */
const EXACT_MS = 5;

const TEST_TIMEOUT_MS = 180_000;

let bed: FieldBed;

beforeAll(async () => {
  bed = await FieldBed.open();
});

afterAll(() => bed[Symbol.asyncDispose]());

function expectNear(actualMs: number, expectedMs: number, toleranceMs = TOLERANCE_MS): void {
  expect(Math.abs(actualMs - expectedMs)).toBeLessThanOrEqual(toleranceMs);
}

/** Where the first sample of sound is heard that is louder than any noise of an encoder. */
async function toneBeginMs(path: string): Promise<number> {
  const { samples, frames } = await decodeSound(path);
  const begin = samples.findIndex((sample) => Math.abs(sample) > 0.05);
  if (begin === -1) throw new Error(`${path} is silent`);
  return (frames[0]?.timeMs ?? 0) + begin / 48;
}

function videoGaps({ gaps }: Delivered): Gap[] {
  return gaps.filter(({ streams }) => streams.includes("video"));
}

describe("H.264 as Annex B in Matroska", () => {
  test(
    "with 3-byte start codes and no CodecPrivate is complete",
    async () => {
      const made = await bed.deliver({
        file: "annexb-3byte-startcodes.mkv",
        mimeType: "video/x-matroska;codecs=avc1",
      });
      await expectComplete(made);
      expect(made.media.videoPackets).toBe(60);
      expectNear(made.media.durationMs, 4_000);
      expect((await shownPictures(made.path)).length).toBe(60);
    },
    TEST_TIMEOUT_MS,
  );

  test.each(["h264-annexb-resize.mkv", "h264-annexb-sps-change.mkv"])(
    "%s, whose parameter sets change, has all its pictures",
    async (file) => {
      const made = await bed.deliver({ file, mimeType: "video/x-matroska" });
      await expectComplete(made);
      expect((await shownPictures(made.path)).length).toBe(90);
    },
    TEST_TIMEOUT_MS,
  );
});

describe("MP4 as recorders write it", () => {
  test(
    "with negative composition offsets begins at once, with all packets",
    async () => {
      const made = await bed.deliver({ file: "frag-negative-cts.mp4", mimeType: "video/mp4" });
      await expectComplete(made);
      expect(made.media).toMatchObject({ videoPackets: 96, audioPackets: 189 });
      const pictures = await shownPictures(made.path);
      expect(pictures.length).toBe(96);
      expectNear(pictures[0]?.timeMs ?? Infinity, 0, EXACT_MS);
      const { frames } = await decodeSound(made.path);
      expectNear(frames[0]?.timeMs ?? Infinity, 0, EXACT_MS);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "with B-frames and a pause shows all pictures, also in tools that ignore edit lists",
    async () => {
      const made = await bed.deliver({
        file: "b-frames-aac.mp4",
        mimeType: "video/mp4",
        isPaused: true,
      });
      await expectComplete(made);
      expectNear(made.media.durationMs, 5_000);
      const pictures = await shownPictures(made.path);
      expect(pictures.length).toBe(100);
      expectNear(pictures[0]?.timeMs ?? Infinity, 0, EXACT_MS);
      // A picture lasts 40 ms.
      const plain = await shownPictures(made.path, ["-ignore_editlist", "1"]);
      expect(plain.length).toBe(100);
      expectNear(plain[0]?.timeMs ?? Infinity, 0, 39);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "whose last picture claims to last 6 s ends where its pictures end",
    async () => {
      const made = await bed.deliver({
        file: "frag-last-sample-6s.mp4",
        mimeType: "video/mp4;codecs=avc1",
      });
      await expectComplete(made);
      expectNear(made.track.timeline?.durationMs ?? 0, 6_000);
      for (const kind of ["compatible", "aligned"]) {
        expectNear((await bed.exportedFile(made, { kind })).durationMs, 6_000, 100);
      }
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "with priming in an edit list has its sound at its time in every export",
    async () => {
      const made = await bed.deliver({
        file: "aac-editlist-tone-2s.mp4",
        mimeType: "video/mp4",
        capturedAfterMs: 0,
      });
      await expectComplete(made);
      expectNear(await toneBeginMs(made.path), 2_000, EXACT_MS);
      const aligned = await bed.exportedFile(made, { kind: "aligned" });
      expectNear(await toneBeginMs(aligned.path), 2_000, EXACT_MS);
      const audio = await bed.exported(made, { kind: "audio" });
      expect(audio.length).toBe(2);
      for (const { path } of audio) expectNear(await toneBeginMs(path), 2_000, EXACT_MS);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "of a headset stands where its first real sample was captured",
    async () => {
      const made = await bed.deliver({
        file: "aac-8k-mono.mp4",
        mimeType: "audio/mp4",
        capturedAfterMs: 50,
      });
      await expectComplete(made);
      expectNear(made.track.timeline?.offsetMs ?? 0, 50, EXACT_MS);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "whose size changes without parameter sets is called damaged from then on",
    async () => {
      const made = await bed.deliver({
        file: "h264-avc1-resize-stripped.mp4",
        mimeType: "video/mp4;codecs=avc1",
      });
      expect(made.track.verdict).toBe("degraded");
      expect(made.track.reason).not.toBeNull();
      const [damage, ...others] = videoGaps(made);
      expect(others).toEqual([]);
      expect(damage?.cause).toBe("damaged");
      const offsetMs = made.track.timeline?.offsetMs ?? 0;
      expectNear((damage?.fromMs ?? 0) - offsetMs, 2_000, 100);
      expectNear((damage?.toMs ?? 0) - offsetMs, 4_000, 100);
    },
    TEST_TIMEOUT_MS,
  );
});

describe("a source without its first keyframe", () => {
  test.each([
    ["no-first-keyframe-vp8.webm", "video/webm;codecs=vp8,opus"],
    ["no-first-keyframe-vp9.webm", "video/webm;codecs=vp9,opus"],
    ["no-first-keyframe-h264.mkv", "video/x-matroska;codecs=avc1,opus"],
  ])(
    "%s has pictures from the next one on, and all its sound",
    async (file, mimeType) => {
      const made = await bed.deliver({ file, mimeType });
      expect(made.track.verdict).toBe("degraded");
      expect(made.track.reason).not.toBeNull();
      expect(made.media.audioPackets).toBe(301);
      expect(await complaintsAbout(made.path)).toEqual([]);
      const pictures = await shownPictures(made.path);
      expect(pictures.length).toBe(60);
      const [gap, ...others] = videoGaps(made);
      expect(others).toEqual([]);
      const offsetMs = made.track.timeline?.offsetMs ?? 0;
      expectNear((gap?.fromMs ?? Infinity) - offsetMs, 0, 100);
      expectNear((gap?.toMs ?? 0) - offsetMs, 2_007);
      expectNear(pictures[0]?.timeMs ?? 0, 2_007);
      await bed.exportedFile(made, { kind: "compatible" });
    },
    TEST_TIMEOUT_MS,
  );
});

describe("Matroska in other shapes", () => {
  test(
    "with laced blocks is complete",
    async () => {
      const made = await bed.deliver({
        file: "laced-opus.webm",
        mimeType: "audio/webm;codecs=opus",
      });
      await expectComplete(made);
      expect(made.media.audioPackets).toBe(200);
      expectNear(made.media.durationMs, 4_000);
      expect((await soundOf(made.path)).loudMs).toBeGreaterThan(3_900);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "with 60 s in one cluster is delivered whole",
    async () => {
      const made = await bed.deliver({
        file: "one-cluster-60s.webm",
        mimeType: "video/webm;codecs=vp9,opus",
      });
      expect(made.media).toMatchObject({ videoPackets: 300, audioPackets: 1_001 });
      expect(await complaintsAbout(made.path)).toEqual([]);
      if (made.track.verdict === "complete") expectNear(made.media.durationMs, 60_060);
      else expect(made.track).toMatchObject({ verdict: "degraded", reason: expect.any(String) });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "with two tracks of sound keeps both, or names the one that is missing",
    async () => {
      const made = await bed.deliver({
        file: "two-sound-tracks.mkv",
        mimeType: "audio/x-matroska;codecs=opus",
      });
      const tracks = (await streamsOf(made.path)).filter(({ kind }) => kind === "audio").length;
      const samples = await samplesOf(made.path);
      const heard = [440, 880].filter((hz) => amplitudeOf(samples, hz, 500, 3_500) > 0.01);
      if (tracks === 1 && heard.length < 2) {
        expect(made.track).toMatchObject({ verdict: "degraded", reason: expect.any(String) });
      } else {
        await expectComplete(made);
      }
    },
    TEST_TIMEOUT_MS,
  );

  test.each([1, 2])(
    "with H.265 in %d segments is an MP4 that Apple plays",
    async (segments) => {
      const made = await bed.deliver(
        ...Array.from({ length: segments }, () => ({
          file: "hevc.mkv",
          mimeType: "video/x-matroska;codecs=hvc1.1.6.L93.B0",
        })),
      );
      await expectComplete(made);
      expect(made.media).toMatchObject({ videoCodec: "hevc", videoPackets: segments * 120 });
      expect((await shownPictures(made.path)).length).toBe(segments * 120);
      const bytes = Buffer.from(await Bun.file(made.path).bytes());
      expect(bytes.includes("hvc1")).toBe(true);
      expect(bytes.includes("hev1")).toBe(false);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "with VP8 of four sizes has every picture, and says so when they were made smaller",
    async () => {
      const made = await bed.deliver({
        file: "vp8-four-sizes.webm",
        mimeType: "video/webm;codecs=vp8",
      });
      expect(made.track.verdict).toBe("complete");
      const pictures = await shownPictures(made.path);
      expect(pictures.length).toBe(120);
      const largest = Math.max(...pictures.map(({ width, height }) => width * height));
      const words = `${made.track.reason} ${made.media.actionReason}`;
      if (largest < 640 * 360) expect(words).toMatch(/smaller|scaled/i);
    },
    TEST_TIMEOUT_MS,
  );
});

describe("AAC with a pause", () => {
  test(
    "of one channel stays of one channel, and every export is made of it",
    async () => {
      const made = await bed.deliver({
        file: "mono-aac.mp4",
        mimeType: "video/mp4;codecs=avc1,mp4a.40.2",
        isPaused: true,
      });
      await expectComplete(made);
      expect((await decodedChannels(made.path)).channels).toEqual([1]);
      expect((await soundOf(made.path)).countedMs).toBeGreaterThan(5_000 - TOLERANCE_MS);
      await bed.expectAllExports(made);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "of six channels decodes whole, and every export is made of it",
    async () => {
      const made = await bed.deliver({
        file: "six-channel-aac.mp4",
        mimeType: "video/mp4",
        isPaused: true,
      });
      await expectComplete(made);
      const { channels, frames } = await decodedChannels(made.path);
      expect(channels).toEqual([6]);
      // The first one can be priming, which is not played.
      expect(made.media.audioPackets - frames).toBeLessThanOrEqual(1);
      await bed.expectAllExports(made);
    },
    TEST_TIMEOUT_MS,
  );
});
