import type { SegmentSummary, Verdict } from "../contract/recordings.ts";
import type { SegmentId } from "../contract/ids.ts";
import type { SequenceRange } from "../contract/chunks.ts";
import { describeRanges } from "../recording/errors.ts";
import type { SegmentDamage, SegmentReader } from "../recording/ports.ts";

/** What a run found of one segment. */
export interface SegmentReport {
  readonly summary: SegmentSummary;
  readonly damage: SegmentDamage;
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

/** Judges a track by its segments. Pure. */
export function judgeTrack(reports: readonly SegmentReport[]): Judgement {
  if (reports.every(({ unusable }) => unusable !== null)) {
    const reasons = reports.map(
      ({ summary, unusable }) => `Segment ${summary.segmentId} ${unusable}.`,
    );
    return { verdict: "lost", reason: reasons.join(" ") || "No chunk ever came." };
  }
  const faults = reports.flatMap(segmentFaults);
  return faults.length === 0
    ? { verdict: "complete", reason: null }
    : { verdict: "degraded", reason: faults.join(" ") };
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

function segmentFaults(report: SegmentReport): string[] {
  const { summary, damage, unusable } = report;
  const name = `Segment ${summary.segmentId}`;
  const faults: string[] = [];
  // A segment that was ended with no chunk at all lacks nothing.
  const isEmptyByIntent = summary.chunkCount === 0;
  if (unusable !== null && !isEmptyByIntent) faults.push(`${name} ${unusable}.`);
  if (summary.missing.length > 0) {
    faults.push(`${name} lacks chunks ${describeRanges(summary.missing)}.`);
  }
  if (damage.damagedChunks.length > 0) {
    faults.push(`${name} has damaged chunks ${describeRanges(damage.damagedChunks)}.`);
  }
  if (damage.unusableBytes > 0) {
    faults.push(`${name} has ${damage.unusableBytes} bytes that could not be used.`);
  }
  if (!summary.ended) faults.push(`${name} was never ended by its client: its end may be missing.`);
  return faults;
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
