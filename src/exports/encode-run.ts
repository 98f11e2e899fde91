import { inputArguments } from "../finalize/ffmpeg-arguments.ts";
import { runPass } from "../finalize/ffmpeg-run.ts";
import type { ExportContext } from "./export-maker.ts";

/** A run of ffmpeg that encodes something for an export. */
export interface EncodeRun {
  /** Paths of published MP4s. */
  readonly inputs: readonly string[];
  /** Chains of a filter graph. */
  readonly filters: readonly string[];
  /** Per output: `-map` and all that follows it, up to its path. */
  readonly outputs: readonly (readonly string[])[];
  readonly context: ExportContext;
  /** Share of this run that is done, 0 to 1. */
  readonly onShare: (share: number) => void;
}

/**
 * Share of the recording's length for which ffmpeg may say nothing, beyond the usual: at its end it moves
 * all of the output to make room for the index, which takes minutes for some gigabytes on a slow disk.
 */
const SILENT_SHARE = 0.1;

/** 100 Mbit/s: more than any picture of a call needs. */
const OUTPUT_BYTES_PER_SECOND_MAX = 12_500_000;
const OUTPUT_BYTES_BASE = 64 * 1024 * 1024;

/** A change of size in the middle would otherwise begin the filters anew, from zero. */
const INPUT_ARGUMENTS: readonly string[] = ["-reinit_filter", "0"];

/** Nothing is taken over from the input but what is mapped; streams may begin hours apart. */
const OUTPUT_ARGUMENTS: readonly string[] = [
  "-map_metadata",
  "-1",
  "-map_chapters",
  "-1",
  "-max_muxing_queue_size",
  "65536",
];

/** H.264 that every player and editor reads; the same quality as of tracks that are transcoded. */
export function h264Arguments(frameRate: number): string[] {
  return [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-crf",
    "20",
    "-profile:v",
    "high",
    "-pix_fmt",
    "yuv420p",
    // Without B-frames the first picture is at zero also for those who heed no edit list.
    "-bf",
    "0",
    "-g",
    String(frameRate * 2),
    "-r",
    String(frameRate),
  ];
}

/** Bits per second of sound in AAC: transparent for speech and good for music in stereo. */
export const AAC_ARGUMENTS: readonly string[] = ["-c:a", "aac", "-b:a", "160k"];

/** The end of the arguments of an MP4 whose index stands before the media. */
export function mp4Arguments(muxer: "mp4" | "ipod", path: string): string[] {
  return ["-movflags", "+faststart", "-strict", "-2", "-f", muxer, `file:${path}`];
}

/**
 * Runs ffmpeg, confined and behind all else that wants the processor.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, the signal's reason
 */
export async function runEncode(run: EncodeRun): Promise<void> {
  const { inputs, filters, outputs, context, onShare } = run;
  const { durationMs, limits } = context;
  const stallMsMax = limits.stallMsMax + durationMs * SILENT_SHARE;
  await runPass(
    {
      args: [
        "-y",
        // Without it the time of the first packet would count as zero, whatever it is.
        "-copyts",
        ...inputs.flatMap((path) => INPUT_ARGUMENTS.concat(inputArguments("mp4", { path }))),
        "-filter_complex",
        filters.join(";"),
        ...outputs.flatMap((output) => OUTPUT_ARGUMENTS.concat(output)),
      ],
      mediaMs: durationMs * inputs.length,
      outputBytesMax: OUTPUT_BYTES_BASE + (durationMs / 1_000) * OUTPUT_BYTES_PER_SECOND_MAX,
      onMediaMs: (mediaMs) => onShare(Math.min(1, mediaMs / durationMs)),
    },
    { ...context, limits: { ...limits, stallMsMax } },
  );
}
