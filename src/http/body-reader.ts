import { OverloadedError } from "../recording/errors.ts";
import { isFairShare } from "../recording/fair-share.ts";
import { OVERLOADED_RETRY_AFTER_MS } from "../recording/limits.ts";
import { threadTurns } from "../recording/thread-turns.ts";
import { BodyTimeoutError, BodyTooLargeError, UnreadableBodyError } from "./request-errors.ts";

/** Bounds on request bodies. */
export interface RequestBodyLimits {
  /** Largest body of one request. */
  readonly requestBytesMax: number;
  /**
   * Bytes of all bodies that are in memory at once; more is refused with `overloaded`. Each gets a
   * fair share of it (`isFairShare`): large ones are refused long before small ones are.
   */
  readonly totalRequestBytesMax: number;
  /** How long a body that is read piece by piece may stand still. */
  readonly bodyIdleMsMax: number;
  /** How long a body may take, beside what it takes at `SLOWEST_BODY_BYTES_PER_MS`. */
  readonly bodyMsBase: number;
}

/** Slowest pace at which a body must come, beside `bodyMsBase`: 128 kbit/s, as the client library's. */
const SLOWEST_BODY_BYTES_PER_MS = 16;

/**
 * Largest body that is read in one call, which costs a third of reading it piece by piece: a chunk of
 * a second, or several. What has arrived of it does not show, so it counts with all that it declares.
 */
const WHOLE_BODY_BYTES_MAX = 1024 * 1024;

/**
 * Part of `totalRequestBytesMax` that is kept for such bodies, so that large ones cannot get in their
 * way. When slow ones have used it up, the next are read piece by piece.
 */
const WHOLE_BODIES_SHARE = 1 / 4;

/**
 * A larger body counts with all that it declares while it comes at this pace (8 Mbit/s), so that no more
 * are begun than there is room for; one that is slower counts with what has arrived, so that announcing
 * alone takes no room from others.
 */
const RESERVING_BYTES_PER_MS = 1_000;

/** How often that pace is looked at. */
const RESERVATION_CHECK_MS = 1_000;

/** Pieces are copied into blocks: each twice the size of the one before, between these. */
const BLOCK_BYTES_MIN = 16 * 1024;
const BLOCK_BYTES_MAX = 1024 * 1024;

/** After so long the connection's own time limit is put off, which Bun counts from the request's start. */
const PUT_OFF_AFTER_MS = 1_000;

/**
 * Reads request bodies into memory, within limits of bytes and of time. A body of which nothing comes
 * any more, or that comes too slowly, is given up.
 */
export class BodyReader {
  readonly #limits: RequestBodyLimits;
  readonly #putOffIdleTimeout: (request: Request) => void;
  readonly #wholeBytesMax: number;
  #wholeBytes = 0;
  readonly #pool: BodyPool;

  /**
   * @param putOffIdleTimeout lets the connection of a request be for as long again as it may be idle.
   * Bun does not count bytes of the body as a sign of life.
   */
  constructor(limits: RequestBodyLimits, putOffIdleTimeout: (request: Request) => void) {
    this.#limits = limits;
    this.#putOffIdleTimeout = putOffIdleTimeout;
    this.#wholeBytesMax = limits.totalRequestBytesMax * WHOLE_BODIES_SHARE;
    this.#pool = new BodyPool(limits.totalRequestBytesMax - this.#wholeBytesMax);
  }

