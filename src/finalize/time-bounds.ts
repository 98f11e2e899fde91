import type { SourceCounts } from "./media-check.ts";
import { WideList } from "./number-list.ts";
import type { StreamCount } from "./source-stream.ts";
import { GAP_MS_MAX } from "./timeline-places.ts";
import { type Span, lengthMs, union } from "../timeline/spans.ts";

/**
 * ffmpeg takes no step from one sample to the next of 2^31 ticks or more, which is 6.6 hours in the
 * 90 kHz of pictures (libavformat/movenc.c, `check_pkt`; mov.c, `mov_read_stts`).
 */
const STEP_MS_MAX = 6 * 3_600_000;

/** Pictures out of order come back by less: encoders hold few of them back, and send several a second. */
export const STEP_BACK_MS_MAX = 4_000;

/** Media that are nearer together than this are not told apart when gaps of many hours are sought. */
const BUCKET_MS = 3_600_000;

const KINDS = ["video", "audio"] as const;
type Kind = (typeof KINDS)[number];

/** A time in which neither stream has anything, and that was made shorter. */
export interface ShortenedGap extends Span {
  /** Of the source's media time that is left out. */
  readonly cutMs: number;
}

/** Whether a segment's times are such that its MP4 would be too long, or cannot be written as they are. */
export function exceedsBounds(counts: SourceCounts): boolean {
  const streams = KINDS.flatMap((kind) => counts[kind] ?? []);
  if (streams.some(({ furthestBackMs = 0 }) => furthestBackMs > STEP_BACK_MS_MAX)) return true;
  if (streams.some(({ holes }) => holes.some((hole) => lengthMs(hole) > STEP_MS_MAX))) return true;
  const covered = union(streams.flatMap(coveredSpans));
  return covered.some(({ fromMs }, i) => fromMs - (covered[i - 1]?.toMs ?? fromMs) > GAP_MS_MAX);
}

function coveredSpans({ firstMs, endMs, holes }: StreamCount): Span[] {
  if (firstMs === undefined || endMs === undefined) return [];
  const begins = [firstMs, ...holes.map(({ toMs }) => toMs)];
  const ends = [...holes.map(({ fromMs }) => fromMs), endMs];
  // A stream of one packet has no length that is known.
  return begins.map((fromMs, i) => ({ fromMs, toMs: Math.max(ends[i] ?? fromMs, fromMs + 1) }));
}

/** Where a stream's times go back: a clock that was set, or a recorder that began again. */
interface Step {
  /** Index of the first packet behind it, in order of decoding. */
  readonly packet: number;
  /** Added to it and to all that follow, beside what was added before. */
  readonly moveMs: number;
}

/** The packets of one stream as they are given. */
class StreamTimes {
  readonly times = new WideList();
  readonly steps: Step[] = [];
  #movedMs = 0;
  #latestMs = -Infinity;
  #stepMs = 0;

  /** Index of the first packet behind each step. */
  get stepPackets(): number[] {
    return this.steps.map(({ packet }) => packet);
  }

  add(atMs: number): void {
    const movedMs = atMs + this.#movedMs;
    if (movedMs < this.#latestMs - STEP_BACK_MS_MAX) {
      const moveMs = this.#latestMs + this.#stepMs - movedMs;
      this.steps.push({ packet: this.times.length, moveMs });
      this.#movedMs += moveMs;
      this.#latestMs += this.#stepMs;
    } else if (movedMs > this.#latestMs) {
      if (movedMs - this.#latestMs < STEP_BACK_MS_MAX) this.#stepMs = movedMs - this.#latestMs;
      this.#latestMs = movedMs;
    }
    this.times.push(atMs);
  }
}

/**
 * Puts a segment's times right: what goes back follows on what was before, and a gap in which neither
 * stream has anything is no longer than `GAP_MS_MAX`. Picture and sound behind such a place stay
 * together.
 */
export class TimeBounds {
  readonly #streams: Readonly<Record<Kind, StreamTimes>> = {
    video: new StreamTimes(),
    audio: new StreamTimes(),
  };

