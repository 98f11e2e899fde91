import type { SegmentSummary, Verdict } from "../contract/recordings.ts";
import type { SegmentId } from "../contract/ids.ts";
import type { SequenceRange } from "../contract/chunks.ts";
import type { StreamKind } from "../contract/marks.ts";
import type { Gap, GapCause, Overlap, TrackTimeline } from "../contract/timeline.ts";
import { describeRanges } from "../recording/errors.ts";
import type { SegmentDamage, SegmentReader } from "../recording/ports.ts";
import { describeSpans } from "../timeline/describe-times.ts";
import type { SegmentNote } from "./segment-note.ts";
import { type Span, lengthMs, overlaps, within } from "../timeline/spans.ts";

/** What a run found of one segment. */
export interface SegmentReport {
  readonly summary: SegmentSummary;
  readonly damage: SegmentDamage;
  readonly notes: readonly SegmentNote[];
  /** Why nothing of the segment is in the MP4; null when something is. */
  readonly unusable: string | null;
}

/** Why nothing can be made of a segment; null when its chunks are worth a try. */
export function unusableReason({ state }: SegmentReader): string | null {
  if (state.sequences.count === 0) return "has no chunks";
  if (state.bytes === 0) return "has only empty chunks";
  if (!state.sequences.has(0)) return "lacks chunk 0, which holds the container's header";
  return null;
}

/** What the server can prove of a track, and why it is not more. */
export interface Judgement {
  readonly verdict: Verdict;
  readonly reason: string | null;
}

/**
 * A shorter stall is on the ledger alone: a busy computer has pictures stand still for a second now and
 * then, and a verdict that every long call gets tells nobody anything.
 */
const STALL_DEGRADES_MS_MIN = 2_000;

/**
 * Judges a track by its segments, and by what its timeline lacks. Pure.
 *
 * `degraded` is a track of which something that was to be recorded is lost: chunks that are missing
 * or damaged, a segment that was never ended, and a stall, since the server can prove that for so long
 * no picture or no sound came out of a source that was on. What people did on purpose is on the
 * timeline alone: pauses, mutes, and the time between segments, in which nobody recorded.
 *
 * Segments that were recorded at the same time are no fault: each moment of them is in the MP4 once. The
 * reason says so beside a `complete` too.
 *
 * @param timeline adds to the reasons when on the recording's timeline it was
 * @param notes on what came of all segments together
 */
export function judgeTrack(
  reports: readonly SegmentReport[],
  timeline: TrackTimeline | null = null,
  notes: readonly SegmentNote[] = [],
): Judgement {
  if (reports.every(({ unusable }) => unusable !== null)) {
    const reasons = reports.map(
      ({ summary, unusable }) => `Segment ${summary.segmentId} ${unusable}.`,
    );
    return { verdict: "lost", reason: reasons.join(" ") || "No chunk ever came." };
  }
  const faults = [
    ...reports.flatMap((report) => segmentFaults(report, timeline, reports.length > 1)),
    ...textsOf(notes, true),
    ...stallFaults(timeline?.gaps ?? []),
  ];
  const remarks = [
    ...reports.flatMap((report) => notesOf(report, false, reports.length > 1)),
    ...textsOf(notes, false),
    ...overlapNotes(timeline?.overlaps ?? []),
  ];
  const reason = [...faults, ...remarks].join(" ");
  return {
    verdict: faults.length === 0 ? "complete" : "degraded",
    reason: reason === "" ? null : reason,
  };
}

function textsOf(notes: readonly SegmentNote[], isLoss: boolean): string[] {
  return notes.filter((note) => note.isLoss === isLoss).map(({ text }) => text);
}

/** Says that the MP4 does not show all that was recorded. Nothing of the call is missing by that. */
function overlapNotes(overlapping: readonly Overlap[]): string[] {
  const recorded: Span[] = [];
  const atOnce: Span[] = [];
  for (const own of overlapping) {
    atOnce.push(...within(recorded, own));
    recorded.push(own);
  }
  if (atOnce.length === 0) return [];
  return [
    `More than one recorder ran at the same time (${describeSpans(atOnce)}): the MP4 shows one of them ` +
      "at each moment, first the one that began first. All of them can be downloaded as source.",
  ];
}