  /**
   * Reads a body and gives it to `use`; its bytes count as held until `use` is done.
   *
   * @param bytesMax a limit of the route's own, beside that of all bodies
   * @throws UnreadableBodyError, BodyTooLargeError, BodyTimeoutError, OverloadedError; what `use` throws
   */
  async read<Result>(
    request: Request,
    use: (body: Uint8Array) => Promise<Result>,
    bytesMax = Infinity,
  ): Promise<Result> {
    const declaredBytes = declaredBytesOf(request);
    const requestBytesMax = Math.min(bytesMax, this.#limits.requestBytesMax);
    // What is read for viewers waits until it is acknowledged.
    using _upload = threadTurns.upload();
    if (declaredBytes === undefined) {
      return await this.#readPieces(request, undefined, requestBytesMax, use);
    }
    if (declaredBytes > requestBytesMax) throw new BodyTooLargeError(requestBytesMax);
    return await (declaredBytes <= WHOLE_BODY_BYTES_MAX &&
    this.#wholeBytes + declaredBytes <= this.#wholeBytesMax
      ? this.#readWhole(request, declaredBytes, use)
      : this.#readPieces(request, declaredBytes, requestBytesMax, use));
  }

  async #readWhole<Result>(
    request: Request,
    declaredBytes: number,
    use: (body: Uint8Array) => Promise<Result>,
  ): Promise<Result> {
    this.#wholeBytes += declaredBytes;
    try {
      // HTTP's framing keeps a body from being longer than it declares.
      const paceMs = declaredBytes / SLOWEST_BODY_BYTES_PER_MS;
      const body = await this.#withinTime(request, this.#limits.bodyMsBase + paceMs);
      return await use(body);
    } finally {
      this.#wholeBytes -= declaredBytes;
    }
  }

  async #withinTime(request: Request, limitMs: number): Promise<Uint8Array> {
    const startedAtMs = performance.now();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new BodyTimeoutError(limitMs)), limitMs);
    try {
      // The answer closes the connection, which ends a read that was late.
      return await Promise.race([readable(request.bytes()), late.promise]);
    } finally {
      clearTimeout(timer);
      if (performance.now() - startedAtMs > PUT_OFF_AFTER_MS) this.#putOffIdleTimeout(request);
    }
  }

  async #readPieces<Result>(
    request: Request,
    declaredBytes: number | undefined,
    requestBytesMax: number,
    use: (body: Uint8Array) => Promise<Result>,
  ): Promise<Result> {
    using place = this.#pool.take(declaredBytes ?? 0);
    const body = new CollectedBytes(declaredBytes);
    const reader = (request.body ?? new Blob().stream()).getReader();
    const deadline = new Deadline(this.#limits, () => giveUp(reader));
    let putOffAtMs = performance.now();
    try {
      for (;;) {
        const { done, value } = await readable(reader.read());
        deadline.throwIfOver();
        if (done) break;
        if (body.length + value.length > requestBytesMax) {
          throw new BodyTooLargeError(requestBytesMax);
        }
        place.arrived(body.length + value.length);
        body.append(value);
        deadline.arrived(body.length);
        if (performance.now() - putOffAtMs > PUT_OFF_AFTER_MS) {
          putOffAtMs = performance.now();
          this.#putOffIdleTimeout(request);
        }
      }
      deadline.stop();
      return await use(body.bytes());
    } finally {
      deadline.stop();
      giveUp(reader);
    }
  }
}

