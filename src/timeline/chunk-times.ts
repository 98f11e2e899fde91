import type { SequenceRange } from "../contract/chunks.ts";
import type { ChunkStamp } from "../recording/ports.ts";
import { type SegmentTimeline, wallEndMsOf } from "./segment-timeline.ts";
import type { Span } from "./spans.ts";

/** How long a chunk is taken to be where no two chunks tell: recorders are asked for one a second. */
const SLICE_MS = 1_000;

/** Chunks around a loss that tell how far stamps and media are apart there. */
const LAGS_TAKEN = 5;

/** What an encoder holds back when a chunk is handed over: 10 to 100 ms in Chromium, idle or busy. */
const ENCODER_MS = 50;

/** More than that is not the encoder, but a clock that is wrong. */
const ENCODER_MS_MAX = 300;

/** As far from a loss as those are looked for, in chunks. */
const LAG_REACH = 60;

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
 * When each chunk of a segment was recorded, also of those that never came, in the time that
 * `wallMsOf` gives its media: by the stamps of their neighbours, which tell when a chunk's slice began,
 * and by how far the media of the chunk before them reaches.
 *
 * Stamps are on the server's clock, media on its device's: they are apart by what the encoder holds, by
 * what the device's clock has drifted, and by how wrong a sender's clock is. How far, chunks near by
 * tell that have both; what the encoder holds, the first chunks of the segment.
 */
export class ChunkTimes {
  readonly #timeline: SegmentTimeline;
  readonly #stampsMs: ReadonlyMap<number, number>;
  /** Of chunks that brought media. */
  readonly #reachesMs: ReadonlyMap<number, number>;
  readonly #sliceMs: number;
  readonly #encoderMs: number;

  constructor({ timeline, stamps, chunkEnds }: ChunkTimesParts) {
    this.#timeline = timeline;
    this.#stampsMs = new Map(
      stamps.flatMap(({ sequence, capturedAtMs }) =>
        capturedAtMs === null ? [] : [[sequence, capturedAtMs] as const],
      ),
    );
    // A chunk of which nothing could be used reaches no further than those before it.
    const reaching = chunkEnds.filter(
      ({ mediaEndMs }, i) => mediaEndMs > (chunkEnds[i - 1]?.mediaEndMs ?? 0),
    );
    this.#reachesMs = new Map(
      reaching.map(({ sequence, mediaEndMs }) => [sequence, wallEndMsOf(timeline, mediaEndMs)]),
    );
    const firstLagMs = this.#lagMs(0) ?? ENCODER_MS;
    const isEncoder = firstLagMs >= 0 && firstLagMs <= ENCODER_MS_MAX;
    this.#encoderMs = isEncoder ? firstLagMs : ENCODER_MS;
    this.#sliceMs = median(steps(this.#stampsMs)) ?? median(steps(this.#reachesMs)) ?? SLICE_MS;
  }

  /** When these chunks were recorded, from the begin of the first one's slice to the end of the last one's. */
  spanOf({ from, to }: SequenceRange): Span {
    const beginMs = this.#beginMs(from);
    const guessMs = Math.min(
      beginMs + (to - from + 1) * this.#sliceMs,
      // The next chunk began before its media ends.
      this.#reachesMs.get(to + 1) ?? Infinity,
    );
    const toMs = Math.max(this.#timeline.beginMs, this.#byStamp(to + 1) ?? guessMs);
    return { fromMs: Math.min(beginMs, toMs), toMs };
  }

  #beginMs(sequence: number): number {
    const { beginMs } = this.#timeline;
    if (sequence === 0) return beginMs;
    const known = this.#reachesMs.get(sequence - 1) ?? this.#byStamp(sequence);
    if (known !== undefined) return known;
    const beforeMs = this.#byStamp(sequence - 1);
    return beforeMs === undefined ? beginMs + sequence * this.#sliceMs : beforeMs + this.#sliceMs;
  }

  /** When a chunk's slice began, by its stamp; undefined without one. */
  #byStamp(sequence: number): number | undefined {
    const stampMs = this.#stampsMs.get(sequence);
    if (stampMs === undefined) return undefined;
    return stampMs - (this.#lagMs(sequence) ?? this.#encoderMs) + this.#encoderMs;
  }

  /** How much later stamps are than the media near a chunk; undefined when no chunk there has both. */
  #lagMs(sequence: number): number | undefined {
    const lags: number[] = [];
    for (let distance = 0; distance < LAG_REACH && lags.length < LAGS_TAKEN; distance += 1) {
      for (const at of distance === 0 ? [sequence] : [sequence - distance, sequence + distance]) {
        const stampMs = this.#stampsMs.get(at);
        const reachedMs = this.#reachesMs.get(at - 1);
        if (stampMs !== undefined && reachedMs !== undefined) lags.push(stampMs - reachedMs);
      }
    }
    return median(lags);
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
