import { parseRetryAfter } from "./backoff.ts";
import type { SegmentAddress, SpooledChunk } from "./chunk-spool.ts";
import { RecorderError } from "./recorder-error.ts";
import type { RecorderClock } from "./recorder.d.ts";
import { sha256Hex } from "./sha256-hex.ts";
import type { ChunkUploadResult } from "../../src/contract/chunks.ts";
import type { Problem } from "../../src/contract/problem.ts";
import type { ServerTime } from "../../src/contract/time.ts";

/** How long any request may take, beside the time for its bytes. */
export const REQUEST_TIMEOUT_MS = 30_000;

/** Slowest uplink that is waited for: a request of 8 MiB may take nine minutes. */
const SLOWEST_UPLINK_BYTES_PER_MS = 16;

/** What became of a request. */
export type Outcome =
  /** The server has it on stable storage. */
  | { readonly kind: "acknowledged" }
  /** The same request may succeed later. `retryAfterMs` is what the server asked to wait. */
  | { readonly kind: "retry"; readonly reason: string; readonly retryAfterMs: number | null }
  /** It will never succeed. `isAboutChunks`: other chunks may all the same. */
  | { readonly kind: "refused"; readonly error: RecorderError; readonly isAboutChunks: boolean }
  /** The caller's signal ended it. */
  | { readonly kind: "aborted" };

/** What the API is made of. */
export interface IngestApiParts {
  /** Absolute, with a slash at its end. */
  readonly serverUrl: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly clock: RecorderClock;
  /** The server's time at an instant of this computer's clock; null when it is not known. */
  readonly toServerMs: (localMs: number) => number | null;
}

/** The requests that a recorder makes. None of them rejects for what a network or server does. */
export class IngestApi {
  readonly #parts: IngestApiParts;

  constructor(parts: IngestApiParts) {
    this.#parts = parts;
  }

  /** Uploads consecutive chunks of one segment in one request; at least one. All or none is kept. */
  async sendChunks(chunks: readonly SpooledChunk[], signal: AbortSignal): Promise<Outcome> {
    const [first] = chunks;
    if (first === undefined) throw new RangeError("sendChunks needs at least one chunk");
    let form: FormData;
    try {
      form = await this.#formOf(first, chunks);
    } catch (cause) {
      // A browser can lose a blob that it had moved to the disk (NotReadableError); a form of it
      // would fail as if the network had.
      const error = new RecorderError("spool-failed", "A recorded chunk cannot be read.", {
        cause,
      });
      return { kind: "refused", error, isAboutChunks: true };
    }
    const bytes = chunks.reduce((sum, { payload }) => sum + payload.size, 0);
    const url = this.#recordingUrl(first.recordingId, "chunks");
    return this.#post(url, { body: form }, bytes, signal, (body) => acknowledgesAll(body, chunks));
  }

