import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import { runSubprocess } from "../process/subprocess.ts";
import { type FfmpegTask, ffmpegArguments } from "./ffmpeg-arguments.ts";
import { type Argv, type FfmpegConfinement, confined } from "./ffmpeg-confinement.ts";
import { FfmpegFailedError } from "./finalize-errors.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";

/** A run of ffmpeg with its bounds. */
export interface FfmpegRun {
  readonly ffmpeg: FfmpegBinary;
  readonly confinement: FfmpegConfinement;
  readonly limits: FinalizeLimits;
  readonly task: Omit<FfmpegTask, "abilities">;
  /** Fed to ffmpeg when the task's input is the pipe. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** Bytes of the source: time and output are bounded by them. */
  readonly inputBytes: number;
  /** Told how far ffmpeg has come, in milliseconds of media. */
  readonly onMediaMs: (mediaMs: number) => void;
  readonly signal: AbortSignal;
}

const MEBIBYTE = 1024 * 1024;

/** A copy is about as large as its source, a transcode of a still picture's few bytes larger. */
const OUTPUT_BYTES_BASE = 512 * MEBIBYTE;
const OUTPUT_PER_INPUT_MAX = { copy: 2, transcode: 16 } as const;

/**
 * Runs ffmpeg to a good end. What it wrote still has to be verified: ffmpeg exits with 0 also when
 * it skipped damaged input.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, the signal's reason
 */
export async function runFfmpeg(run: FfmpegRun): Promise<void> {
  const { ffmpeg, limits, task, inputBytes } = run;
  const outputBytesMax = OUTPUT_BYTES_BASE + inputBytes * OUTPUT_PER_INPUT_MAX[task.plan.action];
  await runConfinedFfmpeg({
    ...run,
    args: ffmpegArguments({ ...task, abilities: ffmpeg.abilities }),
    fileBytesMax: outputBytesMax + task.moovBytes,
    timeLimitMs: limits.runMsBase + (inputBytes / MEBIBYTE) * limits.runMsPerMib,
  });
}

/** Half of what nice(1) has to give: slow beside other work, but never at a standstill. */
const NICENESS = "10";

/** A run of ffmpeg with arguments of any kind, and its bounds. */
export interface ConfinedFfmpegRun extends Pick<
  FfmpegRun,
  "ffmpeg" | "confinement" | "limits" | "onMediaMs" | "signal"
> {
  /** All but the program; they ask for progress on stdout (`generalArguments`). */
  readonly args: readonly string[];
  /** Fed to ffmpeg's stdin; undefined for none. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** Largest file that it may write. */
  readonly fileBytesMax: number;
  /** It is ended when it has run this long. */
  readonly timeLimitMs: number;
  /** Leaves the processor to all else that wants it, where the system has `nice`. */
  readonly isNice?: boolean;
}

/**
 * Runs ffmpeg within its bounds to a good end and gives the end of its stderr.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, the signal's reason
 */
export async function runConfinedFfmpeg(run: ConfinedFfmpegRun): Promise<string> {
  const { ffmpeg, confinement, limits, args } = run;
  const command: Argv = [ffmpeg.path, ...args];
  const nice = run.isNice === true ? Bun.which("nice") : null;
  const outcome = await runSubprocess({
    argv: confined(nice === null ? command : [nice, "-n", NICENESS, ...command], confinement, {
      memoryBytesMax: limits.ffmpegMemoryBytesMax,
      fileBytesMax: run.fileBytesMax,
    }),
    ...(run.input === undefined ? {} : { input: run.input }),
    onStdoutLine: (line) => {
      const mediaMs = mediaMsOf(line);
      if (mediaMs !== undefined) run.onMediaMs(mediaMs);
    },
    signal: run.signal,
    timeLimitMs: run.timeLimitMs,
    stallLimitMs: limits.stallMsMax,
  });
  if (outcome.exitCode !== 0) {
    throw new FfmpegFailedError(
      outcome.signalName ?? `exit code ${outcome.exitCode}`,
      outcome.stderrTail,
    );
  }
  return outcome.stderrTail;
}

/** `out_time_us` is new; the older `out_time_ms` is in microseconds too, in spite of its name. */
function mediaMsOf(line: string): number | undefined {
  const [, microseconds] = /^out_time_ms=(\d+)$/.exec(line) ?? [];
  return microseconds === undefined ? undefined : Number(microseconds) / 1_000;
}
