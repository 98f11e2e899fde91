import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import { runSubprocess } from "../process/subprocess.ts";
import { type FfmpegTask, ffmpegArguments } from "./ffmpeg-arguments.ts";
import { type FfmpegConfinement, confined } from "./ffmpeg-confinement.ts";
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
  const { ffmpeg, confinement, limits, task, inputBytes } = run;
  const outputBytesMax = OUTPUT_BYTES_BASE + inputBytes * OUTPUT_PER_INPUT_MAX[task.plan.action];
  const outcome = await runSubprocess({
    argv: confined(
      [ffmpeg.path, ...ffmpegArguments({ ...task, abilities: ffmpeg.abilities })],
      confinement,
      {
        memoryBytesMax: limits.ffmpegMemoryBytesMax,
        fileBytesMax: outputBytesMax + task.moovBytes,
      },
    ),
    ...(run.input === undefined ? {} : { input: run.input }),
    onStdoutLine: (line) => {
      const mediaMs = mediaMsOf(line);
      if (mediaMs !== undefined) run.onMediaMs(mediaMs);
    },
    signal: run.signal,
    timeLimitMs: limits.runMsBase + (inputBytes / MEBIBYTE) * limits.runMsPerMib,
    stallLimitMs: limits.stallMsMax,
  });
  if (outcome.exitCode !== 0) {
    throw new FfmpegFailedError(
      outcome.signalName ?? `exit code ${outcome.exitCode}`,
      outcome.stderrTail,
    );
  }
}

/** `out_time_us` is new; the older `out_time_ms` is in microseconds too, in spite of its name. */
function mediaMsOf(line: string): number | undefined {
  const [, microseconds] = /^out_time_ms=(\d+)$/.exec(line) ?? [];
  return microseconds === undefined ? undefined : Number(microseconds) / 1_000;
}