/** Content-Length; undefined when there is none, as with chunked transfer. */
function declaredBytesOf(request: Request): number | undefined {
  const header = request.headers.get("content-length");
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/** The room for bodies that are read piece by piece, of which each gets a fair share (`isFairShare`). */
class BodyPool {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * A place for a body that declares so many bytes, to be disposed of in the end.
   *
   * @throws OverloadedError
   */
  take(declaredBytes: number): BodyPlace {
    const place = new BodyPlace(declaredBytes, (hadBytes, askedBytes) => {
      const ofOthers = this.#bytes - hadBytes;
      // One that is alone may be as large as bodies may be at all.
      const mayGrow = ofOthers === 0 || isFairShare(askedBytes, ofOthers, this.#bytesMax);
      if (askedBytes > hadBytes && !mayGrow) {
        throw new OverloadedError(
          "Too many request bodies are being read at once.",
          OVERLOADED_RETRY_AFTER_MS,
        );
      }
      this.#bytes += askedBytes - hadBytes;
    });
    return place;
  }
}

/** What one body takes of the pool. */
class BodyPlace implements Disposable {
  /** Told what the body took and what it is to take; throws when there is no room. */
  readonly #change: (hadBytes: number, askedBytes: number) => void;
  readonly #startedAtMs = performance.now();
  readonly #check: ReturnType<typeof setInterval>;
  #countedBytes = 0;
  #arrivedBytes = 0;

  constructor(declaredBytes: number, change: (hadBytes: number, askedBytes: number) => void) {
    this.#change = change;
    this.#count(declaredBytes);
    this.#check = setInterval(() => this.#endReservationWhenSlow(), RESERVATION_CHECK_MS);
  }

  /** So many bytes of the body are there now. @throws OverloadedError */
  arrived(bytes: number): void {
    if (bytes > this.#countedBytes) this.#count(bytes);
    this.#arrivedBytes = bytes;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#check);
    this.#count(0);
  }

  #endReservationWhenSlow(): void {
    const elapsedMs = performance.now() - this.#startedAtMs;
    const isWhole = this.#arrivedBytes === this.#countedBytes;
    if (isWhole || this.#arrivedBytes >= elapsedMs * RESERVING_BYTES_PER_MS) return;
    clearInterval(this.#check);
    this.#count(this.#arrivedBytes);
  }

  #count(bytes: number): void {
    this.#change(this.#countedBytes, bytes);
    this.#countedBytes = bytes;
  }
}

/** Calls `onOver` once when a body stands still for too long, or falls behind its slowest pace. */
class Deadline {
  readonly #limits: RequestBodyLimits;
  readonly #onOver: () => void;
  readonly #startedAtMs = performance.now();
  #atMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(limits: RequestBodyLimits, onOver: () => void) {
    this.#limits = limits;
    this.#onOver = onOver;
    this.#atMs = this.#deadlineFor(0);
    this.#wait();
  }

  /** So many bytes of the body are there now. */
  arrived(bytes: number): void {
    // Never earlier than before, so the timer need not be set anew: it looks again when it fires.
    this.#atMs = this.#deadlineFor(bytes);
  }

  throwIfOver(): void {
    if (this.#isOver) throw new BodyTimeoutError(performance.now() - this.#startedAtMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #deadlineFor(bytes: number): number {
    const { bodyIdleMsMax, bodyMsBase } = this.#limits;
    return Math.min(
      performance.now() + bodyIdleMsMax,
      this.#startedAtMs + bodyMsBase + bytes / SLOWEST_BODY_BYTES_PER_MS,
    );
  }

  #wait(): void {
    this.#timer = setTimeout(
      () => {
        if (performance.now() < this.#atMs) {
          this.#wait();
          return;
        }
        this.#isOver = true;
        this.#onOver();
      },
      Math.max(1, this.#atMs - performance.now()),
    );
  }
}

/**
 * Bytes that come in pieces of any size, copied together, since a piece of some bytes takes some hundred.
 * Where their number is known they have one block of memory, which the system gives as it is filled.
 */
class CollectedBytes {
  readonly #full: Uint8Array[] = [];
  #block: Uint8Array;
  /** Bytes of `#block` that are used. */
  #used = 0;
  #length = 0;

  /** @param expectedBytes undefined when nobody knows */
  constructor(expectedBytes: number | undefined) {
    this.#block = new Uint8Array(expectedBytes ?? 0);
  }

  get length(): number {
    return this.#length;
  }

  append(piece: Uint8Array): void {
    for (let rest = piece; rest.length > 0;) {
      if (this.#used === this.#block.length) this.#beginBlock(rest.length);
      const part = rest.subarray(0, this.#block.length - this.#used);
      this.#block.set(part, this.#used);
      this.#used += part.length;
      rest = rest.subarray(part.length);
    }
    this.#length += piece.length;
  }

  /** All of them in one; it may share memory with what is collected. */
  bytes(): Uint8Array {
    const last = this.#block.subarray(0, this.#used);
    return this.#full.length === 0 ? last : Buffer.concat([...this.#full, last], this.#length);
  }

  #beginBlock(bytesToCome: number): void {
    if (this.#block.length > 0) this.#full.push(this.#block);
    const wanted = Math.max(2 * this.#block.length, bytesToCome, BLOCK_BYTES_MIN);
    this.#block = new Uint8Array(Math.min(wanted, BLOCK_BYTES_MAX));
    this.#used = 0;
  }
}

/** Ends a read; Bun throws away what still comes of the body, unless the answer closes the connection. */
function giveUp(reader: Pick<ReadableStreamDefaultReader, "cancel">): void {
  // With the connection gone there is nothing to cancel any more, which is what it then tells.
  reader.cancel().catch(() => undefined);
}

/** Reading fails only when the connection does: the sender hung up, or went silent. */
async function readable<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    throw new UnreadableBodyError("The request body is cut off.", { cause });
  }
}
