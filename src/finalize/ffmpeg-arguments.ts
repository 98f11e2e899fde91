import type { Container } from "../recording/container.ts";
import type { FfmpegAbilities } from "../process/ffmpeg-binary.ts";
import type { PictureSize } from "./picture-display.ts";
import { fittedInto, turnFilters } from "./picture-filters.ts";
import { lacksParameterSets } from "./decoder-doubts.ts";
import type { RemuxPlan, StreamPlan } from "./remux-plan.ts";
import { soundMixGraph } from "./sound-mix-graph.ts";

/** What one run of ffmpeg is to do. */
export interface FfmpegTask {
  readonly container: Container;
  /** `pipe:0`, or the path of a plain file. */
  readonly input: "pipe:0" | { readonly path: string };
  readonly plan: RemuxPlan;
  readonly abilities: FfmpegAbilities;
  /** Room for the index before the media. */
  readonly moovBytes: number;
  /** Size of a transcoded picture, upright and with square pixels, in even numbers; undefined when it stays as it is. */
  readonly picture: PictureSize | undefined;
  readonly outputPath: string;
  /** Of sounds that are mixed, when each begins after the input does, in milliseconds. */
  readonly mixedFromMs?: readonly number[];
}

/** The only demuxer that may be used, whatever the bytes claim to be. */
const DEMUXERS: Readonly<Record<Container, { name: string; whitelist: string }>> = {
  matroska: { name: "matroska", whitelist: "matroska,webm" },
  mp4: { name: "mov", whitelist: "mov,mp4,m4a,3gp,3g2,mj2" },
};

/** Largest single allocation of ffmpeg: no frame of a recorder comes near it. */
const ALLOCATION_BYTES_MAX = 512 * 1024 * 1024;

/**
 * Packets that may wait for the first picture to be decoded; the default of 128 is less than 3 s of
 * sound.
 */
const WAITING_PACKETS_MAX = 65_536;

/** Bits per second of transcoded sound: transparent for speech and good for music in stereo. */
const AAC_BITS_PER_SECOND = 160_000;
/** Of each channel, where there are more than two. */
const AAC_BITS_PER_CHANNEL = 64_000;

/** Has how much is made told on stdout. */
export const PROGRESS_ARGUMENTS: readonly string[] = ["-progress", "pipe:1"];

/** What every run begins with: errors alone on stderr, no giant allocations. */
export function generalArguments(): string[] {
  return [
    "-hide_banner",
    "-nostats",
    "-loglevel",
    "error",
    "-max_alloc",
    String(ALLOCATION_BYTES_MAX),
  ];
}

/** A time as an option: ffmpeg counts in microseconds. */
export function secondsOf(ms: number): string {
  return (ms / 1_000).toFixed(6);
}

/** Opens an input with the one demuxer, and nothing else on its behalf. */
export function inputArguments(container: Container, input: FfmpegTask["input"]): string[] {
  const { name, whitelist } = DEMUXERS[container];
  const isPipe = input === "pipe:0";
  return [
    "-protocol_whitelist",
    isPipe ? "pipe" : "file",
    "-format_whitelist",
    whitelist,
    // Pictures that are encoded are turned by `turnFilters`.
    "-noautorotate",
    "-f",
    name,
    // `file:` keeps a path from being taken for a URL of another protocol.
    "-i",
    isPipe ? input : `file:${input.path}`,
  ];
}

/**
 * ffmpeg's arguments for one run, which may do several tasks whose inputs are files. Only `pipe` or
 * `file` can be opened, only by the one demuxer, and only the planned streams are taken: text that calls
 * itself WebM and names other files, as HLS, DASH and ffconcat do, gets none of them read.
 */
export function ffmpegArguments(tasks: readonly FfmpegTask[]): string[] {
  return [
    ...generalArguments(),
    ...PROGRESS_ARGUMENTS,
    // Since 5.1 it ends with a failure when it could not decode two thirds of what came.
    ...(tasks.some(({ abilities }) => abilities.fpsMode) ? ["-max_error_rate", "1"] : []),
    ...(tasks.some(({ input }) => input === "pipe:0") ? [] : ["-nostdin"]),
    ...tasks.flatMap(({ container, input }) => inputArguments(container, input)),
    // Each once more: else what is decoded of one sound would wait in memory until the other comes.
    ...tasks.flatMap(({ container, input, plan }) =>
      (plan.audio?.mixed ?? []).flatMap(() => inputArguments(container, input)),
    ),
    ...tasks.flatMap(outputArguments),
  ];
}

