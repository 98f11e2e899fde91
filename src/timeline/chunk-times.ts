import type { SequenceRange } from "../contract/chunks.ts";
import type { ChunkStamp } from "../recording/ports.ts";
import { type SegmentTimeline, wallEndMsOf } from "./segment-timeline.ts";
import type { Span } from "./spans.ts";

/** How long a chunk is taken to be where no two chunks tell: recorders are asked for one a second. */
const SLICE_MS = 1_000;

/** Up to where the media reaches when a chunk has been read. */
export interface ChunkEnd {
  readonly sequence: number;
  /** In the segment's media time. */
  readonly mediaEndMs: number;
}

/** What tells when the chunks of a segment were recorded. */
export interface ChunkTimesParts {
  readonly timeline: SegmentTimeline;
  /** In order of sequence. */
  readonly stamps: readonly ChunkStamp[];
  readonly chunkEnds: readonly ChunkEnd[];
}

/**
 * When each chunk of a segment was recorded, on the server's clock, also of those that never came: by
 * the stamps of their neighbours, which tell when a chunk's slice began, and by how far the media of
 * the chunk before them reaches, since an encoder's last pictures come with the next chunk.
 */
export class ChunkTimes {
  readonly #timeline: SegmentTimeline;
  readonly #beginsMs: ReadonlyMap<number, number>;
  readonly #mediaEndsMs: ReadonlyMap<number, number>;
  readonly #sliceMs: number;

  constructor({ timeline, stamps, chunkEnds }: ChunkTimesParts) {
    this.#timeline = timeline;
    this.#beginsMs = new Map(
      stamps.flatMap(({ sequence, capturedAtMs }) =>
        capturedAtMs === null ? [] : [[sequence, capturedAtMs] as const],
      ),
    );
    this.#mediaEndsMs = new Map(
      chunkEnds.map(({ sequence, mediaEndMs }) => [sequence, wallEndMsOf(timeline, mediaEndMs)]),
    );
    this.#sliceMs = median(steps(this.#beginsMs)) ?? median(steps(this.#mediaEndsMs)) ?? SLICE_MS;
  }

  /** When these chunks were recorded, from the begin of the first one's slice to the end of the last one's. */
  spanOf({ from, to }: SequenceRange): Span {
    const beginMs = this.#beginMs(from);
    const count = to - from + 1;
    const guessMs = Math.min(
      beginMs + count * this.#sliceMs,
      // The next chunk began before its media ends.
      this.#mediaEndsMs.get(to + 1) ?? Infinity,
    );
    const toMs = Math.max(this.#timeline.beginMs, this.#beginsMs.get(to + 1) ?? guessMs);
    return { fromMs: Math.min(beginMs, toMs), toMs };
  }

  #beginMs(sequence: number): number {
    if (sequence === 0) return this.#timeline.beginMs;
    const beforeMs = this.#beginsMs.get(sequence - 1);
    const reachedMs = this.#mediaEndsMs.get(sequence - 1);
    // A chunk of which nothing could be used reaches no further than those before it.
    if (reachedMs !== undefined && reachedMs > (beforeMs ?? -Infinity)) return reachedMs;
    const ownMs = this.#beginsMs.get(sequence);
    if (ownMs !== undefined) return ownMs;
    return beforeMs === undefined
      ? this.#timeline.beginMs + sequence * this.#sliceMs
      : beforeMs + this.#sliceMs;
  }
}

/** The steps between the values of chunks that follow each other directly. */
function steps(values: ReadonlyMap<number, number>): number[] {
  return Array.from(values).flatMap(([sequence, value]) => {
    const next = values.get(sequence + 1);
    return next === undefined || next <= value ? [] : [next - value];
  });
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
