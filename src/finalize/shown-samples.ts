import {
  type RecordedSegment,
  type ShownSegment,
  areAtOnce,
  driftMsOf,
  resolveOverlaps,
} from "../timeline/overlapping-segments.ts";
import { type SegmentTimeline, wallEndMsOf, wallMsOf } from "../timeline/segment-timeline.ts";
import type { Span } from "../timeline/spans.ts";
import { NoIndexError } from "./finalize-errors.ts";
import {
  type SampleTable,
  type SampleTables,
  presentedMs,
  readSampleTables,
} from "./mp4-sample-tables.ts";
import type { SegmentMedia } from "./segment-media.ts";
import { startMsOf } from "./media-origin.ts";
import type { StreamCount } from "./source-stream.ts";
import type { StreamSpan } from "./timeline-places.ts";

/** A segment's own MP4, and where its media stand on the server's clock. */
export interface TimedMedia {
  readonly media: Pick<SegmentMedia, "path" | "counts">;
  readonly timeline: SegmentTimeline;
  /** Whether its sender told when it was recorded. */
  readonly isTimed: boolean;
}

/** The samples of one stream of a segment's MP4 that are shown, in order of decoding. */
export interface ShownStream extends StreamSpan {
  /** Index of the first one. */
  readonly first: number;
  /** Index behind the last one. */
  readonly end: number;
  readonly bytes: number;
  /** See `StreamCount`. */
  readonly primingMs: number;
  /** Whether samples are left out before them. */
  readonly isCutAtBegin: boolean;
  /** Whether samples are left out behind them. */
  readonly isCutAtEnd: boolean;
}

/** What is shown of a segment's streams; undefined of one of which nothing is. */
export interface ShownSamples {
  readonly video: ShownStream | undefined;
  readonly audio: ShownStream | undefined;
}

/** A segment that was recorded while others of its track were. */
export interface OverlappingSegment {
  /** When all of it was recorded, on the server's clock. */
  readonly recorded: Span;
  readonly shown: ShownSamples | "whole";
  /** When it takes over from another, on the server's clock; undefined when it does not. */
  readonly takesOverMs: number | undefined;
}

/**
 * Chooses what is shown of segments that were recorded at the same time (`resolveOverlaps`).
 *
 * @param made in the order in which they began
 * @returns in the same order; undefined of a segment that no other overlaps, which is shown whole
 * @throws NoIndexError, file system errors
 */
export async function chooseShown(
  made: readonly TimedMedia[],
): Promise<(OverlappingSegment | undefined)[]> {
  const chosen: (OverlappingSegment | undefined)[] = made.map(() => undefined);
  const overlapping = overlappingOf(made);
  const segments: RecordedSegment[] = [];
  for (const { segment, span } of overlapping) {
    const streams = recordedStreams(segment, await tablesOf(segment));
    segments.push({ driftMs: span.driftMs, ...streams });
  }
  const resolved = resolveOverlaps(segments);
  // From the last one on, since where one is cut off depends on what comes behind.
  const nextMs: NextBegins = { video: undefined, audio: undefined };
  for (const [k, { index, segment, recorded }] of [...overlapping.entries()].toReversed()) {
    const tables = await tablesOf(segment);
    const { video, audio } = resolved[k] ?? NOTHING;
    const shown = shownSamples(segment, tables, { video, audio }, nextMs);
    const beginsMs = [video, audio].flatMap((span) => span?.fromMs ?? []).filter(Number.isFinite);
    chosen[index] = {
      recorded,
      shown: isWhole(tables, shown) ? "whole" : shown,
      takesOverMs: beginsMs.length > 0 ? Math.min(...beginsMs) : undefined,
    };
  }
  return chosen;
}

const NOTHING: ShownSegment = { video: null, audio: null };

/** The segments that others overlap, by their index. */
function overlappingOf(
  made: readonly TimedMedia[],
): { index: number; segment: TimedMedia; recorded: Span; span: { driftMs: number } }[] {
  const timed = made.flatMap((segment, index) => {
    const recorded = segment.isTimed ? recordedSpan(segment) : undefined;
    if (recorded === undefined) return [];
    const span = { ...recorded, driftMs: driftMsOf(recorded, segment.timeline.rate) };
    return [{ index, segment, recorded, span }];
  });
  const atOnce = areAtOnce(timed.map(({ span }) => span));
  return timed.filter((_, i) => atOnce[i]);
}

