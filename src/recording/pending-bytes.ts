import { OverloadedError } from "./errors.ts";
import { OVERLOADED_RETRY_AFTER_MS, type RecordingLimits } from "./limits.ts";

/** Counts the bytes that wait for the disk, and refuses what would exceed the limits. */
export class PendingBytes {
  readonly #limits: Pick<RecordingLimits, "segmentPendingBytesMax" | "totalPendingBytesMax">;
  readonly #bySegment = new Map<string, number>();
  #total = 0;

  constructor(limits: Pick<RecordingLimits, "segmentPendingBytesMax" | "totalPendingBytesMax">) {
    this.#limits = limits;
  }

  /** All bytes that wait now. */
  get total(): number {
    return this.#total;
  }

  /**
   * Counts `byteLength` bytes of a segment until the returned function is called, which must happen
   * exactly once. A request that is larger than a limit by itself passes when nothing else waits.
   *
   * @throws OverloadedError when too much waits already; nothing is counted then
   */
  reserve(segment: string, byteLength: number): () => void {
    const ofSegment = this.#bySegment.get(segment) ?? 0;
    const { segmentPendingBytesMax, totalPendingBytesMax } = this.#limits;
    if (ofSegment > 0 && ofSegment + byteLength > segmentPendingBytesMax) {
      throw new OverloadedError(
        `${ofSegment} bytes of this segment wait for the disk; the limit is ${segmentPendingBytesMax}.`,
        OVERLOADED_RETRY_AFTER_MS,
      );
    }
    if (this.#total > 0 && this.#total + byteLength > totalPendingBytesMax) {
      throw new OverloadedError(
        `${this.#total} bytes wait for the disk; the limit is ${totalPendingBytesMax}.`,
        OVERLOADED_RETRY_AFTER_MS,
      );
    }
    this.#bySegment.set(segment, ofSegment + byteLength);
    this.#total += byteLength;
    return () => {
      this.#total -= byteLength;
      const left = (this.#bySegment.get(segment) ?? 0) - byteLength;
      if (left > 0) this.#bySegment.set(segment, left);
      else this.#bySegment.delete(segment);
    };
  }
}
