import { OverloadedError } from "./errors.ts";
import { isFairShare } from "./fair-share.ts";
import { OVERLOADED_RETRY_AFTER_MS, type RecordingLimits } from "./limits.ts";

/** Whose bytes wait. */
interface Sender {
  readonly recordingId: string;
  readonly participantId: string;
  readonly segmentId: string;
}

/**
 * Counts the bytes that wait for the disk, and refuses what would exceed the limits: that of a
 * segment, and the total, of which each participant gets a fair share (`isFairShare`), so that one who
 * floods is refused long before the others are.
 */
export class PendingBytes {
  readonly #limits: Pick<RecordingLimits, "segmentPendingBytesMax" | "totalPendingBytesMax">;
  readonly #bySegment = new ByteCounts();
  readonly #byParticipant = new ByteCounts();
  #total = 0;

  constructor(limits: Pick<RecordingLimits, "segmentPendingBytesMax" | "totalPendingBytesMax">) {
    this.#limits = limits;
  }

  /** All bytes that wait now. */
  get total(): number {
    return this.#total;
  }

  /**
   * Counts `byteLength` bytes until the returned function is called, which must happen exactly once.
   * A request that is larger than a limit by itself passes when nothing else waits.
   *
   * @throws OverloadedError when too much waits already; nothing is counted then
   */
  reserve({ recordingId, participantId, segmentId }: Sender, byteLength: number): () => void {
    const segment = `${recordingId}/${segmentId}`;
    const participant = `${recordingId}/${participantId}`;
    const ofSegment = this.#bySegment.of(segment);
    const { segmentPendingBytesMax, totalPendingBytesMax } = this.#limits;
    if (ofSegment > 0 && ofSegment + byteLength > segmentPendingBytesMax) {
      throw new OverloadedError(
        `${ofSegment} bytes of this segment wait for the disk; the limit is ${segmentPendingBytesMax}.`,
        OVERLOADED_RETRY_AFTER_MS,
      );
    }
    const ofParticipant = this.#byParticipant.of(participant);
    const asked = ofParticipant + byteLength;
    const ofOthers = this.#total - ofParticipant;
    if (this.#total > 0 && !isFairShare(asked, ofOthers, totalPendingBytesMax)) {
      throw new OverloadedError(
        `${this.#total} bytes wait for the disk, ${ofParticipant} of them of this participant; ` +
          `the limit is ${totalPendingBytesMax}, and nobody may hold more than is left of it.`,
        OVERLOADED_RETRY_AFTER_MS,
      );
    }
    this.#bySegment.add(segment, byteLength);
    this.#byParticipant.add(participant, byteLength);
    this.#total += byteLength;
    return () => {
      this.#bySegment.add(segment, -byteLength);
      this.#byParticipant.add(participant, -byteLength);
      this.#total -= byteLength;
    };
  }
}

/** Bytes by name; a name without any takes no memory. */
class ByteCounts {
  readonly #counts = new Map<string, number>();

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, bytes: number): void {
    const count = this.of(name) + bytes;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }
}
