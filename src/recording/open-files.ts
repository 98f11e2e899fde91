import type { SegmentWriter } from "./segment-writer.ts";

/**
 * Bounds how many chunk files are held open: when there are too many, those that were not used for
 * longest give their file descriptors back. A segment goes on all the same; its next chunk opens the
 * file again.
 */
export class OpenFiles {
  readonly #max: number;
  readonly #suspend: (writer: SegmentWriter) => void;
  /** Writers that may hold a file descriptor, the one used longest ago first. */
  readonly #recentlyUsed = new Set<SegmentWriter>();

  /** @param suspend has a writer that does nothing at the moment give its file descriptor back */
  constructor(max: number, suspend: (writer: SegmentWriter) => void) {
    this.#max = max;
    this.#suspend = suspend;
  }

  /** Notes that a writer is used now. */
  use(writer: SegmentWriter): void {
    this.#recentlyUsed.delete(writer);
    this.#recentlyUsed.add(writer);
    let surplus = this.#recentlyUsed.size - this.#max;
    for (const candidate of this.#recentlyUsed) {
      if (surplus <= 0) return;
      if (!candidate.idle) continue;
      this.#recentlyUsed.delete(candidate);
      surplus -= 1;
      this.#suspend(candidate);
    }
  }

  /** A writer is closed. */
  forget(writer: SegmentWriter): void {
    this.#recentlyUsed.delete(writer);
  }
}
