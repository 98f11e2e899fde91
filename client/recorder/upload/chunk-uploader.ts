import { backoffDelayMs } from "./backoff.ts";
import type {
  ChunkKey,
  ChunkSpool,
  KeptIn,
  LentChunk,
  SegmentAddress,
  SpooledChunk,
  TakeLimits,
} from "../spool/chunk-spool.ts";
import { EventEmitter } from "../event-emitter.ts";
import type { Outcome, RetryOutcome } from "./answer-meaning.ts";
import { BODY_BYTES_MAX, BODY_BYTES_MIN, BodyLimit } from "./body-limit.ts";
import type { IngestApi } from "./ingest-api.ts";
import { ParkedChunks } from "./parked-chunks.ts";
import { PathProbe } from "./path-probe.ts";
import { chunkFormBytes, COMMON_FORM_BYTES_MAX, requestBytes } from "./request-bytes.ts";
import { RecorderError } from "../recorder-error.ts";
import type { RecorderClock, UploadRetry } from "../recorder.d.ts";

/** Most bytes of a request, with its form, that carries several chunks of a backlog. */
export const BATCH_BYTES_MAX = BODY_BYTES_MAX;

/**
 * So many requests in a row that fail without an answer, while the server answers others, are refused for
 * their size. A path that loses half of all requests loses three in a row once in eight times.
 */
const SILENT_FAILURES_MIN = 3;

/** Most chunks of one request; the server takes more. */
export const BATCH_CHUNKS_MAX = 32;

/** What an uploader is made of. */
export interface ChunkUploaderParts {
  readonly spool: ChunkSpool;
  readonly api: Pick<IngestApi, "sendChunks" | "endSegment" | "batchBytes" | "isThere">;
  readonly clock: RecorderClock;
  /** Requests under way at once. */
  readonly parallelUploads: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** What an uploader tells. */
export interface ChunkUploaderEvents {
  /** It is where it says, and waits for its upload. */
  readonly kept: { readonly chunk: SpooledChunk; readonly keptIn: KeptIn };
  /** They are on the server's stable storage, and no longer in the spool. */
  readonly acknowledged: readonly LentChunk[];
  /** The server knows that the segment is complete. */
  readonly ended: { readonly segmentId: string; readonly chunkCount: number };
  readonly retry: UploadRetry;
  /** Chunks that are numbered from now on should have no more payload than this. */
  readonly pieces: { readonly bytesMax: number };
  /**
   * One chunk, or a segment's total, is refused for good. What is refused stays in the spool; the
   * rest is still uploaded.
   */
  readonly refused: { readonly error: RecorderError; readonly segmentId: string };
  /** Nothing is uploaded any more; what is not acknowledged stays in the spool. */
  readonly failed: RecorderError;
}

/** A segment that is not known to be complete on the server. */
interface OpenSegment {
  readonly address: SegmentAddress;
  /** Chunks neither acknowledged nor refused. */
  outstanding: number;
  /** Total, once the recorder has told it. */
  chunkCount: number | null;
}

type Work =
  | { readonly kind: "chunks"; readonly chunks: readonly LentChunk[] }
  | { readonly kind: "end"; readonly segment: OpenSegment; readonly chunkCount: number };

/**
 * Brings chunks to the server and says so when they are there. Failures that may pass are repeated
 * without end; after one, a single request at a time tries the server until one succeeds. When no
 * answer came at all, cheap probes find out when the path is there again, and everything that may
 * hang on a dead connection is sent anew. Requests that are refused for their size become smaller; a
 * single chunk that is too large waits aside. Only an acknowledged chunk leaves the spool.
 */
export class ChunkUploader {
  readonly #parts: ChunkUploaderParts;
  readonly events = new EventEmitter<ChunkUploaderEvents>();
  readonly #segments = new Map<string, OpenSegment>();
  readonly #underWay = new Set<Promise<void>>();
  /** Chunks that the spool is taking. */
  readonly #keeping = new Set<Promise<void>>();
  readonly #attempts = new Set<AbortController>();
  readonly #probe: PathProbe;
  readonly #limit: BodyLimit;
  readonly #parked: ParkedChunks;
  readonly #finished: Promise<RecorderError | null>;
  #resolveFinished: (error: RecorderError | null) => void = () => undefined;
  /** Serialises the looking for work, so that no two look at the spool at once. */
  #turn: Promise<void> = Promise.resolve();
  #failures = 0;
  /** Failures in a row without a word, although the server answers other requests. */
  #silentFailures = 0;
  /** Even small requests are refused as if they were too large. */
  #isSizeDoubtful = false;
  #cancelWait: (() => void) | null = null;
  #chunksMax = BATCH_CHUNKS_MAX;
  #error: RecorderError | null = null;
  #isClosed = false;
  #isFinishing = false;

