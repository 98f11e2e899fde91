import type { SequenceRange } from "../contract/chunks.ts";
import type { Mark, StreamKind } from "../contract/marks.ts";
import type { GapCause } from "../contract/timeline.ts";
import type { ChunkStamp } from "../recording/ports.ts";
import { type ChunkEnd, ChunkTimes } from "./chunk-times.ts";
import { SegmentMarks } from "./segment-marks.ts";
import { type SegmentTimeline, wallEndMsOf, wallMsOf } from "./segment-timeline.ts";
import { type Span, SpanSearch, lengthMs, minus, overlap, within } from "./spans.ts";

/** What the usable media of a segment holds of one stream, in the media time of its source. */
export interface StreamExtent {
  readonly firstMs: number;
  /** End of the last packet. */
  readonly endMs: number;
  /** Where packets are further apart than they last, or of no use, in order. */
  readonly holes: readonly StreamHole[];
}

/** A time without packets of a stream that can be used. */
interface StreamHole extends Span {
  /** When packets come again that are of no use, since they may need lost ones; undefined without such. */
  readonly resumesMs?: number | undefined;
}

/** A segment as the ledger takes it. */
export interface LedgerSegment {
  readonly timeline: SegmentTimeline;
  /** Null without any; when both are null nothing of the segment is in the MP4. */
  readonly video: StreamExtent | null;
  readonly audio: StreamExtent | null;
  readonly marks: readonly Mark[];
  /** Of all stored chunks, damaged ones too, in order of sequence. */
  readonly stamps: readonly ChunkStamp[];
  /** Up to where the media reaches at the end of each chunk; empty when that is not known. */
  readonly chunkEnds: readonly ChunkEnd[];
  /** Total that the client told; null when it never ended the segment. */
  readonly chunkCount: number | null;
  /** Chunks whose bytes are not those that were acknowledged. */
  readonly damagedChunks: readonly SequenceRange[];
  /** Of a segment that others of the track overlap; then `video` and `audio` are what is shown of it. */
  readonly overlap?: LedgerOverlap | undefined;
}

/** What of a segment is known beside what is shown of it. */
export interface LedgerOverlap {
  /** When all of it was recorded, on the server's clock. */
  readonly recorded: Span;
  /** Whether another segment is shown from before its end on. */
  readonly isTakenOver: boolean;
  /** When it takes over from another, on the server's clock: what it lacks from then on is missing. */
  readonly takesOverMs: number | undefined;
}

/** A stretch of time that is missing, on the server's clock. */
export interface CausedSpan extends Span {
  readonly cause: GapCause;
}

/** Spans that are missing for one reason. */
export function caused(cause: GapCause, spans: readonly Span[]): CausedSpan[] {
  return spans.map(({ fromMs, toMs }) => ({ cause, fromMs, toMs }));
}

/** A source that gives pictures all the time, and sound, has stalled when nothing came for so long. */
const STALL_MS_MIN = 1_000;

/** The same for pictures of which it is not known whether they rest when nothing changes. */
const UNSURE_STALL_MS_MIN = 2_000;

/** The same where the page is known to have stood still meanwhile. */
const PROVEN_STALL_MS_MIN = 500;

/** Shorter holes are not told of (`StreamExtent`), so shorter chunks can be missing without one. */
const HOLE_MS_MIN = { video: 500, audio: 100 } as const;

/**
 * What an encoder still held when a chunk was handed over is in the next one: of sound some 100 ms, of
 * pictures less. A stream that ends longer before a lost chunk lacks something else as well.
 */
const LOSS_LEAD_MS_MAX = 300;

/**
 * On a computer that is too busy Chromium's sound is encoded up to a second later than its pictures, so
 * that a chunk has pictures of as much time behind its end. Longer ones are damage of which nothing is known.
 */
const LOSS_TAIL_MS_MAX = 1_500;

/**
 * Streams of one recorder begin and end a little apart: less than a picture at 25 a second is not
 * told of at the begin and the end of a track.
 */
const EDGE_MS_MIN = 40;

