import { RecorderError } from "../recorder-error.ts";
import type { ErrorFields } from "./upload-messages.ts";

/** What of an error crosses to another thread: its cause may be something that cannot. */
export function fieldsOfError({ code, message, status, problemCode, cause }: RecorderError) {
  const words = cause instanceof Error ? ` (${cause.name}: ${cause.message})` : "";
  return { code, message: message + words, status, problemCode } satisfies ErrorFields;
}

/** The error again. */
export function errorOfFields(fields: ErrorFields): RecorderError {
  return new RecorderError(fields.code, fields.message, {
    status: fields.status ?? undefined,
    problemCode: fields.problemCode ?? undefined,
  });
}