  constructor(parts: ChunkUploaderParts) {
    this.#parts = parts;
    const { clock, api, random } = parts;
    this.#probe = new PathProbe({
      clock,
      random,
      reach: (signal) => api.isThere(signal),
      onBack: () => this.#onPathBack(),
    });
    this.#limit = new BodyLimit(clock);
    this.#parked = new ParkedChunks({
      clock,
      random,
      onRelease: (chunks) => void this.#giveBack(chunks).then(() => this.#look()),
    });
    this.#finished = new Promise((resolve) => {
      this.#resolveFinished = resolve;
    });
  }

  /** Takes a chunk over, synchronously: it is in the spool's hands when this returns. */
  add(chunk: SpooledChunk): void {
    const segment = this.#segments.get(chunk.segmentId) ?? {
      address: chunk,
      outstanding: 0,
      chunkCount: null,
    };
    segment.outstanding += 1;
    this.#segments.set(chunk.segmentId, segment);
    const kept: Promise<void> = this.#keep(chunk)
      .catch((cause: unknown) => this.#failBySpool(cause))
      .finally(() => this.#keeping.delete(kept));
    this.#keeping.add(kept);
  }

  /** Takes over a segment that is in the spool already, with so many chunks, and with its total. */
  adopt(address: SegmentAddress, outstanding: number, chunkCount: number): void {
    this.#segments.set(address.segmentId, { address, outstanding, chunkCount });
    this.#look();
  }

  /**
   * Tells the total of a segment's chunks, after the last `add`; the server is told once all of them
   * are there. A segment without chunks is not known to the server, and it is told nothing.
   */
  endSegment(segmentId: string, chunkCount: number): void {
    const segment = this.#segments.get(segmentId);
    if (segment === undefined) return;
    segment.chunkCount = chunkCount;
    this.#parts.spool
      .endSegment(segmentId, chunkCount)
      .catch((cause: unknown) => this.#failBySpool(cause));
    this.#look();
  }

  /**
   * To be called after the last `endSegment`. Resolves when nothing is left that can be delivered:
   * with null when every chunk is acknowledged and every segment ended, else with the first error
   * that was final. Nothing is put into the spool after that.
   */
  async finish(): Promise<RecorderError | null> {
    this.#isFinishing = true;
    this.#look();
    const error = await this.#finished;
    await Promise.all(this.#keeping);
    return error;
  }

  /** Ends a wait between two attempts at once, for example when the network is back. */
  retryNow(): void {
    this.#parked.releaseAll();
    this.#endWait();
  }

  #endWait(): void {
    this.#cancelWait?.();
    this.#cancelWait = null;
    this.#look();
  }

  /** Ends the upload for good, for this reason, and waits for the requests under way. */
  async stop(reason: RecorderError): Promise<void> {
    this.#close(reason);
    await this.#turn;
    await Promise.all(this.#underWay);
  }

  async #keep(chunk: SpooledChunk): Promise<void> {
    const keptIn = await this.#parts.spool.put(chunk);
    this.events.emit("kept", { chunk, keptIn });
    this.#look();
  }

  #look(): void {
    this.#turn = this.#turn
      .then(() => this.#startWork())
      .catch((cause: unknown) => this.#failBySpool(cause));
  }

  async #startWork(): Promise<void> {
    while (!this.#isClosed && this.#cancelWait === null && this.#underWay.size < this.#lanes()) {
      const work = await this.#nextWork();
      if (work === null) break;
      const done: Promise<void> = this.#do(work)
        .catch((cause: unknown) => this.#failBySpool(cause))
        .finally(() => {
          this.#underWay.delete(done);
          this.#look();
        });
      this.#underWay.add(done);
    }
    if (this.#isFinishing && this.#segments.size === 0 && this.#underWay.size === 0) {
      this.#settle();
    }
  }

  /** While the server fails, one request is enough to find out that it is back. */
  #lanes(): number {
    return this.#failures === 0 ? this.#parts.parallelUploads : 1;
  }

  async #nextWork(): Promise<Work | null> {
    for (const segment of this.#segments.values()) {
      const { chunkCount, outstanding } = segment;
      if (chunkCount !== null && outstanding === 0) {
        // Taken off the list while it is under way, so that it is not found again.
        this.#segments.delete(segment.address.segmentId);
        return { kind: "end", segment, chunkCount };
      }
    }
    const bytesMax = this.#parts.api.batchBytes(this.#limit.batchBytes) - COMMON_FORM_BYTES_MAX;
    const limits: TakeLimits = { bytesMax, chunksMax: this.#chunksMax, besidesOf: chunkFormBytes };
    const chunks = await this.#parts.spool.take(limits);
    return chunks.length === 0 ? null : { kind: "chunks", chunks };
  }

  async #do(work: Work): Promise<void> {
    const attempt = new AbortController();
    // The spool may have been read while the upload was being ended.
    if (this.#isClosed) attempt.abort();
    this.#attempts.add(attempt);
    try {
      await (work.kind === "end"
        ? this.#tellEnd(work.segment, work.chunkCount, attempt.signal)
        : this.#send(work.chunks, attempt.signal));
    } finally {
      this.#attempts.delete(attempt);
    }
  }

  async #tellEnd(segment: OpenSegment, chunkCount: number, signal: AbortSignal): Promise<void> {
    const { api, spool } = this.#parts;
    const { segmentId } = segment.address;
    const outcome = await api.endSegment(segment.address, chunkCount, signal);
    if (outcome.kind === "acknowledged") {
      this.#onSuccess();
      await spool.closeSegment(segmentId);
      this.events.emit("ended", { segmentId, chunkCount });
      return;
    }
    // Whoever finds the segment later need not ask again, when nothing but its end is left.
    if (outcome.kind === "refused") {
      await spool.closeSegment(segmentId);
      // A total that is at odds with what the server has says nothing about the other segments.
      if (outcome.isAboutChunks) return this.#refuse(segmentId, outcome.error);
    }
    this.#segments.set(segmentId, segment);
    this.#onFailure(outcome);
  }

  async #send(chunks: readonly LentChunk[], signal: AbortSignal): Promise<void> {
    const { api, spool } = this.#parts;
    const bytes = requestBytes(chunks);
    const [first] = chunks;
    const isAlone = chunks.length === 1 && first !== undefined;
    if (isAlone && this.#limit.isTooLarge(bytes) && !this.#parked.has(first)) {
      // A smaller one was refused: only later is it worth its way.
      this.#park(first, bytes, null);
      return;
    }
    const outcome = await api.sendChunks(chunks, signal);
    if (outcome.kind === "acknowledged") {
      this.#onSuccess();
      this.#onPassed(bytes);
      await spool.delete(chunks);
      this.#settleChunks(chunks);
      this.events.emit("acknowledged", chunks);
    } else if (outcome.kind === "refused" && outcome.isAboutChunks) {
      await this.#onRefusedChunks(chunks, outcome.error);
    } else if (outcome.kind === "retry" && this.#isTooLarge(chunks, bytes, outcome)) {
      if (isAlone) {
        this.#delay(outcome);
        this.#park(first, bytes, outcome);
        return;
      }
      await spool.giveBack(chunks);
      this.#wait(outcome, bytes);
    } else {
      await spool.giveBack(chunks);
      this.#onFailure(outcome, bytes);
    }
  }

  /**
   * Whether the request failed for its size; makes the next ones smaller then. A proxy's 413 without
   * CORS headers, or a connection that it closes while the body is sent, is no answer for a page: so
   * many such failures in a row count as one, while the server answers other requests.
   */
  #isTooLarge(chunks: readonly LentChunk[], bytes: number, outcome: RetryOutcome): boolean {
    const isSaid = outcome.cause === "body-too-large";
    if (!isSaid && !outcome.mayBeSize) return false;
    // Requests that failed side by side are one failure.
    if (!isSaid && this.#cancelWait === null) this.#silentFailures += 1;
    if (bytes <= BODY_BYTES_MIN) {
      this.#isSizeDoubtful = true;
      return false;
    }
    const [first] = chunks;
    const wasParked = first !== undefined && this.#parked.has(first);
    const isRepeated = this.#silentFailures >= SILENT_FAILURES_MIN && this.#cancelWait === null;
    const isForSure = isSaid || (chunks.length === 1 && (wasParked || isRepeated));
    this.#shrink(bytes, isForSure);
    return isForSure;
  }

  #shrink(bytes: number, isForSure: boolean): void {
    const before = this.#limit.pieceBytes;
    this.#limit.refused(bytes, isForSure);
    this.#tellPieces(before);
  }

  /** A request with so many bytes passed. */
  #onPassed(bytes: number): void {
    const before = this.#limit.pieceBytes;
    this.#limit.accepted(bytes);
    this.#tellPieces(before);
    if (this.#isSizeDoubtful) this.#parked.releaseAll();
    else this.#parked.releaseUpTo(this.#limit.acceptedBytes);
    this.#isSizeDoubtful = false;
  }

  #tellPieces(before: number | null): void {
    const bytesMax = this.#limit.pieceBytes;
    if (bytesMax !== null && bytesMax !== before) this.events.emit("pieces", { bytesMax });
  }

  /** It stays lent until it is released. */
  #park(chunk: LentChunk, bytes: number, outcome: RetryOutcome | null): void {
    if (this.#isClosed) return;
    const { times, delayMs } = this.#parked.park(chunk, bytes);
    const { acceptedBytes } = this.#limit;
    const isServersOwn = outcome?.isServersOwn === true;
    const refuser = isServersOwn ? "The server" : "Something between this page and the server";
    const passed = acceptedBytes > 0 ? `, and took ${acceptedBytes} bytes` : "";
    this.events.emit("retry", {
      failures: times,
      delayMs,
      status: outcome?.status ?? null,
      cause: "body-too-large",
      reason: `${refuser} refuses requests of ${bytes} bytes${passed}. Later ones are made smaller; this one is tried again.`,
      bodyBytes: bytes,
      bodyBytesAccepted: acceptedBytes > 0 ? acceptedBytes : null,
    });
  }

  /** After a spool that failed there is nothing more to give back. */
  async #giveBack(chunks: readonly ChunkKey[]): Promise<void> {
    try {
      await this.#parts.spool.giveBack(chunks);
    } catch (cause) {
      this.#failBySpool(cause);
    }
  }

  /** Of several chunks the one at fault is found by sending each alone, from here on. */
  async #onRefusedChunks(chunks: readonly LentChunk[], error: RecorderError): Promise<void> {
    if (chunks.length > 1) {
      this.#chunksMax = 1;
      await this.#parts.spool.giveBack(chunks);
      return;
    }
    // Without its header, which chunk 0 holds, a segment cannot be played: go no further.
    if (chunks[0]?.sequence === 0) {
      this.#fail(error);
      return;
    }
    // It stays lent, so that it stays in the spool and is not sent again.
    this.#settleChunks(chunks);
    this.#refuse(chunks[0]?.segmentId ?? "", error);
  }

  #refuse(segmentId: string, error: RecorderError): void {
    this.#error ??= error;
    this.events.emit("refused", { error, segmentId });
  }

  #settleChunks(chunks: readonly LentChunk[]): void {
    this.#parked.forget(chunks);
    const segment = this.#segments.get(chunks[0]?.segmentId ?? "");
    if (segment !== undefined) segment.outstanding -= chunks.length;
  }

  /** @param bytes of the request's body, where it had chunks */
  #onFailure(outcome: Exclude<Outcome, { kind: "acknowledged" }>, bytes?: number): void {
    switch (outcome.kind) {
      case "aborted":
        break;
      case "refused":
        this.#fail(outcome.error);
        break;
      case "retry":
        this.#wait(outcome, outcome.cause === "body-too-large" ? bytes : undefined);
        break;
    }
  }

  #onSuccess(): void {
    this.#failures = 0;
    this.#silentFailures = 0;
    this.#probe.stop();
  }

  /** What was sent while the path was down may hang on a connection that is dead. */
  #onPathBack(): void {
    for (const attempt of this.#attempts) attempt.abort();
    this.retryNow();
  }

  /** @param refusedBytes of the request's body, where it was refused for its size */
  #wait(outcome: RetryOutcome, refusedBytes: number | null = null): void {
    const delayMs = this.#delay(outcome);
    if (delayMs === null) return;
    const { acceptedBytes } = this.#limit;
    this.events.emit("retry", {
      failures: this.#failures,
      delayMs,
      status: outcome.status,
      cause: refusedBytes === null ? outcome.cause : "body-too-large",
      reason: outcome.reason,
      bodyBytes: refusedBytes,
      bodyBytesAccepted: refusedBytes !== null && acceptedBytes > 0 ? acceptedBytes : null,
    });
  }

  /** Lets nothing be sent for a while, of as many milliseconds; null when a wait is under way. */
  #delay(outcome: RetryOutcome): number | null {
    // Requests that failed side by side are one failure of the server.
    if (this.#isClosed || this.#cancelWait !== null) return null;
    const { cause, status, retryAfterMs, isServersOwn, mayBeSize } = outcome;
    // What something in between says passes without a word to this page. The server itself, and
    // whoever counts requests, says how long to wait.
    const isUnannounced = !isServersOwn && status !== 429;
    if (isUnannounced && !mayBeSize && cause !== "body-too-large") this.#probe.start();
    this.#failures += 1;
    const delayMs = backoffDelayMs(this.#failures, retryAfterMs, this.#parts.random);
    this.#cancelWait = this.#parts.clock.after(delayMs, () => this.#endWait());
    return delayMs;
  }

  #failBySpool(cause: unknown): void {
    const message = "What was recorded could not be kept until its upload.";
    this.#fail(new RecorderError("spool-failed", message, { cause }));
  }

  #fail(error: RecorderError): void {
    if (this.#isClosed) return;
    this.#close(error);
    this.events.emit("failed", error);
  }

  #close(error: RecorderError): void {
    if (this.#isClosed) return;
    this.#error ??= error;
    this.#isClosed = true;
    this.#cancelWait?.();
    this.#cancelWait = null;
    this.#probe.stop();
    this.#parked.stop();
    for (const attempt of this.#attempts) attempt.abort();
    this.#settle();
  }

  #settle(): void {
    this.#isClosed = true;
    this.#resolveFinished(this.#error);
  }
}
