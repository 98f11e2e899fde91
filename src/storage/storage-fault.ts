import { StorageFailedError, StorageFullError } from "../recording/errors.ts";

// EFBIG: the file system's or the process's limit of a file's size; more space would not help, but
// neither does trying again at once.
const FULL_CODES: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** The `code` of a system error such as `ENOENT`; undefined for any other value. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

/**
 * What a failed file operation means to those who are waiting for it. The cause is kept; a fault
 * that was told already is given back as it is.
 *
 * @param doing what was tried, for people: "append to segment ..."
 */
export function storageFault(error: unknown, doing: string): StorageFullError | StorageFailedError {
  if (error instanceof StorageFullError || error instanceof StorageFailedError) return error;
  const code = systemErrorCode(error);
  if (code !== undefined && FULL_CODES.has(code)) {
    return new StorageFullError(`No space is left to ${doing} (${code}).`, { cause: error });
  }
  return new StorageFailedError(`The disk failed to ${doing} (${code ?? String(error)}).`, {
    cause: error,
  });
}
