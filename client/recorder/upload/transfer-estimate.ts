/**
 * No request is given up before. A server's busy disk may need a while, but a request on a connection
 * that died must be sent anew within five seconds.
 */
export const TIMEOUT_MS_MIN = 3_000;

/** A request that ever more patience did not help is given up at the latest after this. */
export const TIMEOUT_MS_MAX = 600_000;

/** Beside the time for its bytes, a request has this long. */
const PATIENCE_MS = 2_000;

/** How much slower than the last ones a request may be. */
const SLOWNESS_MAX = 3;

/** Before anything was measured, and the slowest uplink that is believed. */
const SLOWEST_BYTES_PER_MS = 16;

/** Weight of the latest request in the estimate. */
const LATEST_WEIGHT = 0.4;

/** A batch is as large as can be sent in this time: losing one costs no more. */
const BATCH_MS = 4_000;

/** No smaller: where the delay is long, not the path narrow, small batches would keep it empty. */
const BATCH_BYTES_MIN = 262_144;

/** Smaller requests tell of the delay, not of the rate. */
const MEASURED_BYTES_MIN = 16_384;

/**
 * Estimates from the requests that were answered how long the next one may take. A connection that
 * is dead but does not say so is given up after seconds; an uplink that is merely slow is granted
 * twice the time after each request that took too long, so that it succeeds in the end.
 */
export class TransferEstimate {
  #bytesPerMs: number | null = null;
  /** In a row. */
  #timeouts = 0;
  #timedOutAtMs = Number.NEGATIVE_INFINITY;

  /** How long a request with so many bytes may take, in milliseconds. */
  timeoutMs(bytes: number): number {
    const expectedMs = bytes / (this.#bytesPerMs ?? SLOWEST_BYTES_PER_MS);
    const patienceMs = this.#bytesPerMs === null ? expectedMs : expectedMs * SLOWNESS_MAX;
    const timeoutMs = Math.max(TIMEOUT_MS_MIN, PATIENCE_MS + patienceMs);
    return Math.min(TIMEOUT_MS_MAX, timeoutMs * 2 ** this.#timeouts);
  }

  /** Bytes that a batch should have, up to `bytesMax`. */
  batchBytes(bytesMax: number): number {
    if (this.#bytesPerMs === null) return bytesMax;
    return Math.min(bytesMax, Math.max(BATCH_BYTES_MIN, this.#bytesPerMs * BATCH_MS));
  }

  /** A request with so many bytes was answered after so long. */
  answered(bytes: number, durationMs: number): void {
    this.#timeouts = 0;
    if (bytes < MEASURED_BYTES_MIN) return;
    const latest = Math.max(SLOWEST_BYTES_PER_MS, bytes / Math.max(1, durationMs));
    const before = this.#bytesPerMs ?? latest;
    this.#bytesPerMs = before + (latest - before) * LATEST_WEIGHT;
  }

  /** A request was given up. Several that were under way at the same time count once. */
  timedOut(sentMs: number, nowMs: number): void {
    if (sentMs < this.#timedOutAtMs) return;
    this.#timedOutAtMs = nowMs;
    this.#timeouts += 1;
    // Unlike the patience, this outlives the next answer, which may be to a request of a few bytes.
    if (this.#bytesPerMs !== null) {
      this.#bytesPerMs = Math.max(SLOWEST_BYTES_PER_MS, this.#bytesPerMs / 2);
    }
  }
}
