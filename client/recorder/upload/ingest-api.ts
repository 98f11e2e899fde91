import { parseRetryAfter } from "./backoff.ts";
import type { LentChunk, SegmentAddress } from "../spool/chunk-spool.ts";
import { RecorderError } from "../recorder-error.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { Deadline } from "./deadline.ts";
import { sha256Hex } from "./sha256-hex.ts";
import { TransferEstimate } from "./transfer-estimate.ts";
import type { ChunkUploadResult } from "../../../src/contract/chunks.ts";
import type { Mark } from "../../../src/contract/marks.ts";
import type { Problem } from "../../../src/contract/problem.ts";
import type { ServerTime } from "../../../src/contract/time.ts";

/** How long the server's clock may take to answer. */
const TIME_TIMEOUT_MS = 10_000;

/** How long chunks may wait for the server's clock. Their own request finds out what is wrong. */
const STAMP_TIMEOUT_MS = 2_000;

/** What became of a request. */
export type Outcome =
  /** The server has it on stable storage. */
  | { readonly kind: "acknowledged" }
  | RetryOutcome
  /** It will never succeed. `isAboutChunks`: other chunks may all the same. */
  | { readonly kind: "refused"; readonly error: RecorderError; readonly isAboutChunks: boolean }
  /** The caller's signal ended it. */
  | { readonly kind: "aborted" };

/** The same request may succeed later. */
export interface RetryOutcome {
  readonly kind: "retry";
  readonly reason: string;
  /** Of the answer; null when none came. */
  readonly status: number | null;
  /** What the server asked to wait. */
  readonly retryAfterMs: number | null;
}

/** What the API is made of. */
export interface IngestApiParts {
  /** Absolute, with a slash at its end. */
  readonly serverUrl: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly clock: RecorderClock;
  /**
   * What the server's clock is ahead of this computer's, in milliseconds; null if it cannot be known
   * before the signal fires.
   */
  readonly clockOffsetMs: (signal: AbortSignal) => number | null | Promise<number | null>;
}

/** The requests that a recorder makes. None of them rejects for what a network or server does. */
export class IngestApi {
  readonly #parts: IngestApiParts;
  readonly #estimate = new TransferEstimate();

  constructor(parts: IngestApiParts) {
    this.#parts = parts;
  }

  /** Uploads consecutive chunks of one segment in one request; at least one. All or none is kept. */
  async sendChunks(chunks: readonly LentChunk[], signal: AbortSignal): Promise<Outcome> {
    const [first] = chunks;
    if (first === undefined) throw new RangeError("sendChunks needs at least one chunk");
    let form: FormData;
    try {
      form = await this.#formOf(first, chunks, signal);
    } catch (cause) {
      // A browser can lose a blob that it had moved to the disk (NotReadableError); a form of it
      // would fail as if the network had.
      const error = new RecorderError("spool-failed", "A recorded chunk cannot be read.", {
        cause,
      });
      return { kind: "refused", error, isAboutChunks: true };
    }
    const bytes = chunks.reduce((sum, { payload }) => sum + (payload?.size ?? 0), 0);
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
    const deadline = new Deadline(this.#parts.clock, TIME_TIMEOUT_MS, signal);
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

  /** Whether the server, or anything in its place, gives an answer of any kind. Never rejects. */
  async reach(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#parts.fetch(`${this.#parts.serverUrl}api/time`, { cache: "no-store", signal });
      return true;
    } catch {
      return false;
    }
  }

  /** Bytes of chunks that one request should carry, as fast as requests are at the moment. */
  batchBytes(bytesMax: number): number {
    return this.#estimate.batchBytes(bytesMax);
  }

  #recordingUrl(recordingId: string, path: string): string {
    return `${this.#parts.serverUrl}api/recordings/${encodeURIComponent(recordingId)}/${path}`;
  }