/** @param input the number of the task's input */
function outputArguments(task: FfmpegTask, input: number): string[] {
  const { plan, outputPath } = task;
  return [
    ...(plan.video === undefined
      ? []
      : [
          "-map",
          `${input}:v:${plan.video.source.position ?? 0}`,
          ...videoArguments(plan.video, task),
        ]),
    ...(plan.audio === undefined ? [] : [...soundMap(task, input), ...audioArguments(plan.audio)]),
    "-map_metadata",
    "-1",
    "-map_chapters",
    "-1",
    "-max_muxing_queue_size",
    String(WAITING_PACKETS_MAX),
    // Builds before 5 hold Opus and VP9 in MP4 for experimental.
    "-strict",
    "-2",
    "-moov_size",
    String(task.moovBytes),
    "-f",
    "mp4",
    "-y",
    `file:${outputPath}`,
  ];
}

function videoArguments(plan: StreamPlan, { abilities, picture }: FfmpegTask): string[] {
  // Without `-copyinkf`, pictures before the first keyframe are dropped without a word.
  if (plan.action === "copy") {
    // Apple's players take H.265 only with its parameter sets in the header, which this tag says.
    const tag = plan.codec === "hevc" ? ["-tag:v", "hvc1"] : [];
    const filters = lacksParameterSets(plan.source)
      ? ["-bsf:v", "hevc_mp4toannexb,extract_extradata"]
      : [];
    return ["-c:v", "copy", "-copyinkf:v", ...tag, ...filters];
  }
  const filters =
    picture === undefined
      ? // A colour sample is for two pixels, so both sides must be even.
        [...turnFilters(plan.source), "pad=ceil(iw/2)*2:ceil(ih/2)*2"]
      : [
          ...turnFilters(plan.source),
          `scale=${fittedInto(picture)}`,
          `pad=${picture.width}:${picture.height}:(ow-iw)/2:(oh-ih)/2`,
          "setsar=1",
        ];
  return [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-crf",
    "20",
    "-pix_fmt",
    "yuv420p",
    // Without B-frames pictures stay in order and the first one begins at its own time.
    "-bf",
    "0",
    // Players that heed only the first `avcC` of joined segments decode each with its own.
    "-x264-params",
    "repeat-headers=1",
    // A change of size in the middle is fitted into the first size: an encoder keeps its size.
    "-vf",
    filters.join(","),
    // Each picture keeps its own time: none is doubled or dropped for a constant rate, and the
    // encoder counts in the milliseconds of Matroska, not in frames of a guessed rate.
    ...(abilities.fpsMode ? ["-fps_mode:v", "passthrough"] : ["-vsync", "0"]),
    "-enc_time_base:v",
    "1:1000",
  ];
}

function soundMap({ plan, mixedFromMs = [] }: FfmpegTask, input: number): string[] {
  const { source, mixed, channels } = plan.audio ?? {};
  if (mixed === undefined) return ["-map", `${input}:a:${source?.position ?? 0}`];
  const parts = mixed.map((sound, i) => ({ sound, fromMs: mixedFromMs[i] ?? 0 }));
  return ["-filter_complex", soundMixGraph(parts, channels ?? 2, input + 1), "-map", "[sound]"];
}

function audioArguments({ action, isUniform, channels, source, mixed }: StreamPlan): string[] {
  if (action === "copy") return ["-c:a", "copy"];
  const bitsPerSecond = AAC_BITS_PER_CHANNEL * (channels ?? source.channels ?? 0);
  return [
    "-c:a",
    "aac",
    "-b:a",
    String(Math.max(AAC_BITS_PER_SECOND, bitsPerSecond)),
    // What an encoder puts before the sound is longer than a gap with rates of telephones.
    "-ar",
    "48000",
    ...(isUniform && mixed === undefined ? channelArguments(source.channels, channels ?? 2) : []),
  ];
}

function channelArguments(own: number | undefined, channels: number): string[] {
  // swresample would take 3 dB from one channel that it spreads over two.
  if (own === 1 && channels === 2) return ["-af", "pan=stereo|c0=c0|c1=c0"];
  return ["-ac", String(channels)];
}
