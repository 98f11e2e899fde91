import type { RecorderErrorCode } from "../recorder/recorder.d.ts";

/**
 * Why the recorder could not record or deliver something for good, and what the person can do.
 *
 * @param error - the library's `RecorderError`.
 */
export function describeRecorderProblem(error: {
  readonly code: RecorderErrorCode;
  readonly message: string;
}): string {
  switch (error.code) {
    case "recording-not-found":
    case "recording-closed":
      return "The recording was deleted on the server, which takes nothing more for it. Stop here and start a new recording.";
    case "not-supported":
      return `This browser cannot record these devices (${withoutStop(error.message)}). Choose other devices, or use a current Chrome, Edge, Firefox or Safari.`;
    case "recorder-failed":
      return `The browser's recorder failed (${withoutStop(error.message)}). Start a new recording to go on.`;
    case "rejected":
      return `The server refused a part of the recording for good: ${error.message}`;
    case "spool-failed":
      return "This browser could not keep a part of the recording until it was sent: it may be out of memory. Close other tabs and start a new recording.";
    case "spool-full":
      return "The recording was stopped here: the server was away for so long that this browser has no room for more. What was recorded until then is kept and is still being sent. Keep this page open.";
    default:
      return error.message;
  }
}

/** A sentence's words, to stand within another sentence. */
export function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, "");
}