/**
 * The judgement of a track whose recording has segments that cannot be read: they may be of this
 * track, so nobody can say that it is complete. Pure.
 */
export function withUnreadable(
  { verdict, reason }: Judgement,
  unreadable: readonly SegmentId[],
): Judgement {
  if (unreadable.length === 0) return { verdict, reason };
  const fault = `The recording has segments that cannot be read and may be of this track: ${unreadable.join(", ")}.`;
  return {
    verdict: verdict === "complete" ? "degraded" : verdict,
    reason: reason === null ? fault : `${reason} ${fault}`,
  };
}

/** @param isNamed whether there are others, so that it must be said which segment it is about */
function notesOf({ summary, notes }: SegmentReport, isLoss: boolean, isNamed: boolean): string[] {
  return textsOf(notes, isLoss).map((text) =>
    isNamed ? `Segment ${summary.segmentId}: ${text}` : text,
  );
}

function segmentFaults(
  report: SegmentReport,
  timeline: TrackTimeline | null,
  isNamed: boolean,
): string[] {
  const { summary, damage, unusable } = report;
  const name = `Segment ${summary.segmentId}`;
  const faults: string[] = [];
  // A segment that was ended with no chunk at all lacks nothing.
  const isEmptyByIntent = summary.chunkCount === 0;
  if (unusable !== null && !isEmptyByIntent) faults.push(`${name} ${unusable}.`);
  if (summary.missing.length > 0) {
    const when = timesOf("missing-chunks", summary.segmentId, timeline);
    faults.push(`${name} lacks chunks ${describeRanges(summary.missing)}${when}.`);
  }
  const { damagedChunks, unusableBytes } = damage;
  const whenDamaged = timesOf("damaged", summary.segmentId, timeline);
  if (damagedChunks.length > 0) {
    faults.push(`${name} has damaged chunks ${describeRanges(damagedChunks)}${whenDamaged}.`);
  }
  if (unusableBytes > 0) {
    // Told once: times of damage are those of damaged chunks and of what could not be used after them.
    const when = damagedChunks.length > 0 ? "" : whenDamaged;
    faults.push(`${name} has ${unusableBytes} bytes that could not be used${when}.`);
  }
  faults.push(...notesOf(report, true, isNamed));
  if (!summary.ended) faults.push(`${name} was never ended by its client: its end may be missing.`);
  return faults;
}

/** When on the timeline a segment lacks something, in brackets; empty when that is not known. */
function timesOf(cause: GapCause, segmentId: SegmentId, timeline: TrackTimeline | null): string {
  const segment = timeline?.segments.find((candidate) => candidate.segmentId === segmentId);
  if (timeline === null || segment === undefined) return "";
  const { offsetMs, durationMs } = segment;
  const own = { fromMs: offsetMs, toMs: offsetMs + durationMs };
  const spans = timeline.gaps.filter((gap) => gap.cause === cause && overlaps(gap, own));
  return spans.length === 0 ? "" : ` (${describeSpans(spans)})`;
}

function stallFaults(gaps: readonly Gap[]): string[] {
  const stalls = gaps.filter(
    (gap) => gap.cause === "stalled" && lengthMs(gap) >= STALL_DEGRADES_MS_MIN,
  );
  const names: Record<StreamKind, string> = { video: "pictures", audio: "sound" };
  return (["video", "audio"] as const).flatMap((stream) => {
    const own = stalls.filter(({ streams }) => streams.includes(stream));
    return own.length === 0 ? [] : [`No ${names[stream]} came from ${describeSpans(own)}.`];
  });
}

/** Sequences as ranges, in order. */
export function rangesOf(sequences: readonly number[]): SequenceRange[] {
  const ranges: { from: number; to: number }[] = [];
  for (const sequence of sequences.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last.to + 1 === sequence) last.to = sequence;
    else ranges.push({ from: sequence, to: sequence });
  }
  return ranges;
}
