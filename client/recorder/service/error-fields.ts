import { RecorderError } from "../recorder-error.ts";
import type { RecorderErrorCode } from "../recorder.d.ts";
import type { ErrorFields } from "./upload-messages.ts";

/** What of an error crosses to another thread: its cause may be something that cannot. */
export function fieldsOfError({ code, message, status, problemCode, cause }: RecorderError) {
  const words = cause instanceof Error ? ` (${cause.name}: ${cause.message})` : "";
  return { code, message: message + words, status, problemCode } satisfies ErrorFields;
}

/** The error again. */
export function errorOfFields(fields: ErrorFields): RecorderError {
  return new RecorderError(isCode(fields.code) ? fields.code : "rejected", fields.message, {
    status: fields.status ?? undefined,
    problemCode: fields.problemCode ?? undefined,
  });
}

/** Both sides are one delivery; which codes exist is `recorder.d.ts`'s to say. */
function isCode(code: string): code is RecorderErrorCode {
  return code !== "";
}
