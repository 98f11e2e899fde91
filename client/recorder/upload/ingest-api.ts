import {
  isProblemOfServer,
  meaningOf,
  retry,
  type Outcome,
  type RetryOutcome,
} from "./answer-meaning.ts";
import { describeSilence } from "./describe-silence.ts";
import type { LentChunk, SegmentAddress } from "../spool/chunk-spool.ts";
import { RecorderError } from "../recorder-error.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { Deadline } from "./deadline.ts";
import { sha256Hex } from "./sha256-hex.ts";
import { TransferEstimate } from "./transfer-estimate.ts";
import type { ChunkUploadResult } from "../../../src/contract/chunks.ts";
import type { Mark } from "../../../src/contract/marks.ts";
import type { ServerTime } from "../../../src/contract/time.ts";

/** How long the server's clock may take to answer. */
const TIME_TIMEOUT_MS = 10_000;

/** How long chunks may wait for the server's clock. Their own request finds out what is wrong. */
const STAMP_TIMEOUT_MS = 2_000;

/** How long it may take to find out why no answer came. */
const LOOK_TIMEOUT_MS = 1_500;

/**
 * Who answers in the server's place: the server itself; something that this page may not read, such
 * as a proxy that sends no CORS headers; something else, with what it said; nobody.
 */
type Reach =
  | { readonly kind: "server" | "unreadable" | "nobody" }
  | { readonly kind: "other"; readonly outcome: RetryOutcome };

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
  /** Of the page; null when it is unknown. */
  readonly pageOrigin?: string | null;
  /** What the browser says of the page's permission to reach a local server. */
  readonly localNetworkPermission?: () => Promise<PermissionState | null>;
}