  /** Takes the packets of each stream in order of decoding. */
  add(kind: Kind, atMs: number): void {
    this.#streams[kind].add(atMs);
  }

  /** What is to be done, once all packets were given; lets others have their turn. */
  async settle(turn: () => Promise<void>): Promise<BoundedTimes> {
    const { video, audio } = this.#streams;
    // What both do at about the same time is one event, and moves both by the same.
    const moves = (video.steps.length > audio.steps.length ? video : audio).steps.map((_, i) =>
      Math.max(...[video.steps[i], audio.steps[i]].flatMap((step) => step?.moveMs ?? [])),
    );
    const packets = { video: video.stepPackets, audio: audio.stepPackets };
    const unbounded = new BoundedTimes(packets, moves, []);
    const buckets = new Map<number, { fromMs: number; toMs: number }>();
    for (const kind of KINDS) {
      const { times } = this.#streams[kind];
      for (let i = 0; i < times.length; i += 1) {
        const atMs = unbounded.movedMs(kind, i, times.at(i));
        const bucket = buckets.get(Math.floor(atMs / BUCKET_MS));
        if (bucket === undefined) {
          buckets.set(Math.floor(atMs / BUCKET_MS), { fromMs: atMs, toMs: atMs });
        } else {
          bucket.fromMs = Math.min(bucket.fromMs, atMs);
          bucket.toMs = Math.max(bucket.toMs, atMs);
        }
        if (i % PACKETS_PER_TURN === 0) await turn();
      }
    }
    const covered = [...buckets.values()].toSorted((a, b) => a.fromMs - b.fromMs);
    const gaps = covered.flatMap(({ fromMs: toMs }, i): ShortenedGap[] => {
      const fromMs = covered[i - 1]?.toMs ?? toMs;
      return toMs - fromMs > GAP_MS_MAX
        ? [{ fromMs, toMs, cutMs: toMs - fromMs - GAP_MS_MAX }]
        : [];
    });
    return new BoundedTimes(packets, moves, gaps);
  }
}

/** So many packets are looked at at a stretch, in some 10 ms. */
const PACKETS_PER_TURN = 16_384;

/** A segment's times as they are kept. */
export class BoundedTimes {
  readonly gaps: readonly ShortenedGap[];
  /** How often the times went back. */
  readonly stepsBack: number;
  readonly #packets: Readonly<Record<Kind, readonly number[]>>;
  /** Sums, each up to a step. */
  readonly #moves: readonly number[];
  readonly #gapEndsMs: readonly number[];
  /** Sums, each up to a gap. */
  readonly #cutsMs: readonly number[];

  constructor(
    packets: Readonly<Record<Kind, readonly number[]>>,
    moves: readonly number[],
    gaps: readonly ShortenedGap[],
  ) {
    this.#packets = packets;
    this.#moves = sumsOf(moves);
    this.#gapEndsMs = gaps.map(({ toMs }) => toMs);
    this.#cutsMs = sumsOf(gaps.map(({ cutMs }) => cutMs));
    this.gaps = gaps;
    this.stepsBack = moves.length;
  }

  /** Whether all times are kept as they are. */
  get areAsRecorded(): boolean {
    return this.gaps.length === 0 && this.stepsBack === 0;
  }

  /** When packet `i` of a stream, in order of decoding, is presented; gaps are as long as they were. */
  movedMs(kind: Kind, i: number, atMs: number): number {
    return atMs + (this.#moves[countUpTo(this.#packets[kind], i) - 1] ?? 0);
  }

  /** When it is presented, with gaps made shorter. */
  keptMs(kind: Kind, i: number, atMs: number): number {
    return this.shortenedMs(this.movedMs(kind, i, atMs));
  }

  /** A time of the segment, with gaps made shorter. */
  shortenedMs(ms: number): number {
    return ms - (this.#cutsMs[countUpTo(this.#gapEndsMs, ms) - 1] ?? 0);
  }
}

/** How many of some values, which ascend, are not above another. */
function countUpTo(values: readonly number[], most: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? Infinity) <= most) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sumsOf(values: readonly number[]): number[] {
  let sum = 0;
  return values.map((value) => (sum += value));
}