function isWhole(tables: SampleTables, shown: ShownSamples): boolean {
  return (["video", "audio"] as const).every((kind) => {
    const own = shown[kind];
    if (own === undefined) return (tables[kind]?.count ?? 0) === 0;
    return !own.isCutAtBegin && !own.isCutAtEnd;
  });
}

/** When what is shown next begins, on the server's clock; undefined when nothing comes. */
interface NextBegins {
  video: number | undefined;
  audio: number | undefined;
}

async function tablesOf({ media }: TimedMedia): Promise<SampleTables> {
  const tables = await readSampleTables(media.path);
  if (tables === undefined) throw new NoIndexError();
  return tables;
}

/** When a segment was recorded, on the server's clock; undefined without media. */
function recordedSpan({ media, timeline }: TimedMedia): Span | undefined {
  const { video, audio } = media.counts;
  const spans = [video, audio].flatMap((count) => streamSpan(timeline, count) ?? []);
  if (spans.length === 0) return undefined;
  return {
    fromMs: Math.min(...spans.map(({ fromMs }) => fromMs)),
    toMs: Math.max(...spans.map(({ toMs }) => toMs)),
  };
}

function streamSpan(timeline: SegmentTimeline, count: StreamCount | undefined): Span | undefined {
  if (count?.firstMs === undefined || count.endMs === undefined) return undefined;
  return {
    fromMs: wallMsOf(timeline, count.firstMs),
    toMs: wallEndMsOf(timeline, count.endMs),
  };
}

function recordedStreams(
  { media, timeline }: TimedMedia,
  { video }: SampleTables,
): Pick<RecordedSegment, "video" | "audio"> {
  const { counts } = media;
  const startMs = startMsOf(counts);
  const pictures = streamSpan(timeline, counts.video);
  const holes = (counts.video?.holes ?? []).map(({ fromMs, toMs }) => ({
    fromMs: wallEndMsOf(timeline, fromMs),
    toMs: wallMsOf(timeline, toMs),
  }));
  const keyframesMs = keyframesOf(video).map((atMs) => wallMsOf(timeline, startMs + atMs));
  return {
    video:
      pictures === undefined
        ? null
        : { ...pictures, keyframesMs, holes, usableToMs: usableEndMs(pictures, holes) },
    audio: streamSpan(timeline, counts.audio) ?? null,
  };
}

function usableEndMs({ toMs }: Span, holes: readonly Span[]): number {
  const last = holes.at(-1);
  return last !== undefined && last.toMs >= toMs - ROUNDING_MS ? last.fromMs : toMs;
}

/** When keyframes are presented, in milliseconds of the MP4. */
function keyframesOf(table: SampleTable | undefined): number[] {
  const atMs: number[] = [];
  if (table === undefined) return atMs;
  for (let i = 0; i < table.count; i += 1) {
    if (table.isSync?.[i] !== 0) atMs.push(presentedMs(table, i));
  }
  return atMs;
}

/** Times are in floating point, of MP4s in ticks of their own. */
const ROUNDING_MS = 0.5;

/** Between the last picture that is shown and the first of the next segment. */
const PICTURE_STEP_MS_MIN = 1;

function shownSamples(
  { media, timeline }: TimedMedia,
  tables: SampleTables,
  shown: ShownSegment,
  nextMs: NextBegins,
): ShownSamples {
  const startMs = startMsOf(media.counts);
  const wallMs = (mp4Ms: number): number => wallMsOf(timeline, startMs + mp4Ms);
  const samples = { video: undefined, audio: undefined } as {
    -readonly [Kind in "video" | "audio"]: ShownStream | undefined;
  };
  for (const kind of ["video", "audio"] as const) {
    const [table, span] = [tables[kind], shown[kind]];
    if (table === undefined || table.count === 0 || span === null) continue;
    const toMs = span.toMs === Infinity ? Infinity : (nextMs[kind] ?? span.toMs);
    const range = rangeOf(table, { fromMs: span.fromMs, toMs }, wallMs);
    if (range === undefined) continue;
    samples[kind] = streamOf(table, range);
    nextMs[kind] = wallMs(samples[kind].firstMs);
  }
  return samples;
}

