import type { RecorderClock } from "../recorder.d.ts";

/** nginx refuses larger bodies by default (`client_max_body_size 1m`). No request needs more. */
export const BODY_BYTES_MAX = 1_048_576;

/** A smaller body is not refused for its size. */
export const BODY_BYTES_MIN = 32_768;

/** Of a body, kept for the form around a chunk with as many marks as it may have. */
export const FORM_BYTES_MAX = 16_384;

/** From a refusal to the first larger body. */
export const GROW_AFTER_MS = 30_000;

/** Longest wait for that, after larger bodies were refused again and again. */
const GROW_AFTER_MS_MAX = 600_000;

/**
 * How large a body may be on the path to the server, as far as answers show it: a proxy's limit can be
 * anything, and change with the network. Bodies shrink by half when one is refused, and grow again
 * after a while.
 *
 * A chunk cannot be split once it is numbered. So from the first refusal on, new chunks are no larger
 * than what the path has been seen to take.
 */
export class BodyLimit {
  readonly #clock: RecorderClock;
  #batchBytes = BODY_BYTES_MAX;
  /** Of new chunks with their form; null while nothing was refused. */
  #chunkBytes: number | null = null;
  #acceptedBytes = 0;
  #refusedBytes = Infinity;
  #growAfterMs = GROW_AFTER_MS;
  #growAtMs = 0;

  constructor(clock: RecorderClock) {
    this.#clock = clock;
  }

  /** Most bytes of a body with several chunks. A single chunk is sent alone, however large it is. */
  get batchBytes(): number {
    return this.#batchBytes;
  }

  /** Most payload bytes of a new chunk; null while nothing was refused. */
  get pieceBytes(): number | null {
    return this.#chunkBytes === null ? null : this.#chunkBytes - FORM_BYTES_MAX;
  }

  /** The largest body that passed since the last refusal of a smaller one; 0 before. */
  get acceptedBytes(): number {
    return this.#acceptedBytes;
  }

  /** Whether a body of this size was refused, and no larger one has passed since. */
  isTooLarge(bytes: number): boolean {
    return bytes >= this.#refusedBytes;
  }

  /** A body passed. */
  accepted(bytes: number): void {
    this.#acceptedBytes = Math.max(this.#acceptedBytes, bytes);
    if (bytes >= this.#refusedBytes) this.#refusedBytes = Infinity;
    if (this.#chunkBytes !== null) {
      this.#chunkBytes = Math.max(this.#chunkBytes, this.#acceptedBytes);
    }
    if (this.#batchBytes >= BODY_BYTES_MAX || this.#clock.nowMs() < this.#growAtMs) return;
    this.#batchBytes = Math.min(BODY_BYTES_MAX, this.#batchBytes * 2);
    this.#growAtMs = this.#clock.nowMs() + this.#growAfterMs;
  }

  /**
   * A body was refused. One of `BODY_BYTES_MIN` or less says nothing of sizes.
   *
   * @param isForSure an answer said that it was for its size; otherwise batches alone shrink
   */
  refused(bytes: number, isForSure: boolean): void {
    if (bytes <= BODY_BYTES_MIN) return;
    const half = Math.max(BODY_BYTES_MIN, Math.floor(bytes / 2));
    this.#batchBytes = Math.min(this.#batchBytes, half);
    this.#growAtMs = this.#clock.nowMs() + this.#growAfterMs;
    this.#growAfterMs = Math.min(GROW_AFTER_MS_MAX, this.#growAfterMs * 2);
    if (!isForSure) return;
    this.#refusedBytes = Math.min(this.#refusedBytes, bytes);
    if (this.#acceptedBytes >= bytes) this.#acceptedBytes = 0;
    this.#chunkBytes = Math.max(BODY_BYTES_MIN, this.#acceptedBytes);
  }
}
