import { AppError } from "../recording/errors.ts";
import { runSubprocess } from "../process/subprocess.ts";

/** Programs of util-linux that bind an ffmpeg process, by path; undefined where they are missing. */
export interface FfmpegConfinement {
  /** Has the kernel bound memory and file size. */
  readonly prlimit: string | undefined;
  /** Has the kernel end ffmpeg when the server dies, however it dies. */
  readonly setpriv: string | undefined;
}

/** A command with its arguments. */
export type Argv = readonly [string, ...string[]];

const DIE_WITH_PARENT = ["--pdeathsig", "KILL"];
const PROBE_MS_MAX = 10_000;

/**
 * Finds out what of it works here: every Linux but the smallest containers has both. Elsewhere
 * `-max_alloc`, the time limit and verification have to do, and an ffmpeg whose server was killed
 * ends with its input: at once when that was a pipe.
 */
export async function findFfmpegConfinement(): Promise<FfmpegConfinement> {
  const [prlimit, setpriv] = [Bun.which("prlimit"), Bun.which("setpriv")];
  // util-linux before 2.33 and BusyBox have a setpriv that does not know the option.
  const works = setpriv !== null && (await succeeds([setpriv, ...DIE_WITH_PARENT, "true"]));
  return { prlimit: prlimit ?? undefined, setpriv: works ? setpriv : undefined };
}

async function succeeds(argv: [string, ...string[]]): Promise<boolean> {
  try {
    const { exitCode } = await runSubprocess({ argv, timeLimitMs: PROBE_MS_MAX });
    return exitCode === 0;
  } catch (error) {
    // It cannot be started, or does not end: then it is of no use, as if it were not there.
    if (error instanceof AppError) return false;
    throw error;
  }
}

/** The command, run within the bounds. Each program replaces the one before: there is one process. */
export function confined(
  argv: Argv,
  { prlimit, setpriv }: FfmpegConfinement,
  bounds: { readonly memoryBytesMax: number; readonly fileBytesMax: number },
): Argv {
  const { memoryBytesMax, fileBytesMax } = bounds;
  const limited: Argv =
    prlimit === undefined
      ? argv
      : [
          prlimit,
          `--as=${memoryBytesMax}`,
          `--fsize=${Math.ceil(fileBytesMax)}`,
          "--core=0",
          ...argv,
        ];
  return setpriv === undefined ? limited : [setpriv, ...DIE_WITH_PARENT, ...limited];
}
