import { OverloadedError } from "../recording/errors.ts";
import { isFairShare } from "../recording/fair-share.ts";
import { OVERLOADED_RETRY_AFTER_MS } from "../recording/limits.ts";
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
  /** How long a body may stand still. */
  readonly bodyIdleMsMax: number;
  /** How long a body may take, beside what it takes at `SLOWEST_BODY_BYTES_PER_MS`. */
  readonly bodyMsBase: number;
}

/** Slowest pace at which a body must come, beside `bodyMsBase`: 128 kbit/s, as the client library's. */
const SLOWEST_BODY_BYTES_PER_MS = 16;

/**
 * Largest body that is read in one call, which costs a third of reading it piece by piece: a chunk of
 * a second, or several. It does not show what has arrived, so it counts with all that it declares.
 */
const WHOLE_BODY_BYTES_MAX = 1024 * 1024;

/**
 * Part of `totalRequestBytesMax` that such bodies may take together. When slow ones have used it up,
 * all others are read piece by piece and count with what has arrived.
 */
const WHOLE_BODIES_SHARE = 1 / 4;

/** A body of unknown length begins with so much memory and doubles it. */
const FIRST_CAPACITY_BYTES = 64 * 1024;

/** After so long the connection's own time limit is put off, which Bun counts from the request's start. */
const PUT_OFF_AFTER_MS = 1_000;

/**
 * Reads request bodies into memory, within limits of bytes and of time. A body of which nothing comes
 * any more, or that comes too slowly, is given up.
 */
export class BodyReader {
  readonly #limits: RequestBodyLimits;
  readonly #putOffIdleTimeout: (request: Request) => void;
  #heldBytes = 0;
  #wholeBytes = 0;

  /**
   * @param putOffIdleTimeout lets the connection of a request be for as long again as it may be idle.
   * Bun does not count bytes of the body as a sign of life.
   */
  constructor(limits: RequestBodyLimits, putOffIdleTimeout: (request: Request) => void) {
    this.#limits = limits;
    this.#putOffIdleTimeout = putOffIdleTimeout;
  }

  /** Bytes that are in memory now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Reads a body and gives it to `use`; its bytes count as held until `use` is done.
   *
   * @throws UnreadableBodyError, BodyTooLargeError, BodyTimeoutError, OverloadedError; what `use` throws
   */
  async read<Result>(
    request: Request,
    use: (body: Uint8Array) => Promise<Result>,
  ): Promise<Result> {
    const header = request.headers.get("content-length");
    const declaredBytes = header === null ? undefined : Number(header);
    const { requestBytesMax } = this.#limits;
    if (declaredBytes !== undefined && declaredBytes > requestBytesMax) {
      throw new BodyTooLargeError(requestBytesMax);
    }
    if (declaredBytes !== undefined && this.#mayReadWhole(declaredBytes)) {
      return this.#readWhole(request, declaredBytes, use);
    }
    return this.#readPieces(request, use);
  }

  #mayReadWhole(declaredBytes: number): boolean {
    const { totalRequestBytesMax } = this.#limits;
    return (
      declaredBytes <= WHOLE_BODY_BYTES_MAX &&
      this.#wholeBytes + declaredBytes <= totalRequestBytesMax * WHOLE_BODIES_SHARE &&
      isFairShare(declaredBytes, this.#heldBytes, totalRequestBytesMax)
    );
  }

  async #readWhole<Result>(
    request: Request,
    declaredBytes: number,
    use: (body: Uint8Array) => Promise<Result>,
  ): Promise<Result> {
    this.#heldBytes += declaredBytes;
    this.#wholeBytes += declaredBytes;
    try {
      // HTTP's framing keeps a body from being longer than it declares.
      const paceMs = declaredBytes / SLOWEST_BODY_BYTES_PER_MS;
      const limitMs = this.#limits.bodyMsBase + paceMs;
      const body = await this.#withinTime(request, limitMs);
      return await use(body);
    } finally {
      this.#heldBytes -= declaredBytes;
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
    use: (body: Uint8Array) => Promise<Result>,
  ): Promise<Result> {
    const { requestBytesMax } = this.#limits;
    const body = new GrowingBytes();
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
        this.#hold(body.length, value.length);
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
      this.#heldBytes -= body.length;
      giveUp(reader);
    }
  }

  #hold(ownBytes: number, addedBytes: number): void {
    const { totalRequestBytesMax } = this.#limits;
    const asked = ownBytes + addedBytes;
    const ofOthers = this.#heldBytes - ownBytes;
    const isAlone = ofOthers === 0 && asked <= totalRequestBytesMax;
    if (!isAlone && !isFairShare(asked, ofOthers, totalRequestBytesMax)) {
      throw new OverloadedError(
        "Too many request bodies are being read at once.",
        OVERLOADED_RETRY_AFTER_MS,
      );
    }
    this.#heldBytes += addedBytes;
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

/** Bytes that come in pieces, joined: at most twice their size in memory. */
class GrowingBytes {
  #buffer = new Uint8Array();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(piece: Uint8Array): void {
    const needed = this.#length + piece.length;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length, FIRST_CAPACITY_BYTES));
      grown.set(this.bytes());
      this.#buffer = grown;
    }
    this.#buffer.set(piece, this.#length);
    this.#length = needed;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
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
