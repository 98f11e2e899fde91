import { RecorderError } from "../recorder-error.ts";
import type { UploadRetry } from "../recorder.d.ts";
import type { Problem, ProblemCode } from "../../../src/contract/problem.ts";
import { parseRetryAfter } from "./backoff.ts";

/** What became of a request. */
export type Outcome =
  /** The server has it on stable storage. */
  | { readonly kind: "acknowledged" }
  | RetryOutcome
  /** It will never succeed. `isAboutChunks`: other chunks, or segments, may all the same. */
  | { readonly kind: "refused"; readonly error: RecorderError; readonly isAboutChunks: boolean }
  /** The caller's signal ended it. */
  | { readonly kind: "aborted" };

/** The same request may succeed later. */
export interface RetryOutcome extends Pick<UploadRetry, "reason" | "cause" | "status"> {
  readonly kind: "retry";
  /** What the server asked to wait. */
  readonly retryAfterMs: number | null;
  /**
   * No answer came, but the server answers other requests: something in between may refuse the
   * body's size without a word.
   */
  readonly mayBeSize: boolean;
  /** The server itself said it. */
  readonly isServersOwn: boolean;
}

/** Codes of the server that no waiting and no operator can mend for this request. */
const FINAL_CODES: Partial<Record<ProblemCode, "run" | "chunks">> = {
  "recording-not-found": "run",
  "recording-closed": "run",
  "invalid-request": "run",
  "segment-not-found": "chunks",
  "chunk-conflict": "chunks",
  "chunk-malformed": "chunks",
};

/** What the server's other codes need; a code that is not here is taken by its status. */
const PASSING_CODES: Partial<Record<string, UploadRetry["cause"]>> = {
  "unreadable-body": "damaged-on-the-way",
  "chunk-hash-mismatch": "damaged-on-the-way",
  "foreign-origin": "origin-refused",
};

/** A failure that passes. */
export function retry(
  cause: UploadRetry["cause"],
  reason: string,
  details: Partial<
    Pick<RetryOutcome, "status" | "retryAfterMs" | "mayBeSize" | "isServersOwn">
  > = {},
): RetryOutcome {
  const { status = null, retryAfterMs = null, mayBeSize = false, isServersOwn = false } = details;
  return { kind: "retry", cause, reason, status, retryAfterMs, mayBeSize, isServersOwn };
}

/**
 * What an answer means that is no acknowledgement. Only the server's own words are final, and only
 * those that nobody can mend while the call runs: anything else is said by something in between, or
 * about it, and passes.
 *
 * @param body parsed; undefined when it is no JSON
 */
export function meaningOf(response: Response, body: unknown, nowMs: number): Outcome {
  const { status } = response;
  if (response.type === "opaqueredirect" || (status >= 300 && status < 400)) {
    const reason =
      "Something between this page and the server answers with a redirect, as a sign-in page does.";
    return retry("sign-in-needed", reason, { status: status === 0 ? null : status });
  }
  const retryAfterMs = parseRetryAfter(response.headers.get("Retry-After"), nowMs);
  const problem = problemIn(body, status);
  if (problem === null) {
    return retry(causeOfStatus(status), reasonOfStatus(status), { status, retryAfterMs });
  }
  const { code, detail } = problem;
  const scope = isFinal(code) ? FINAL_CODES[code] : undefined;
  if (scope === undefined || causeOfStatus(status) === "server-busy") {
    const cause = PASSING_CODES[code] ?? causeOfStatus(status);
    return retry(cause, detail, { status, retryAfterMs, isServersOwn: true });
  }
  const errorCode =
    code === "recording-closed" || code === "recording-not-found" ? code : "rejected";
  const error = new RecorderError(errorCode, detail, { status, problemCode: code });
  return { kind: "refused", error, isAboutChunks: scope === "chunks" };
}

/** Whether the server itself said it, whatever it is. */
export function isProblemOfServer(body: unknown, status: number): boolean {
  return problemIn(body, status) !== null;
}

function causeOfStatus(status: number): UploadRetry["cause"] {
  switch (status) {
    case 401:
    case 403:
    case 407:
    // Network Authentication Required (RFC 6585, 6), of a hotel's network for example.
    case 511:
      return "sign-in-needed";
    case 413:
      return "body-too-large";
    // Request Timeout, Too Early, Too Many Requests.
    case 408:
    case 425:
    case 429:
      return "server-busy";
    default:
      return status >= 500 ? "server-busy" : "not-the-server";
  }
}

function reasonOfStatus(status: number): string {
  const said = `with status ${status}`;
  switch (causeOfStatus(status)) {
    case "sign-in-needed":
      return `Something between this page and the server wants a sign-in (it answers ${said}).`;
    case "body-too-large":
      return `Something between this page and the server refuses requests of this size (it answers ${said}).`;
    case "server-busy":
      return `The server, or something in front of it, is busy or away (it answers ${said}).`;
    default:
      return `Something else than a Track Capture server answers (${said}).`;
  }
}

function isFinal(code: string): code is ProblemCode {
  return Object.hasOwn(FINAL_CODES, code);
}

/** The body as a problem of the contract; null when it is none. Its code may be a newer server's. */
function problemIn(
  body: unknown,
  status: number,
): (Omit<Problem, "code"> & { readonly code: string }) | null {
  return isProblem(body) && body.status === status ? body : null;
}

function isProblem(body: unknown): body is Omit<Problem, "code"> & { readonly code: string } {
  if (typeof body !== "object" || body === null) return false;
  return (["type", "title", "code", "detail"] as const).every(
    (name) => typeof Reflect.get(body, name) === "string",
  );
}