/**
 * Why moments of one segment are missing: what its media, its chunks and its marks tell together, on
 * the server's clock. Pure.
 */
export class SegmentGaps {
  readonly #segment: LedgerSegment;
  readonly #marks: SegmentMarks;
  readonly #losses: readonly CausedSpan[];
  readonly #lossSearch: SpanSearch<CausedSpan>;
  readonly #soundHoles: SpanSearch<Span>;
  /**
   * From the first packet of its first stream to the end of its last. Of a segment of which nothing
   * could be used: the time in which its chunks were recorded.
   */
  readonly span: Span;
  /** The end of the chunks that were lost, or are of no use, behind all media; else that of `span`. */
  readonly tailEndMs: number;

  constructor(segment: LedgerSegment) {
    this.#segment = segment;
    this.#marks = new SegmentMarks(segment.marks, segment.timeline);
    const chunkTimes = new ChunkTimes(segment);
    const spansOf = (ranges: readonly SequenceRange[]): Span[] =>
      ranges.map((range) => chunkTimes.spanOf(range));
    this.#losses = [
      ...caused("missing-chunks", spansOf(missingRanges(segment))),
      ...caused("damaged", spansOf(segment.damagedChunks)),
    ].toSorted((a, b) => a.fromMs - b.fromMs);
    this.#lossSearch = new SpanSearch(this.#losses);
    const { timeline, audio } = segment;
    this.#soundHoles = new SpanSearch(audio === null ? [] : holeSpans(timeline, audio));
    const { beginMs } = timeline;
    const last = segment.stamps.at(-1)?.sequence;
    const lastChunk = last === undefined ? [] : spansOf([{ from: last, to: last }]);
    const chunksEndMs = [...this.#losses, ...lastChunk].reduce(
      (endMs, { toMs }) => Math.max(endMs, toMs),
      beginMs,
    );
    this.span = mediaSpan(segment) ?? { fromMs: beginMs, toMs: chunksEndMs };
    const isCutShort =
      segment.overlap?.isTakenOver !== true &&
      this.#losses.some(({ toMs }) => toMs > this.span.toMs);
    this.tailEndMs = isCutShort ? Math.max(this.span.toMs, chunksEndMs) : this.span.toMs;
  }

  /** Whether something of it is in the MP4. */
  get isUsable(): boolean {
    return this.has("video") || this.has("audio");
  }

  has(stream: StreamKind): boolean {
    return this.#segment[stream] !== null;
  }

  /** From the first packet of a stream to the end of its last one; undefined without that stream. */
  spanOf(stream: StreamKind): Span | undefined {
    const extent = this.#segment[stream];
    return extent === null ? undefined : extentSpan(this.#segment.timeline, extent);
  }

  /** When its recorder was paused, or its computer slept. */
  pauses(): CausedSpan[] {
    const { timeline } = this.#segment;
    return timeline.pauses.flatMap(({ mediaMs, isStandstill }) =>
      caused(isStandstill === true ? "stalled" : "paused", [
        { fromMs: wallEndMsOf(timeline, mediaMs), toMs: wallMsOf(timeline, mediaMs) },
      ]),
    );
  }

  /**
   * What is missing of a segment of which nothing could be used, within `window`: chunks that never
   * came, and those that did and are of no use.
   */
  ofUnusable(window: Span): CausedSpan[] {
    const missing = this.#losses.filter(({ cause }) => cause === "missing-chunks");
    return [
      ...caused("missing-chunks", within(missing, window)),
      ...caused("damaged", minus([window], missing)),
    ];
  }

  /**
   * What is missing of a stream within `window`, the time of a usable segment, and when it was muted.
   * Spans of different causes may overlap.
   *
   * @param neighbours whether the track has segments before and after this one
   */
  ofStream(
    stream: StreamKind,
    window: Span,
    neighbours: { readonly before: boolean; readonly after: boolean },
  ): CausedSpan[] {
    const extent = this.#segment[stream];
    if (extent === null) return this.#ofAbsent(stream, window, neighbours.before);
    const { timeline } = this.#segment;
    const wall = extentSpan(timeline, extent);
    const holes: Hole[] = [
      ...holeSpans(timeline, extent),
      {
        fromMs: window.fromMs,
        toMs: wall.fromMs,
        edge: { at: "begin", toldFromMs: neighbours.before ? 0 : EDGE_MS_MIN },
      },
      {
        fromMs: wall.toMs,
        toMs: window.toMs,
        edge: { at: "end", toldFromMs: neighbours.after ? 0 : EDGE_MS_MIN },
      },
    ];
    const pauses = new SpanSearch(this.pauses());
    const absent = holes.flatMap((hole) =>
      minus([hole], pauses.within(hole)).map(({ fromMs, toMs }): Hole => {
        const { resumesMs, edge } = hole;
        return { fromMs, toMs, resumesMs, edge };
      }),
    );
    return [
      ...absent.flatMap((hole) => this.#explain(stream, hole)),
      ...this.#shortLosses(stream, wall, absent),
      ...caused("muted", within(this.#marks.mutes(stream), window)),
    ];
  }

  /** Of a stream that the segment does not have. */
  #ofAbsent(stream: StreamKind, window: Span, isBefore: boolean): CausedSpan[] {
    const mutes = within(this.#marks.mutes(stream), window);
    const isResting = stream === "video" && this.#marks.pictures === "on-change";
    // The last picture of a source that rests still holds; before the first there is none.
    if (isResting && isBefore) return caused("muted", mutes);
    // A source that is known to be off is not expected to give anything.
    const stalls = minus(within(this.#marks.stalls(stream), window), mutes);
    // A stream that has no such track never had one: a source that was off.
    return [...caused("stalled", stalls), ...caused("muted", minus([window], stalls))];
  }

  /** Divides a time without packets among its causes. */
  #explain(stream: StreamKind, hole: Hole): CausedSpan[] {
    const losses = this.#lossesIn(hole);
    const [first] = losses;
    if (first === undefined) return this.#unexplained(stream, hole);
    const lead = { ...hole, toMs: first.fromMs };
    const isOfLoss = lengthMs(lead) <= LOSS_LEAD_MS_MAX;
    // What is behind a loss may need it: pictures the keyframe, blocks the head of their cluster.
    const behind = minus([{ fromMs: first.fromMs, toMs: hole.toMs }], losses);
    return [
      ...(isOfLoss ? caused(first.cause, [lead]) : this.#unexplained(stream, lead)),
      ...losses.flatMap((loss) => caused(loss.cause, [overlap(loss, hole)])),
      ...caused("damaged", behind),
    ];
  }

  /** The losses of which a hole is; pictures lack up to the first one behind, also where it is of no use. */
  #lossesIn(hole: Hole): readonly CausedSpan[] {
    const losses = this.#lossSearch.within(hole);
    const { resumesMs } = hole;
    if (resumesMs === undefined) return losses;
    const ended = losses.findLast(({ fromMs }) => fromMs < resumesMs);
    return losses.map((loss) => {
      const isEnded = loss === ended && resumesMs - loss.toMs <= LOSS_TAIL_MS_MAX;
      return isEnded ? { cause: loss.cause, fromMs: loss.fromMs, toMs: resumesMs } : loss;
    });
  }

  /** A time without packets in which no chunk was lost. */
  #unexplained(stream: StreamKind, hole: Hole): CausedSpan[] {
    const { edge, resumesMs } = hole;
    // Pictures came, and need what is lost.
    if (resumesMs !== undefined) return caused("damaged", [hole]);
    const { isTold, pictures } = this.#marks;
    if (this.#marks.isDeviceChange(stream, hole)) return caused("between-segments", [hole]);
    // Sound never rests, but senders that know no marks may leave silence out.
    const soundMsMin = isTold && edge === null ? HOLE_MS_MIN.audio : STALL_MS_MIN;
    const stallMsMin = stream === "audio" ? soundMsMin : this.#pictureStallMsMin(hole);
    if (lengthMs(hole) > stallMsMin) return caused("stalled", [hole]);
    if (edge === null || lengthMs(hole) < edge.toldFromMs) return [];
    // The last picture of a source that may rest still holds; before the first there is none.
    const isRest =
      stream === "video" &&
      pictures !== "continuous" &&
      edge.at === "end" &&
      lengthMs(hole) >= EDGE_MS_MIN;
    // The recorder ran, but not yet, or no longer, for this stream.
    return isRest ? [] : caused("between-segments", [hole]);
  }

  /** How long there may be no picture before that is a stall. */
  #pictureStallMsMin(hole: Span): number {
    const { pictures, frozen, hidden } = this.#marks;
    const isFrozen = frozen.within(hole).length > 0;
    // A window that is shared may rest while the page that shares it is hidden: that proves nothing.
    const isHidden = pictures !== "on-change" && hidden.within(hole).length > 0;
    if (isFrozen || isHidden) return PROVEN_STALL_MS_MIN;
    switch (pictures) {
      case "continuous":
        return STALL_MS_MIN;
      case "on-change":
        return Infinity;
      case null:
        return this.#soundGoesOn(hole) ? UNSURE_STALL_MS_MIN : Infinity;
    }
  }

  /** Whether there was sound for most of the time. */
  #soundGoesOn(hole: Span): boolean {
    const { audio, timeline } = this.#segment;
    if (audio === null) return false;
    const holes = this.#soundHoles.within(hole);
    const heard = minus(within([extentSpan(timeline, audio)], hole), holes);
    return heard.reduce((sum, span) => sum + lengthMs(span), 0) > lengthMs(hole) / 2;
  }

  /** Losses so short that the media does not show them as holes. */
  #shortLosses(stream: StreamKind, media: Span, holes: readonly Span[]): CausedSpan[] {
    const holeSearch = new SpanSearch(holes);
    return this.#lossSearch
      .within(media)
      .filter(
        (loss) => lengthMs(loss) <= HOLE_MS_MIN[stream] && holeSearch.within(loss).length === 0,
      );
  }
}

/** A time without packets of a stream. */
interface Hole extends StreamHole {
  /**
   * Before the first or after the last packet of the stream, and how long it is at least to be told;
   * null between packets.
   */
  readonly edge: { readonly at: "begin" | "end"; readonly toldFromMs: number } | null;
}

function extentSpan(timeline: SegmentTimeline, { firstMs, endMs }: StreamExtent): Span {
  return { fromMs: wallMsOf(timeline, firstMs), toMs: wallEndMsOf(timeline, endMs) };
}

function holeSpans(timeline: SegmentTimeline, { holes }: StreamExtent): Hole[] {
  return holes.map(({ fromMs, toMs, resumesMs }) => ({
    fromMs: wallEndMsOf(timeline, fromMs),
    toMs: wallMsOf(timeline, toMs),
    resumesMs: resumesMs === undefined ? undefined : wallMsOf(timeline, resumesMs),
    edge: null,
  }));
}

/**
 * From the first packet of any stream, or from when it takes over, to the end of the last; undefined
 * without media.
 */
function mediaSpan({ timeline, video, audio, overlap: others }: LedgerSegment): Span | undefined {
  const spans = [video, audio].flatMap((extent) =>
    extent === null ? [] : [extentSpan(timeline, extent)],
  );
  if (spans.length === 0) return undefined;
  return {
    fromMs: Math.min(...spans.map(({ fromMs }) => fromMs), others?.takesOverMs ?? Infinity),
    toMs: Math.max(...spans.map(({ toMs }) => toMs)),
  };
}

/** Chunks that never came, as far as that is known. */
function missingRanges({ stamps, chunkCount }: LedgerSegment): SequenceRange[] {
  const ranges: SequenceRange[] = [];
  let next = 0;
  for (const { sequence } of stamps) {
    if (sequence > next) ranges.push({ from: next, to: sequence - 1 });
    next = sequence + 1;
  }
  if (chunkCount !== null && chunkCount > next) ranges.push({ from: next, to: chunkCount - 1 });
  return ranges;
}
