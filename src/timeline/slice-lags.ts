import type { Mark } from "../contract/marks.ts";
import type { ChunkStamp } from "../recording/ports.ts";

/** What one chunk tells of where the segment's media time stands on the clock. */
export interface SliceLag {
  /** Up to where the media reaches at the end of the chunk. */
  readonly mediaEndMs: number;
  /** When the recorder handed the chunk over, on the server's clock. */
  readonly atMs: number;
  /**
   * `atMs`, less the pauses before it whose both marks are known, less `mediaEndMs`: when media time 0
   * was, if encoding took no time. So it is too late by what the encoder still held, and never too early
   * by more than the clock's error.
   */
  readonly beginMs: number;
}

/** A pause whose both marks are there. */
export interface MarkedPause {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The pauses whose both marks are there, in order: no other such mark stands between them. */
export function markedPauses(marks: readonly Mark[]): MarkedPause[] {
  const pauses: MarkedPause[] = [];
  let fromMs: number | undefined;
  for (const { type, atMs } of marks) {
    if (type === "resumed" && fromMs !== undefined) pauses.push({ fromMs, toMs: atMs });
    if (type === "resumed") fromMs = undefined;
    if (type === "paused") fromMs = atMs;
  }
  return pauses;
}

/** A mark of a pause whose other mark is not there, and when the marks of pauses around it are. */
export interface LoneMark {
  readonly type: "paused" | "resumed";
  readonly atMs: number;
  readonly beforeMs: number | undefined;
  readonly afterMs: number | undefined;
}

/** The marks that are no part of `markedPauses`, in order of time. */
export function loneMarks(marks: readonly Mark[]): LoneMark[] {
  const changes = marks.flatMap(({ type, atMs }) =>
    type === "paused" || type === "resumed" ? [{ type, atMs }] : [],
  );
  return changes.flatMap((mark, i) => {
    const before = changes[i - 1];
    const after = changes[i + 1];
    const isPaired = mark.type === "paused" ? after?.type === "resumed" : before?.type === "paused";
    return isPaired ? [] : [{ ...mark, beforeMs: before?.atMs, afterMs: after?.atMs }];
  });
}

/**
 * The lag of each chunk whose end is known on both clocks: a slice ends where that of the next chunk
 * begins, the last one with the mark `ended`.
 *
 * @param stamps in order of sequence, credible
 * @param marks in order of time
 * @param ends in order of sequence
 */
export function sliceLags(
  stamps: readonly ChunkStamp[],
  marks: readonly Mark[],
  ends: readonly { readonly sequence: number; readonly mediaEndMs: number }[],
): SliceLag[] {
  const pauses = markedPauses(marks);
  const begins = new Map(stamps.map(({ sequence, capturedAtMs }) => [sequence, capturedAtMs]));
  const last = stamps.at(-1);
  const ended = marks.findLast(({ type }) => type === "ended");
  if (last !== undefined && ended !== undefined) begins.set(last.sequence + 1, ended.atMs);
  const lags: SliceLag[] = [];
  let over = 0;
  let pausedMs = 0;
  for (const { sequence, mediaEndMs } of ends) {
    const atMs = begins.get(sequence + 1);
    if (atMs === undefined || atMs === null) continue;
    // A slice that ends with a pause is followed by one that begins when that is over.
    for (; over < pauses.length; over += 1) {
      const { fromMs, toMs } = pauses[over] ?? { fromMs: 0, toMs: Infinity };
      if (toMs > atMs) break;
      pausedMs += toMs - fromMs;
    }
    lags.push({ mediaEndMs, atMs, beginMs: atMs - pausedMs - mediaEndMs });
  }
  return lags;
}
