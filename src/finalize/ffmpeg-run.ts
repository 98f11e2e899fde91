import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import { type SubprocessRequest, runSubprocess } from "../process/subprocess.ts";
import {
  type FfmpegTask,
  PROGRESS_ARGUMENTS,
  ffmpegArguments,
  generalArguments,
} from "./ffmpeg-arguments.ts";
import { type Argv, type FfmpegConfinement, confined } from "./ffmpeg-confinement.ts";
import { FfmpegFailedError } from "./finalize-errors.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";
import { setOrientation } from "./set-orientation.ts";

/** A run of ffmpeg with its bounds. */
export interface FfmpegRun {
  readonly ffmpeg: FfmpegBinary;
  readonly confinement: FfmpegConfinement;
  readonly limits: FinalizeLimits;
  /** What it makes; several only of files that are all copied. */
  readonly tasks: readonly Omit<FfmpegTask, "abilities">[];
  /** Fed to ffmpeg when a task's input is the pipe. */
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
 * Runs ffmpeg to a good end, and has pictures that it copied shown as those of their source, and those
 * that it encoded as they are. What it wrote still has to be verified: ffmpeg exits with 0 also when it
 * skipped damaged input.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the
 * signal's reason
 */
export async function runFfmpeg(run: FfmpegRun): Promise<void> {
  const { ffmpeg, limits, tasks, inputBytes } = run;
  const growths = tasks.map(({ plan }) => OUTPUT_PER_INPUT_MAX[plan.action]);
  const outputBytesMax = OUTPUT_BYTES_BASE + inputBytes * Math.max(...growths);
  await runConfinedFfmpeg({
    ...run,
    isNice: false,
    onStdout: progressTo(run.onMediaMs),
    args: ffmpegArguments(
      tasks.map((task) => Object.assign({ abilities: ffmpeg.abilities }, task)),
    ),
    fileBytesMax: outputBytesMax + Math.max(...tasks.map(({ moovBytes }) => moovBytes)),
    timeLimitMs: limits.runMsBase + (inputBytes / MEBIBYTE) * limits.runMsPerMib,
  });
  for (const { plan, outputPath } of tasks) {
    if (plan.video === undefined) continue;
    const { action, source } = plan.video;
    await setOrientation(outputPath, action === "copy" ? source : {});
  }
}

/** What a run of ffmpeg on files of the server's own needs beside its arguments. */
export type FfmpegContext = Pick<FfmpegRun, "ffmpeg" | "confinement" | "limits" | "signal">;

/** One run of ffmpeg on files of the server's own. */
export interface FfmpegPass {
  /** Inputs, filters and outputs; see `inputArguments`. */
  readonly args: readonly string[];
  /** Working directory of ffmpeg, to which paths can be relative; the server's own without it. */
  readonly directory?: string;
  /** Length of the media: the time that it may take is bounded by it. */
  readonly mediaMs: number;
  /** A larger output is cut off by the system, and fails. */
  readonly outputBytesMax: number;
  /** Told how much is made, in milliseconds of media. */
  readonly onMediaMs?: (mediaMs: number) => void;
  /** Given what ffmpeg writes to its stdout; then nothing is told of how much is made. */
  readonly onOutput?: (bytes: Uint8Array) => void;
}

/** So much slower than real time a busy machine may be. */
const SLOWDOWN_MAX = 20;

/**
 * Runs ffmpeg on published files to a good end, behind all else that wants the processor, and gives
 * the end of its stderr. What it wrote still has to be verified.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, the signal's reason
 */
export async function runPass(pass: FfmpegPass, context: FfmpegContext): Promise<string> {
  const { onOutput, onMediaMs = () => {} } = pass;
  return await runConfinedFfmpeg({
    ...context,
    args: [...generalArguments(), ...(onOutput ? [] : PROGRESS_ARGUMENTS), "-nostdin"].concat(
      pass.args,
    ),
    input: undefined,
    isNice: true,
    fileBytesMax: pass.outputBytesMax,
    timeLimitMs: context.limits.runMsBase + pass.mediaMs * SLOWDOWN_MAX,
    directory: pass.directory,
    onStdout: onOutput ? { onStdout: onOutput } : progressTo(onMediaMs),
  });
}

/** Half of what nice(1) has to give: slow beside other work, but never at a standstill. */
const NICENESS = "10";

interface ConfinedRun extends FfmpegContext {
  /** All but the program. */
  readonly args: readonly string[];
  /** Working directory; the server's own when it is undefined. */
  readonly directory?: string | undefined;
  /** Fed to ffmpeg's stdin; undefined for none. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** Largest file that it may write. */
  readonly fileBytesMax: number;
  /** It is ended when it has run this long. */
  readonly timeLimitMs: number;
  /** Leaves the processor to all else that wants it, where the system has `nice`. */
  readonly isNice: boolean;
  readonly onStdout: Pick<SubprocessRequest, "onStdout" | "onStdoutLine">;
}

async function runConfinedFfmpeg(run: ConfinedRun): Promise<string> {
  const { ffmpeg, confinement, limits, args } = run;
  const command: Argv = [ffmpeg.path, ...args];
  const nice = run.isNice ? Bun.which("nice") : null;
  const outcome = await runSubprocess({
    argv: confined(nice === null ? command : [nice, "-n", NICENESS, ...command], confinement, {
      memoryBytesMax: limits.ffmpegMemoryBytesMax,
      fileBytesMax: run.fileBytesMax,
    }),
    ...(run.input === undefined ? {} : { input: run.input }),
    ...(run.directory === undefined ? {} : { directory: run.directory }),
    ...run.onStdout,
    signal: run.signal,
    timeLimitMs: run.timeLimitMs,
    stallLimitMs: limits.stallMsMax,
  });
  if (outcome.exitCode !== 0) {
    throw new FfmpegFailedError(
      outcome.signalName ?? outcome.exitCode ?? "no exit code",
      outcome.stderrTail,
    );
  }
  return outcome.stderrTail;
}

/** `out_time_us` is new; the older `out_time_ms` is in microseconds too, in spite of its name. */
function progressTo(onMediaMs: (mediaMs: number) => void): ConfinedRun["onStdout"] {
  return {
    onStdoutLine: (line) => {
      const [, microseconds] = /^out_time_ms=(\d+)$/.exec(line) ?? [];
      if (microseconds !== undefined) onMediaMs(Number(microseconds) / 1_000);
    },
  };
}
