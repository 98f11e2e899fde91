import { FfmpegFailedError, FinalizeError } from "../finalize/finalize-errors.ts";
import { AppError } from "../recording/errors.ts";
import { storageFault, systemErrorCode } from "../storage/storage-fault.ts";

/**
 * Why a run failed, as a sentence for the operator.
 *
 * @param product what it was to make: "the MP4"
 */
export function reasonOf(error: unknown, product: string): string {
  if (error instanceof FfmpegFailedError && saysFull(error.stderrTail)) {
    return `No space is left to make ${product} (${error.message.replace(/\.$/, "")}).`;
  }
  if (error instanceof AppError) return error.message;
  const code = systemErrorCode(error);
  // Codes that begin so are of a program's mistakes, not of the system (Node.js, Errors).
  if (code !== undefined && !code.startsWith("ERR_")) {
    return storageFault(error, `make ${product}`).message;
  }
  // What was not raised on purpose says nothing to an operator; the log has all of it.
  return "It failed for an internal reason, which is in the server's log.";
}

/** Whether the same run would fail the same way again. */
export function isPermanentFailure(error: unknown): boolean {
  return error instanceof FinalizeError && error.isPermanent;
}

/** The texts of ENOSPC and EDQUOT (strerror(3)), in which ffmpeg tells of them. */
function saysFull(stderrTail: string): boolean {
  return /No space left on device|Disk quota exceeded/.test(stderrTail);
}
