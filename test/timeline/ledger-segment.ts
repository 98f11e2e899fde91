import { segmentIdSchema } from "../../src/contract/ids.ts";
import type { Mark } from "../../src/contract/marks.ts";
import type { Pause } from "../../src/timeline/segment-timeline.ts";
import type { LedgerSegment, StreamExtent } from "../../src/timeline/segment-gaps.ts";

/** When the recordings of these tests begin, in milliseconds since the epoch. */
export const STARTED_AT_MS = 1_700_000_000_000;

/**
 * Begin and end of a stream, and its holes, in milliseconds of media time; of some, when pictures come
 * again that are of no use.
 */
export type PlainExtent = readonly [
  firstMs: number,
  endMs: number,
  ...holes: (readonly [fromMs: number, toMs: number, resumesMs?: number])[],
];

/** A segment of chunks of a second each, told by what differs from an undisturbed one. */
export interface PlainSegment {
  /** Where its media time 0 stands, from the recording's zero. */
  readonly beginMs?: number;
  readonly chunkCount?: number;
  readonly video?: PlainExtent | null;
  readonly audio?: PlainExtent | null;
  readonly pauses?: readonly Pause[];
  readonly marks?: readonly Mark[];
  /** Sequences that never came. */
  readonly missing?: readonly number[];
  /** Sequences whose bytes are damaged. */
  readonly damaged?: readonly number[];
  readonly isEnded?: boolean;
  /** Whether the sender stamps its chunks. */
  readonly isStamped?: boolean;
  /** Of one that others overlap: when all of it was recorded, from the recording's zero. */
  readonly recorded?: readonly [fromMs: number, toMs: number];
  /** Whether another is shown from its end on. */
  readonly isTakenOver?: boolean;
  /** From when on it is shown instead of another, from the recording's zero. */
  readonly takesOverMs?: number;
}

/** The segment as the ledger takes it; ten seconds of picture and sound unless told otherwise. */
export function ledgerSegment({
  beginMs = 0,
  chunkCount = 10,
  video = [0, chunkCount * 1_000],
  audio = [0, chunkCount * 1_000],
  pauses = [],
  marks = [],
  missing = [],
  damaged = [],
  isEnded = true,
  isStamped = true,
  recorded,
  isTakenOver = false,
  takesOverMs,
}: PlainSegment): LedgerSegment {
  const epochMs = STARTED_AT_MS + beginMs;
  const stored = Array.from({ length: chunkCount }, (_, sequence) => sequence).filter(
    (sequence) => !missing.includes(sequence),
  );
  return {
    timeline: {
      segmentId: segmentIdSchema.parse(crypto.randomUUID()),
      beginMs: epochMs,
      rate: 1,
      pauses,
    },
    video: video === null ? null : extentOf(video),
    audio: audio === null ? null : extentOf(audio),
    marks,
    stamps: stored.map((sequence) => ({
      sequence,
      byteLength: 1_000,
      capturedAtMs: isStamped ? epochMs + sequence * 1_000 : null,
      receivedAtMs: epochMs + sequence * 1_000 + 1_100,
    })),
    chunkEnds: stored
      .filter((sequence) => !damaged.includes(sequence))
      .map((sequence) => ({ sequence, mediaEndMs: (sequence + 1) * 1_000 })),
    chunkCount: isEnded ? chunkCount : null,
    damagedChunks: damaged.map((sequence) => ({ from: sequence, to: sequence })),
    overlap: recorded && {
      recorded: { fromMs: STARTED_AT_MS + recorded[0], toMs: STARTED_AT_MS + recorded[1] },
      isTakenOver,
      takesOverMs: takesOverMs === undefined ? undefined : STARTED_AT_MS + takesOverMs,
    },
  };
}

/** A mark that tells what kind of pictures a segment has. */
export function began(pictures: "continuous" | "on-change" | null): Mark {
  return { type: "began", atMs: STARTED_AT_MS, reason: "start", pictures };
}

function extentOf([firstMs, endMs, ...holes]: PlainExtent): StreamExtent {
  return {
    firstMs,
    endMs,
    holes: holes.map(([fromMs, toMs, resumesMs]) => ({ fromMs, toMs, resumesMs })),
  };
}
