import type { RecorderError as PublicRecorderError, RecorderErrorCode } from "./recorder.d.ts";

/** Every code, for what comes from another thread. The compiler sees to it that none is missing. */
export const RECORDER_ERROR_CODES = Object.keys({
  "invalid-option": true,
  "already-recording": true,
  "not-supported": true,
  "recorder-failed": true,
  "recording-not-found": true,
  "recording-closed": true,
  rejected: true,
  "spool-failed": true,
  "spool-full": true,
  stopped: true,
} satisfies Record<RecorderErrorCode, true>);

/** The only kind of error that the recorder throws, rejects with or reports. Branch on `code`. */
export class RecorderError extends Error implements PublicRecorderError {
  override readonly name: string = "RecorderError";
  readonly code: RecorderErrorCode;
  /** HTTP status of the answer that refused; null when no answer did. */
  readonly status: number | null;
  /** `code` of that answer's problem body; null when it had none. */
  readonly problemCode: string | null;

  constructor(
    code: RecorderErrorCode,
    message: string,
    details: {
      readonly status?: number | undefined;
      readonly problemCode?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.status = details.status ?? null;
    this.problemCode = details.problemCode ?? null;
  }
}
