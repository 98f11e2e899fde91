import { expect, test } from "bun:test";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { ffmpegBuilds } from "../support/ffmpeg-builds.ts";
import { type FieldSegment, fieldChunks, pauseMarks } from "../support/field-input.ts";
import { RECORDED_NAMES, recordedSegment } from "../support/recorded-media.ts";
import { FinalizerBed, type SentSegment, testFfmpeg } from "./finalizer-bed.ts";

const FIELD_INPUTS: readonly FieldSegment[] = [
  { file: "aac-8k-mono.mp4", mimeType: "audio/mp4" },
  { file: "aac-editlist-tone-2s.mp4", mimeType: "video/mp4" },
  { file: "annexb-3byte-startcodes.mkv", mimeType: "video/x-matroska;codecs=avc1" },
  { file: "b-frames-aac.mp4", mimeType: "video/mp4", isPaused: true },
  { file: "frag-last-sample-6s.mp4", mimeType: "video/mp4;codecs=avc1" },
  { file: "frag-negative-cts.mp4", mimeType: "video/mp4" },
  { file: "h264-annexb-resize.mkv", mimeType: "video/x-matroska" },
  { file: "h264-annexb-sps-change.mkv", mimeType: "video/x-matroska" },
  { file: "h264-avc1-resize-stripped.mp4", mimeType: "video/mp4;codecs=avc1" },
  { file: "hevc.mkv", mimeType: "video/x-matroska;codecs=hvc1.1.6.L93.B0" },
  { file: "laced-opus.webm", mimeType: "audio/webm;codecs=opus" },
  { file: "mono-aac.mp4", mimeType: "video/mp4;codecs=avc1,mp4a.40.2", isPaused: true },
  { file: "no-first-keyframe-h264.mkv", mimeType: "video/x-matroska;codecs=avc1,opus" },
  { file: "no-first-keyframe-vp8.webm", mimeType: "video/webm;codecs=vp8,opus" },
  { file: "no-first-keyframe-vp9.webm", mimeType: "video/webm;codecs=vp9,opus" },
  { file: "not-rotated.mp4", mimeType: "video/mp4" },
  { file: "one-cluster-60s.webm", mimeType: "video/webm;codecs=vp9,opus" },
  { file: "rotated-90.mp4", mimeType: "video/mp4", isPaused: true },
  { file: "sar-2x1.mp4", mimeType: "video/mp4" },
  { file: "six-channel-aac.mp4", mimeType: "video/mp4", isPaused: true },
  { file: "two-sound-tracks.mkv", mimeType: "audio/x-matroska;codecs=opus" },
  { file: "vp8-four-sizes.webm", mimeType: "video/webm;codecs=vp8" },
];

/** Encoders of different years cut and prime sound a little differently. */
const SOUND_PACKETS_DIFFERENCE_MAX = 2;

/** How a plan or a verdict names what is because of the build. */
const OF_BUILD = /\bthis ffmpeg\b/i;

const builds = await ffmpegBuilds();
const usual = await testFfmpeg();

/** What a build makes of an input, as far as it must not depend on the build. */
interface Outcome {
  readonly verdict: string;
  readonly action: string | undefined;
  readonly videoPackets: number | undefined;
  readonly audioPackets: number | undefined;
  readonly gaps: readonly string[];
  /** Without numbers and names, which differ from run to run. */
  readonly reason: string | undefined;
}

async function outcomeOf(
  ffmpeg: FfmpegBinary,
  segment: (startedAtMs: number) => Promise<SentSegment>,
): Promise<{ readonly outcome: Outcome; readonly words: string }> {
  await using bed = await FinalizerBed.open(ffmpeg);
  const { recordingId } = await bed.engine.startRecording({});
  await bed.send(recordingId, await segment(bed.clock.nowMs()));
  await bed.engine.stopRecording(recordingId);
  const { result, job } = await bed.untilTrack(
    recordingId,
    "the track has a result or a failure",
    (track) => track.result !== null || (track.job?.error ?? null) !== null,
  );
  const { media } = result ?? {};
  const gaps = result?.timeline?.gaps ?? [];
  const reason = result?.reason ?? undefined;
  return {
    outcome: {
      verdict: result?.verdict ?? "failed",
      action: media?.action,
      videoPackets: media?.videoPackets,
      audioPackets: media?.audioPackets,
      gaps: gaps.map(({ cause, streams }) => `${cause} ${streams.join(" ")}`),
      reason: reason?.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|\d+/g, "#"),
    },
    words: [reason, media?.actionReason, job?.error].join(" "),
  };
}

/** Expects that every build gives what the usual one gives, or says that it is because of the build. */
async function expectAlike(segment: (startedAtMs: number) => Promise<SentSegment>): Promise<void> {
  const { outcome: wanted, words: usualWords } = await outcomeOf(usual, segment);
  for (const build of builds) {
    if (build.version === usual.version) continue;
    const { outcome, words } = await outcomeOf(build, segment);
    if (OF_BUILD.test(words) || OF_BUILD.test(usualWords)) continue;
    const apart = Math.abs((outcome.audioPackets ?? 0) - (wanted.audioPackets ?? 0));
    const isNear = outcome.action === "transcode" && apart <= SOUND_PACKETS_DIFFERENCE_MAX;
    const { version } = build;
    expect({
      version,
      ...outcome,
      audioPackets: isNear ? wanted.audioPackets : outcome.audioPackets,
    }).toEqual({ version, ...wanted });
  }
}

test.each(FIELD_INPUTS.map((input) => [input.file, input] as const))(
  "every build of ffmpeg gives the same verdict of %s, or names the difference",
  async (_, { file, mimeType, isPaused = false }) => {
    const chunks = await fieldChunks(file);
    await expectAlike(async (startedAtMs) => ({
      chunks,
      mimeType,
      capturedAtMs: [startedAtMs],
      marks: isPaused ? pauseMarks(startedAtMs) : [],
    }));
  },
  120_000,
);

test.each(RECORDED_NAMES)(
  "every build of ffmpeg gives the same verdict of %s, or names the difference",
  async (name) => {
    const { chunks, mimeType } = await recordedSegment(name);
    const payloads = chunks.map(({ payload }) => payload);
    await expectAlike(async () => ({ chunks: payloads, mimeType }));
  },
  120_000,
);
