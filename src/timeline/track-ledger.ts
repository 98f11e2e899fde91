import type { StreamKind } from "../contract/marks.ts";
import type { Gap, GapCause, Overlap, TrackTimeline } from "../contract/timeline.ts";
import { type CausedSpan, type LedgerSegment, SegmentGaps, caused } from "./segment-gaps.ts";
import { type Span, lengthMs, minus, within } from "./spans.ts";

export type { LedgerSegment } from "./segment-gaps.ts";

/** Which cause is told of a moment that has several: the one that comes first here. */
const PRECEDENCE: readonly GapCause[] = [
  "paused",
  "missing-chunks",
  "damaged",
  "between-segments",
  "stalled",
  "muted",
];

const STREAMS = ["video", "audio"] as const;

/** Shorter gaps are none: times come from clocks of milliseconds. */
const GAP_MS_MIN = 1;

/** A track's segments, and when its recording began. */
export interface TrackLedgerInput {
  /** The recording's zero, in milliseconds since the epoch. */
  readonly startedAtMs: number;
  /**
   * When the recording was stopped: no chunk that is missing at the very end was recorded after it,
   * whatever number of chunks a client told. Without it the track ends with its media.
   */
  readonly stoppedAtMs?: number | null;
  /** In any order, those too of which nothing could be used. */
  readonly segments: readonly LedgerSegment[];
}

/**
 * Where a track stands on its recording's timeline and what is missing of it, each moment with one
 * cause for each stream. Gaps of a stream do not overlap, and what is in no gap is in the media, but
 * for moments too short to be told. Pure.
 *
 * - The track begins with the first packet of its first usable segment, and ends with the last of
 *   its last one. Chunks that are known to be missing at the very end belong to it too, though its
 *   MP4 ends before them.
 * - A stream that the track has but one of its segments lacks was not being given: `muted`, or
 *   `stalled` where the sender says that its source was on and gave nothing.
 * - A source that gives pictures only when something changes has no gap while nothing does.
 * - Where segments were recorded at the same time, what one lacks is no gap while another is shown.
 *
 * @returns null when no segment has usable media
 */
export function buildTrackTimeline({
  startedAtMs,
  stoppedAtMs = null,
  segments,
}: TrackLedgerInput): TrackTimeline | null {
  const all = segments.map((segment): Segment => {
    const { timeline, overlap } = segment;
    return { timeline, overlap, gaps: new SegmentGaps(segment) };
  });
  const usable = all
    .filter(({ gaps }) => gaps.isUsable)
    .toSorted((a, b) => a.gaps.span.fromMs - b.gaps.span.fromMs);
  const [first] = usable;
  if (first === undefined) return null;
  const placed = usable.map((segment, i): Placed => ({
    ...segment,
    // Chunks that are missing at its end were recorded before anything else was.
    window: windowOf(segment.gaps, usable[i + 1]?.gaps.span.fromMs ?? stoppedAtMs),
  }));
  const track = {
    fromMs: first.gaps.span.fromMs,
    toMs: Math.max(...placed.map(({ window }) => window.toMs)),
  };
  const unusable = all.flatMap(({ gaps, overlap }) =>
    gaps.isUsable || overlap !== undefined ? [] : [gaps],
  );
  const gaps = STREAMS.filter((stream) => usable.some((segment) => segment.gaps.has(stream))).map(
    (stream) => ({ stream, spans: streamGaps(stream, track, placed, unusable) }),
  );
  const overlaps = overlapsOf(all, startedAtMs);
  return {
    offsetMs: rounded(track.fromMs - startedAtMs),
    durationMs: rounded(lengthMs(track)),
    segments: placed.map(({ timeline: { segmentId, rate }, window }) => ({
      segmentId,
      offsetMs: rounded(window.fromMs - startedAtMs),
      durationMs: rounded(lengthMs(window)),
      rate,
    })),
    gaps: joinStreams(gaps, startedAtMs),
    ...(overlaps.length > 0 && { overlaps }),
  };
}

/** The segments that others overlap, in order of time. */
function overlapsOf(segments: readonly Segment[], startedAtMs: number): Overlap[] {
  const onTimeline = ({ fromMs, toMs }: Span): Span => ({
    fromMs: rounded(fromMs - startedAtMs),
    toMs: rounded(toMs - startedAtMs),
  });
  const overlaps = segments.flatMap(({ timeline: { segmentId }, overlap, gaps }): Overlap[] => {
    if (overlap === undefined) return [];
    const shown = STREAMS.flatMap((stream) => {
      const span = gaps.spanOf(stream);
      return span === undefined ? [] : [{ streams: [stream], ...onTimeline(span) }];
    });
    return [{ segmentId, ...onTimeline(overlap.recorded), shown }];
  });
  return overlaps.toSorted((a, b) => a.fromMs - b.fromMs);
}

interface Segment {
  readonly timeline: LedgerSegment["timeline"];
  readonly overlap: LedgerSegment["overlap"];
  readonly gaps: SegmentGaps;
}

/** A usable segment with the part of the track that is its own. */
interface Placed extends Segment {
  readonly window: Span;
}

/** A segment's time, and that of chunks that are missing at its end as far as `limitMs`. */
function windowOf({ span, tailEndMs }: SegmentGaps, limitMs: number | null): Span {
  const toMs = Math.max(span.toMs, Math.min(tailEndMs, limitMs ?? -Infinity));
  return { fromMs: span.fromMs, toMs };
}

/** The gaps of one stream: each moment once, with its strongest cause. */
function streamGaps(
  stream: StreamKind,
  track: Span,
  placed: readonly Placed[],
  unusable: readonly SegmentGaps[],
): CausedSpan[] {
  const windows = placed.map(({ window }) => window);
  const found: CausedSpan[] = [
    ...placed.flatMap((segment, i) => {
      const { gaps, window, overlap } = segment;
      const neighbours = { before: i > 0, after: i < placed.length - 1 };
      const own = [...gaps.pauses(), ...gaps.ofStream(stream, window, neighbours)];
      if (overlap === undefined) return own;
      const others = placed.flatMap((other) =>
        other === segment ? [] : (other.gaps.spanOf(stream) ?? []),
      );
      return own.flatMap((span) => caused(span.cause, minus(within([span], window), others)));
    }),
    ...unusable.flatMap((gaps) =>
      minus([gaps.span], windows).flatMap((window) => gaps.ofUnusable(window)),
    ),
    ...caused("between-segments", minus([track], windows)),
  ];
  let told: readonly CausedSpan[] = [];
  for (const cause of PRECEDENCE) {
    const own = found.filter((span) => span.cause === cause);
    told = told.concat(caused(cause, minus(within(own, track), told)));
  }
  return told.filter((span) => lengthMs(span) >= GAP_MS_MIN);
}

/** All gaps in order, on the timeline; one that both streams have alike is told once. */
function joinStreams(
  byStream: readonly { readonly stream: StreamKind; readonly spans: readonly CausedSpan[] }[],
  startedAtMs: number,
): Gap[] {
  const gaps = new Map<string, Gap>();
  for (const { stream, spans } of byStream) {
    for (const { cause, ...span } of spans) {
      const fromMs = rounded(span.fromMs - startedAtMs);
      const toMs = rounded(span.toMs - startedAtMs);
      const name = `${cause} ${fromMs} ${toMs}`;
      const streams = [...(gaps.get(name)?.streams ?? []), stream];
      gaps.set(name, { cause, streams, fromMs, toMs });
    }
  }
  return [...gaps.values()].toSorted((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs);
}

/** To whole microseconds: floating point tells no more of milliseconds since the epoch. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