  async #formOf(
    first: LentChunk,
    chunks: readonly LentChunk[],
    signal: AbortSignal,
  ): Promise<FormData> {
    // A page that was loaded while the server was away has not met its clock; without a time of
    // capture the server could place its segment only by the arrival.
    const isStamped = chunks.every(({ clockOffsetMs }) => clockOffsetMs !== null);
    const knownOffsetMs = isStamped ? null : await this.#clockOffsetMs(signal);
    const form = new FormData();
    form.append("participantId", first.participantId);
    form.append("trackId", first.trackId);
    form.append("segmentId", first.segmentId);
    form.append("sequence", String(first.sequence));
    form.append("mimeType", first.mimeType);
    for (const [i, { payload, beganAtMs, clockOffsetMs, marks }] of chunks.entries()) {
      if (payload === null) throw new TypeError("The bytes are gone");
      form.append(`chunk_${i}`, payload);
      const offsetMs = clockOffsetMs ?? knownOffsetMs;
      if (offsetMs !== null) {
        form.append(`capturedAt_${i}`, String(beganAtMs + offsetMs));
        const stamped = marks.map((mark) => markLater(mark, offsetMs));
        if (stamped.length > 0) form.append(`marks_${i}`, JSON.stringify(stamped));
      }
      const sha256 = await sha256Hex(payload);
      if (sha256 !== null) form.append(`sha256_${i}`, sha256);
    }
    return form;
  }

  async #clockOffsetMs(signal: AbortSignal): Promise<number | null> {
    const { clock, clockOffsetMs } = this.#parts;
    const deadline = new Deadline(clock, STAMP_TIMEOUT_MS, signal);
    try {
      return await clockOffsetMs(deadline.signal);
    } finally {
      deadline.clear();
    }
  }

  async #post(
    url: string,
    init: RequestInit,
    bodyBytes: number,
    signal: AbortSignal,
    isConfirmation: (body: unknown) => boolean,
  ): Promise<Outcome> {
    const { clock, fetch } = this.#parts;
    const timeoutMs = this.#estimate.timeoutMs(bodyBytes);
    const deadline = new Deadline(clock, timeoutMs, signal);
    const sentMs = clock.nowMs();
    try {
      const response = await fetch(url, {
        ...init,
        method: "POST",
        signal: deadline.signal,
      });
      const body = parseJson(await response.text());
      // Who refuses need not have read the body.
      this.#estimate.answered(response.ok ? bodyBytes : 0, clock.nowMs() - sentMs);
      if (!response.ok) return outcomeOfError(response, body, clock.nowMs());
      // A hotel's login page answers 200 too. Only the server's own words are an acknowledgement.
      if (isConfirmation(body)) return { kind: "acknowledged" };
      return retry(`${url} did not answer as a Track Capture server does.`, response.status);
    } catch (cause) {
      if (signal.aborted) return { kind: "aborted" };
      if (deadline.signal.aborted) {
        this.#estimate.timedOut(sentMs, clock.nowMs());
        return retry(`No answer within ${Math.round(timeoutMs)} ms.`, null);
      }
      return retry(cause instanceof Error ? cause.message : String(cause), null);
    } finally {
      deadline.clear();
    }
  }
}

/** The mark, on a clock that is so far ahead. */
function markLater(mark: Mark, offsetMs: number): Mark {
  const atMs = mark.atMs + offsetMs;
  return mark.type === "frozen" ? { ...mark, atMs, toMs: mark.toMs + offsetMs } : { ...mark, atMs };
}

function retry(
  reason: string,
  status: number | null,
  retryAfterMs: number | null = null,
): RetryOutcome {
  return { kind: "retry", reason, status, retryAfterMs };
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
    problemCode === "unreadable-body" ||
    // One that changed on its way: the hash is that of what was sent.
    problemCode === "chunk-hash-mismatch";
  if (mayPass) {
    return retry(detail, status, parseRetryAfter(response.headers.get("Retry-After"), nowMs));
  }
  const isAboutChunks =
    // A proxy's limit of the body, too.
    status === 413 ||
    problemCode === "chunk-conflict" ||
    problemCode === "chunk-malformed" ||
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

function acknowledgesAll(body: unknown, chunks: readonly LentChunk[]): boolean {
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
