import { SubprocessTimeoutError } from "../process/subprocess.ts";
import { AppError } from "../recording/errors.ts";

/**
 * A run of a finalization failed. `isPermanent` tells whether the same chunks would fail the same
 * way again: then no retry is made by itself.
 */
export abstract class FinalizeError extends AppError {
  readonly code = "internal";
  abstract readonly isPermanent: boolean;
}

/** The chunks hold nothing that can be made into an MP4, however often it is tried. */
export class MediaUnreadableError extends FinalizeError {
  readonly isPermanent = true;
}

/** A file that one reader cannot read; another one may show something of it. */
export class FileUnreadableError extends MediaUnreadableError {}

/** No whole packet is in the chunks; a decoder may show something of what is there of one. */
export class NothingWholeError extends MediaUnreadableError {}

/** What was written is no file that can be given to anybody. */
export class MediaMismatchError extends FinalizeError {
  readonly isPermanent = true;
  readonly findings: readonly string[];
  constructor(findings: readonly string[]) {
    super(`The MP4 does not hold what the chunks hold: ${findings.join("; ")}.`);
    this.findings = findings;
  }
}

/**
 * ffmpeg ended with a failure. It may pass when the system is its cause: a full disk, a kill, too little
 * memory. What ffmpeg has to complain about in the media it will complain about each time.
 */
export class FfmpegFailedError extends FinalizeError {
  readonly isPermanent: boolean;
  /** ffmpeg's own words: for the log. */
  readonly stderrTail: string;

  /**
   * @param exit code, or the name of the signal that ended it
   * @param stderrTail empty when it said nothing
   */
  constructor(exit: number | string, stderrTail: string) {
    const isPermanent = isOfTheMedia(exit, stderrTail);
    super(
      isPermanent
        ? "ffmpeg could not make anything of the media. What it said is in the server's log."
        : `ffmpeg ended with ${typeof exit === "number" ? `exit code ${exit}` : exit} before it was done. ` +
            "What it said is in the server's log.",
    );
    this.isPermanent = isPermanent;
    this.stderrTail = stderrTail;
  }
}

/** From this exit code on it was a shell that could not run it, or a signal (POSIX, 2.8.2). */
const EXIT_CODE_OF_PROGRAM_MAX = 125;

/** Texts of ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE, EAGAIN, EIO and EROFS (strerror(3)). */
const SYSTEM_WORDS =
  /No space left on device|Disk quota exceeded|Cannot allocate memory|Too many open files|Resource temporarily unavailable|Input\/output error|Read-only file system/;

function isOfTheMedia(exit: number | string, stderrTail: string): boolean {
  if (typeof exit === "string" || exit > EXIT_CODE_OF_PROGRAM_MAX) return false;
  return stderrTail.trim() !== "" && !SYSTEM_WORDS.test(stderrTail);
}

/** ffmpeg came to a good end, but what it wrote has no index that can be read. */
export class NoIndexError extends FinalizeError {
  readonly isPermanent = true;
  constructor() {
    super("What was written has no index.");
  }
}

/** The failure of a run of ffmpeg, be it that its time was over; undefined when it was not ffmpeg that failed. */
export function passingFailure(error: unknown): FfmpegFailedError | undefined {
  if (error instanceof FfmpegFailedError) return error;
  if (!(error instanceof SubprocessTimeoutError)) return undefined;
  return new FfmpegFailedError(`a timeout after ${error.limitMs} ms`, error.stderrTail);
}
