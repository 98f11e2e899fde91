import type { Mark } from "../../../src/contract/marks.ts";
import { RECORDER_DEFAULTS } from "../recorder-defaults.ts";

/** What ends each state that lasts. */
const ENDS: Partial<Record<Mark["type"], Mark["type"]>> = {
  paused: "resumed",
  muted: "unmuted",
  hidden: "visible",
};

/**
 * What happened to a segment and has not left with a chunk yet, in order. Never more than one chunk
 * may bring: of a page that changes more often, the shortest change is left out as a whole, so that
 * what is told stays true.
 */
export class MarkList {
  readonly #marks: Mark[] = [];

  add(mark: Mark): void {
    this.#marks.push(mark);
    if (this.#marks.length > RECORDER_DEFAULTS.marksPerChunkMax) this.#dropShortest();
  }

  /** Gives, once, what happened up to this time. */
  take(untilMs: number): readonly Mark[] {
    const later = this.#marks.findIndex(({ atMs }) => atMs > untilMs);
    return this.#marks.splice(0, later === -1 ? this.#marks.length : later);
  }

  #dropShortest(): void {
    let shortest = { fromIndex: -1, toIndex: -1, ms: Number.POSITIVE_INFINITY };
    for (const [fromIndex, mark] of this.#marks.entries()) {
      const toIndex = mark.type === "frozen" ? fromIndex : this.#endOf(mark, fromIndex);
      const end = this.#marks[toIndex];
      if (end === undefined) continue;
      const ms = (end.type === "frozen" ? end.toMs : end.atMs) - mark.atMs;
      if (ms < shortest.ms) shortest = { fromIndex, toIndex, ms };
    }
    const { fromIndex, toIndex } = shortest;
    if (fromIndex === -1) {
      // Nothing but devices that change.
      this.#marks.splice(
        this.#marks.findIndex(({ type }) => type === "device-changed"),
        1,
      );
      return;
    }
    this.#marks.splice(toIndex, 1);
    if (toIndex !== fromIndex) this.#marks.splice(fromIndex, 1);
  }

  #endOf(begin: Mark, fromIndex: number): number {
    const end = ENDS[begin.type];
    return this.#marks.findIndex(
      (mark, i) => i > fromIndex && mark.type === end && streamOf(mark) === streamOf(begin),
    );
  }
}

function streamOf(mark: Mark): string | null {
  return "stream" in mark ? mark.stream : null;
}