  /** Tells that the segment is complete with so many chunks. */
  async endSegment(
    { recordingId, segmentId }: SegmentAddress,
    chunkCount: number,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const url = this.#recordingUrl(recordingId, `segments/${encodeURIComponent(segmentId)}/end`);
    const init = {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ chunkCount }),
    };
    return this.#post(url, init, 0, signal, (body) => isObject(body) && body["ended"] === true);
  }

  /** The server's clock, in milliseconds since the epoch. Rejects when it cannot be had. */
  async serverTimeMs(signal: AbortSignal): Promise<number> {
    const deadline = new Deadline(this.#parts.clock, REQUEST_TIMEOUT_MS, signal);
    try {
      const response = await this.#parts.fetch(`${this.#parts.serverUrl}api/time`, {
        cache: "no-store",
        signal: deadline.signal,
      });
      const body: Partial<ServerTime> = await response.json();
      if (typeof body.nowMs !== "number") throw new TypeError("The answer tells no time");
      return body.nowMs;
    } finally {
      deadline.clear();
    }
  }

  #recordingUrl(recordingId: string, path: string): string {
    return `${this.#parts.serverUrl}api/recordings/${encodeURIComponent(recordingId)}/${path}`;
  }

  async #formOf(first: SpooledChunk, chunks: readonly SpooledChunk[]): Promise<FormData> {
    const form = new FormData();
    form.append("participantId", first.participantId);
    form.append("trackId", first.trackId);
    form.append("segmentId", first.segmentId);
    form.append("sequence", String(first.sequence));
    form.append("mimeType", first.mimeType);
    for (const [i, { payload, beganAtMs }] of chunks.entries()) {
      form.append(`chunk_${i}`, payload);
      const capturedAtMs = this.#parts.toServerMs(beganAtMs);
      if (capturedAtMs !== null) form.append(`capturedAt_${i}`, String(capturedAtMs));
      const sha256 = await sha256Hex(payload);
      if (sha256 !== null) form.append(`sha256_${i}`, sha256);
    }
    return form;
  }

  async #post(
    url: string,
    init: RequestInit,
    bodyBytes: number,
    signal: AbortSignal,
    isConfirmation: (body: unknown) => boolean,
  ): Promise<Outcome> {
    const timeoutMs = REQUEST_TIMEOUT_MS + bodyBytes / SLOWEST_UPLINK_BYTES_PER_MS;
    const deadline = new Deadline(this.#parts.clock, timeoutMs, signal);
    try {
      const response = await this.#parts.fetch(url, {
        ...init,
        method: "POST",
        signal: deadline.signal,
      });
      const body = parseJson(await response.text());
      if (!response.ok) return outcomeOfError(response, body, this.#parts.clock.nowMs());
      // A hotel's login page answers 200 too. Only the server's own words are an acknowledgement.
      if (isConfirmation(body)) return { kind: "acknowledged" };
      return retry(`${url} did not answer as a Track Capture server does.`);
    } catch (cause) {
      if (signal.aborted) return { kind: "aborted" };
      if (deadline.signal.aborted) return retry(`No answer within ${timeoutMs} ms.`);
      return retry(cause instanceof Error ? cause.message : String(cause));
    } finally {
      deadline.clear();
    }
  }
}

/** A signal that fires with another one, or when the time is over. */
class Deadline {
  readonly #controller = new AbortController();
  readonly #cancelTimer: () => void;
  readonly #outer: AbortSignal;
  readonly #abort = (): void => this.#controller.abort();

  constructor(clock: RecorderClock, timeoutMs: number, outer: AbortSignal) {
    this.#outer = outer;
    this.#cancelTimer = clock.after(timeoutMs, this.#abort);
    if (outer.aborted) this.#abort();
    else outer.addEventListener("abort", this.#abort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  clear(): void {
    this.#cancelTimer();
    this.#outer.removeEventListener("abort", this.#abort);
  }
}

function retry(reason: string, retryAfterMs: number | null = null): Outcome {
  return { kind: "retry", reason, retryAfterMs };
}

/** What an answer of status 300 and above means. */
function outcomeOfError(response: Response, body: unknown, nowMs: number): Outcome {
  const { status } = response;
  const problem: Partial<Problem> = isObject(body) ? body : {};
  const problemCode = problem.code;
  const detail = problem.detail ?? problem.title ?? `The server answered with status ${status}.`;
  const mayPass =
    status >= 500 ||
    // 408 Request Timeout, 425 Too Early, 429 Too Many Requests.
    status === 408 ||
    status === 425 ||
    status === 429 ||
    // A body that did not arrive whole, such as through a proxy whose uplink broke.
    problemCode === "unreadable-body";
  if (mayPass) {
    return retry(detail, parseRetryAfter(response.headers.get("Retry-After"), nowMs));
  }
  const isAboutChunks =
    // A proxy's limit of the body, too.
    status === 413 ||
    problemCode === "chunk-conflict" ||
    problemCode === "chunk-malformed" ||
    problemCode === "chunk-hash-mismatch" ||
    problemCode === "chunk-too-large";
  const code =
    status === 410
      ? "recording-closed"
      : problemCode === "recording-not-found"
        ? "recording-not-found"
        : "rejected";
  const error = new RecorderError(code, detail, { status, problemCode });
  return { kind: "refused", error, isAboutChunks };
}

function acknowledgesAll(body: unknown, chunks: readonly SpooledChunk[]): boolean {
  const answer: Partial<ChunkUploadResult> = isObject(body) ? body : {};
  if (!Array.isArray(answer.chunks)) return false;
  const sequences = new Set(answer.chunks.map(({ sequence }) => sequence));
  return chunks.every(({ sequence }) => sequences.has(sequence));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Undefined for text that is no JSON, such as a proxy's error page. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