/** The samples to be decoded for a span of the server's clock; undefined when there are none. */
function rangeOf(
  table: SampleTable,
  { fromMs, toMs }: Span,
  wallMs: (mp4Ms: number) => number,
): { first: number; end: number } | undefined {
  const isVideo = table.kind === "video";
  let first = 0;
  if (fromMs !== -Infinity) {
    const canBegin = (i: number): boolean =>
      wallMs(presentedMs(table, i)) >= fromMs - ROUNDING_MS && table.isSync?.[i] !== 0;
    while (first < table.count && !canBegin(first)) first += 1;
  }
  let end = table.count;
  if (toMs !== Infinity) {
    // As far as they are decoded before the first one that would be shown too late.
    const isBefore = (i: number): boolean => {
      const atMs = presentedMs(table, i);
      return isVideo
        ? wallMs(atMs) <= toMs - PICTURE_STEP_MS_MIN
        : wallMs(atMs + stepMs(table, i)) <= toMs + ROUNDING_MS;
    };
    end = first;
    while (end < table.count && isBefore(end)) end += 1;
  }
  return end > first ? { first, end } : undefined;
}

/** A picture that stands longer is followed by a hole. */
const PICTURE_MS_MAX = 500;

/** How long sample `i` lasts: the step to the next one, unless a hole is in that. */
function stepMs(table: SampleTable, i: number): number {
  const { kind, decodeTicks, usualTicks, ticksPerSecond } = table;
  const stepOf = (ticks: number): number => (ticks / ticksPerSecond) * 1_000;
  const step = stepOf((decodeTicks[i + 1] ?? 0) - (decodeTicks[i] ?? 0));
  const usual = stepOf(usualTicks);
  if (kind === "video") return step > PICTURE_MS_MAX ? usual : step;
  return usual > 0 ? Math.min(step, usual) : step;
}

function streamOf(table: SampleTable, range: { first: number; end: number }): ShownStream {
  const { first, end } = range;
  let [firstMs, lastMs, endMs, bytes] = [Infinity, -Infinity, -Infinity, 0];
  for (let i = first; i < end; i += 1) {
    const atMs = presentedMs(table, i);
    firstMs = Math.min(firstMs, atMs);
    lastMs = Math.max(lastMs, atMs);
    endMs = Math.max(endMs, atMs + stepMs(table, i));
    bytes += table.sizes[i] ?? 0;
  }
  const cuts = { isCutAtBegin: first > 0, isCutAtEnd: end < table.count };
  const shownMs = Math.max(firstMs, table.shownFromMs ?? firstMs);
  const primingMs = shownMs - firstMs;
  return { first, end, firstMs: shownMs, primingMs, lastMs, endMs, bytes, ...cuts };
}

/** The samples that are shown, and the media that hold them. */
export function shownTables(tables: SampleTables, shown: ShownSamples | "whole"): SampleTables {
  if (shown === "whole") return tables;
  const video = shown.video && tables.video && tableWithin(tables.video, shown.video);
  const audio = shown.audio && tables.audio && tableWithin(tables.audio, shown.audio);
  let [from, to] = [tables.media.to, tables.media.from];
  for (const table of [video, audio].filter((own) => own !== undefined)) {
    for (let i = 0; i < table.count; i += 1) {
      const at = table.offsetsBytes[i] ?? 0;
      from = Math.min(from, at);
      to = Math.max(to, at + (table.sizes[i] ?? 0));
    }
  }
  return { video, audio, media: { from, to } };
}

function tableWithin(table: SampleTable, { first, end }: ShownStream): SampleTable {
  return {
    ...table,
    count: end - first,
    entryIndexes: table.entryIndexes?.subarray(first, end),
    sizes: table.sizes.subarray(first, end),
    offsetsBytes: table.offsetsBytes.subarray(first, end),
    decodeTicks: table.decodeTicks.subarray(first, end + 1),
    compositionTicks: table.compositionTicks?.subarray(first, end),
    isSync: table.isSync?.subarray(first, end),
  };
}

/** What the shown samples hold of a stream, counted in the segment's own MP4, which was verified whole. */
export function countShown(shown: ShownStream | undefined): StreamCount | undefined {
  if (shown === undefined) return undefined;
  const { first, end, bytes, firstMs, primingMs, lastMs, endMs } = shown;
  const packets = end - first;
  const visiblePackets = packets;
  return { packets, visiblePackets, bytes, firstMs, primingMs, lastMs, endMs, holes: [] };
}