/** The requests that a recorder makes. None of them rejects for what a network or server does. */
export class IngestApi {
  readonly #parts: IngestApiParts;
  readonly #estimate = new TransferEstimate();
  /**
   * A request that is redirected to another page than the server's must be told from one that fails.
   * A redirect that does lead to the server, such as to HTTPS, is followed once that is known.
   */
  #redirect: "manual" | "follow" = "manual";
  #hasAcknowledged = false;

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
      const { body } = await this.#time(deadline.signal, this.#redirect);
      const nowMs = timeIn(body);
      if (nowMs === null) throw new TypeError("The answer tells no time");
      return nowMs;
    } finally {
      deadline.clear();
    }
  }

  /** Whether the server itself answers, and not only something in its place. Never rejects. */
  async isThere(signal: AbortSignal): Promise<boolean> {
    const { kind } = await this.#reach(signal);
    return kind === "server";
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
    const redirect = this.#redirect;
    let nextUrl = url;
    let failure: unknown;
    try {
      const response = await fetch(url, {
        ...init,
        method: "POST",
        redirect,
        signal: deadline.signal,
      });
      const body = parseJson(await response.text());
      // Who refuses need not have read the body.
      this.#estimate.answered(response.ok ? bodyBytes : 0, clock.nowMs() - sentMs);
      // A hotel's login page answers 200 too. Only the server's own words are an acknowledgement.
      if (response.ok && isConfirmation(body)) {
        this.#hasAcknowledged = true;
        return { kind: "acknowledged" };
      }
      if (!isProblemOfServer(body, response.status)) this.#redirect = "manual";
      const outcome = meaningOf(response, body, clock.nowMs());
      const isRedirect = outcome.kind === "retry" && outcome.cause === "sign-in-needed";
      if (isMadeGet(response, body)) {
        nextUrl = response.url;
      } else if (redirect === "follow" || !isRedirect) {
        return outcome;
      } else {
        // The sign-in page may never answer.
        if (!(await this.#redirectsToServer(deadline.signal))) return outcome;
        this.#redirect = "follow";
      }
    } catch (cause) {
      if (signal.aborted) return { kind: "aborted" };
      if (deadline.signal.aborted) {
        this.#estimate.timedOut(sentMs, clock.nowMs());
        return retry("no-answer", `No answer within ${Math.round(timeoutMs)} ms.`);
      }
      this.#redirect = "manual";
      failure = cause;
    } finally {
      deadline.clear();
    }
    if (failure === undefined) return this.#post(nextUrl, init, bodyBytes, signal, isConfirmation);
    return this.#whyNoAnswer(failure, signal);
  }

  /** Browsers tell a page nothing of why a request failed: other requests find it out. */
  async #whyNoAnswer(failure: unknown, signal: AbortSignal): Promise<Outcome> {
    const { clock, serverUrl, pageOrigin = null } = this.#parts;
    const deadline = new Deadline(clock, LOOK_TIMEOUT_MS, signal);
    const reach = await this.#reach(deadline.signal);
    deadline.clear();
    if (signal.aborted) return { kind: "aborted" };
    const said = failure instanceof Error ? failure.message : String(failure);
    switch (reach.kind) {
      case "other":
        return reach.outcome;
      case "server":
        return retry(
          "no-answer",
          `The server answers, but not to this upload (${said}): something in between may refuse it.`,
          { mayBeSize: true },
        );
      case "unreadable":
      case "nobody":
        break;
    }
    const isAnswered = reach.kind === "unreadable";
    const permission = isAnswered ? null : await this.#parts.localNetworkPermission?.();
    const { cause, reason } = describeSilence({
      serverUrl,
      pageOrigin,
      isAnswered,
      hasAcknowledged: this.#hasAcknowledged,
      permission: permission ?? null,
      said,
    });
    return retry(cause, reason);
  }

  /** Never rejects. */
  async #reach(signal: AbortSignal): Promise<Reach> {
    try {
      const { response, body } = await this.#time(signal, this.#redirect);
      if (response.ok && timeIn(body) !== null) return { kind: "server" };
      const outcome = meaningOf(response, body, this.#parts.clock.nowMs());
      // Final about something else than this request: it is the server.
      if (outcome.kind !== "retry") return { kind: "server" };
      if (outcome.cause !== "sign-in-needed" || !(await this.#redirectsToServer(signal))) {
        return { kind: "other", outcome };
      }
      return { kind: "server" };
    } catch {
      return { kind: (await this.#isAnswered(signal)) ? "unreadable" : "nobody" };
    }
  }

  async #time(signal: AbortSignal, redirect: "manual" | "follow") {
    const { fetch, serverUrl } = this.#parts;
    const init = { cache: "no-store", redirect, signal } as const;
    const response = await fetch(`${serverUrl}api/time`, init);
    return { response, body: parseJson(await response.text()) };
  }

  /** Whether redirects lead to the server after all, such as from HTTP to HTTPS. */
  async #redirectsToServer(signal: AbortSignal): Promise<boolean> {
    try {
      const { response, body } = await this.#time(signal, "follow");
      return response.redirected && response.ok && timeIn(body) !== null;
    } catch {
      return false;
    }
  }

  /** Whether anything answers: of another origin's answers a page may always know that they came. */
  async #isAnswered(signal: AbortSignal): Promise<boolean> {
    const { fetch, serverUrl, pageOrigin } = this.#parts;
    if (new URL(serverUrl).origin === pageOrigin) return false;
    try {
      await fetch(`${serverUrl}api/time`, { mode: "no-cors", cache: "no-store", signal });
      return true;
    } catch {
      return false;
    }
  }
}

/** The mark, on a clock that is so far ahead. */
function markLater(mark: Mark, offsetMs: number): Mark {
  const atMs = mark.atMs + offsetMs;
  return mark.type === "frozen" ? { ...mark, atMs, toMs: mark.toMs + offsetMs } : { ...mark, atMs };
}

/**
 * Whether a redirect led to the server and made a GET of the POST, as 301 and 302 do (Fetch,
 * HTTP-redirect fetch): the request is to be sent there itself.
 */
function isMadeGet({ redirected, status }: Response, body: unknown): boolean {
  return redirected && status === 405 && isProblemOfServer(body, status);
}

/** What an answer of the route for the time says; null when it is another's. */
function timeIn(body: unknown): number | null {
  const { nowMs }: Partial<ServerTime> = isObject(body) ? body : {};
  return typeof nowMs === "number" ? nowMs : null;
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
