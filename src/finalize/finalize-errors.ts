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

/** What ffmpeg wrote is not what the chunks hold; it is not published. */
export class MediaMismatchError extends FinalizeError {
  readonly isPermanent = true;
  readonly findings: readonly string[];
  constructor(findings: readonly string[]) {
    super(`The MP4 does not hold what the chunks hold: ${findings.join("; ")}.`);
    this.findings = findings;
  }
}

/** ffmpeg ended with a failure, which may pass: a full disk, a kill, too little memory. */
export class FfmpegFailedError extends FinalizeError {
  readonly isPermanent = false;
  readonly stderrTail: string;
  constructor(how: string, stderrTail: string) {
    const lastLine = stderrTail.trim().split("\n").at(-1) ?? "";
    super(`ffmpeg ended with ${how}${lastLine === "" ? "" : `: ${lastLine}`}.`);
    this.stderrTail = stderrTail;
  }
}
