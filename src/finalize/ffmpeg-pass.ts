import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import { runSubprocess } from "../process/subprocess.ts";
import { type FfmpegConfinement, confined } from "./ffmpeg-confinement.ts";
import { FfmpegFailedError } from "./finalize-errors.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";

/** What a run of ffmpeg needs beside its arguments. */
export interface FfmpegContext {
  readonly ffmpeg: FfmpegBinary;
  readonly confinement: FfmpegConfinement;
  readonly limits: FinalizeLimits;
  readonly signal: AbortSignal;
}

/** One run of ffmpeg on files of the server's own. */
export interface FfmpegPass {
  /** Inputs, filters and outputs; see `mediaInput`. */
  readonly args: readonly string[];
  /** Length of what is made: the time that it may take is bounded by it. */
  readonly mediaMs: number;
  /** A larger output is cut off by the system, and fails. */
  readonly outputBytesMax: number;
  /** Told how much is made, in milliseconds of media. */
  readonly onMediaMs?: (mediaMs: number) => void;
  /** Given what ffmpeg writes to its stdout; then nothing is told of how much is made. */
  readonly onOutput?: (bytes: Uint8Array) => void;
}

/** Largest single allocation of ffmpeg: no picture of a recorder comes near it. */
const ALLOCATION_BYTES_MAX = 512 * 1024 * 1024;

/** So much slower than real time a busy machine may be. */
const SLOWDOWN_MAX = 20;

/**
 * Runs ffmpeg to a good end. What it wrote still has to be verified.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, the signal's reason
 */
export async function runPass(pass: FfmpegPass, context: FfmpegContext): Promise<void> {
  const { ffmpeg, confinement, limits, signal } = context;
  const { onMediaMs, onOutput } = pass;
  const outcome = await runSubprocess({
    argv: confined(
      [
        ffmpeg.path,
        "-hide_banner",
        "-nostats",
        "-nostdin",
        "-loglevel",
        "error",
        ...(onOutput === undefined ? ["-progress", "pipe:1"] : []),
        "-max_alloc",
        String(ALLOCATION_BYTES_MAX),
        ...pass.args,
      ],
      confinement,
      { memoryBytesMax: limits.ffmpegMemoryBytesMax, fileBytesMax: pass.outputBytesMax },
    ),
    ...(onOutput === undefined
      ? {
          onStdoutLine: (line: string) => {
            // In microseconds, in spite of its name.
            const [, microseconds] = /^out_time_ms=(\d+)$/.exec(line) ?? [];
            if (microseconds !== undefined) onMediaMs?.(Number(microseconds) / 1_000);
          },
        }
      : { onStdout: onOutput }),
    signal,
    timeLimitMs: limits.runMsBase + pass.mediaMs * SLOWDOWN_MAX,
    stallLimitMs: limits.stallMsMax,
  });
  if (outcome.exitCode !== 0) {
    throw new FfmpegFailedError(
      outcome.signalName ?? `exit code ${outcome.exitCode}`,
      outcome.stderrTail,
    );
  }
}

/** A published MP4 as an input: nothing but it can be opened, by no other demuxer. */
export function mediaInput(path: string): readonly string[] {
  return [
    "-protocol_whitelist",
    "file",
    "-format_whitelist",
    "mov,mp4,m4a,3gp,3g2,mj2",
    "-f",
    "mov",
    "-i",
    `file:${path}`,
  ];
}

/** A time as an option: ffmpeg counts in microseconds. */
export function secondsOf(ms: number): string {
  return (ms / 1_000).toFixed(6);
}
