import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import type { SegmentDamage } from "../recording/ports.ts";
import type { ChunkEnd } from "./chunk-ends.ts";
import type { FfmpegFailedError } from "./finalize-errors.ts";
import { FinalizeError, NothingWholeError, passingFailure } from "./finalize-errors.ts";
import type { FfmpegConfinement } from "./ffmpeg-confinement.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";
import { type SourceCounts, checkMedia } from "./media-check.ts";
import type { Mp4Index } from "./mp4-index.ts";
import { planPicture } from "./picture-size.ts";
import { remuxNotes } from "./remux-notes.ts";
import { type JoinTargets, type RemuxPlan, planRemux } from "./remux-plan.ts";
import type { SegmentNote } from "./segment-note.ts";
import type { SourceStreams } from "./source-stream.ts";

/** What a run has at hand. */
export interface RemuxContext {
  readonly ffmpeg: FfmpegBinary;
  readonly confinement: FfmpegConfinement;
  readonly limits: FinalizeLimits;
  /** A directory of this run alone, on the file system of the recordings. */
  readonly workDirectory: string;
  readonly signal: AbortSignal;
  /** Share of the segment that is done, 0 to 1. */
  readonly onProgress: (share: number) => void;
  /**
   * Takes why a segment could not be made as it is to be this time, which then does not keep the others,
   * or what of it can be made, from being delivered. Without it, what may pass fails the run.
   */
  readonly leaveOut?: (failure: FfmpegFailedError) => void;
  /** Takes why a way to make a segment was given up for another, for the log. */
  readonly onWayFailed?: (failure: FinalizeError) => void;
}

/** An MP4 of one segment that was compared with its chunks. */
export interface SegmentMedia {
  readonly path: string;
  readonly plan: RemuxPlan;
  readonly counts: SourceCounts;
  readonly index: Mp4Index;
  readonly damage: SegmentDamage;
  /** Whether pictures can be missing that others need to be decoded. */
  readonly isIncomplete: boolean;
  /** How far its media reach at the end of each chunk; empty where that is not known. */
  readonly chunkEnds: readonly ChunkEnd[];
  /** What its verdict has to name. */
  readonly notes: readonly SegmentNote[];
  /** Whether it holds as many packets, at the same times, as were counted in the chunks. */
  readonly hasAsCounted: boolean;
}

/**
 * Most bytes of the index for a packet: 4 in `stsz`, 8 in `stts`, 12 in `stsc` and 8 in `co64` when
 * every packet is a chunk of its own, 8 in `ctts` with B-frames, 4 in `stss` for a keyframe (ISO/IEC
 * 14496-12, 8.6 and 8.7).
 */
const INDEX_BYTES_PER_PACKET_MAX = 44;

export const INDEX_BYTES_BASE = 16 * 1024;

/** Frames of AAC are 1,024 samples: 94 of 96 kHz in a second. */
const ENCODED_SOUND_FRAME_MS_MIN = 10;

/**
 * How a segment becomes an MP4.
 *
 * @throws MediaUnreadableError
 */
export function planOrThrow(
  streams: SourceStreams,
  { ffmpeg }: RemuxContext,
  targets: JoinTargets,
): RemuxPlan {
  const decision = planRemux(streams, ffmpeg.abilities, targets);
  if (decision.outcome === "unsupported") throw new NothingWholeError(decision.reason);
  return decision.plan;
}

/** The MP4 of a segment in which all is as it was counted in the chunks; undefined when it is not. */
export function wholeMedia(
  media: Omit<SegmentMedia, "notes" | "hasAsCounted">,
): SegmentMedia | undefined {
  const { plan, counts, index } = media;
  if (checkMedia(plan, counts, index, media.isIncomplete).length > 0) return undefined;
  const notes = [
    ...remuxNotes({ base: plan, plan, counts, findings: [], shown: undefined, mayPass: false }),
    ...planPicture(plan, counts.video?.picture).notes,
  ];
  return { ...media, notes, hasAsCounted: true };
}

/** Room that is surely enough for the index of what becomes of so many packets. */
export function indexBytesMaxOf({ video, audio }: SourceCounts, plan: RemuxPlan): number {
  const { firstMs = 0, endMs = firstMs } = audio ?? {};
  const soundPackets = Math.max(
    audio?.packets ?? 0,
    plan.audio?.action === "transcode" ? (endMs - firstMs) / ENCODED_SOUND_FRAME_MS_MIN : 0,
  );
  const packets = (video?.packets ?? 0) + Math.ceil(soundPackets);
  return INDEX_BYTES_BASE + packets * INDEX_BYTES_PER_PACKET_MAX;
}

/**
 * Whether a way came to an end. One that failed for what may pass fails the run, unless this is the time
 * to deliver what can be made.
 */
export async function comesToAnEnd(
  attempt: () => Promise<void>,
  { leaveOut, onWayFailed }: RemuxContext,
): Promise<boolean> {
  try {
    await attempt();
    return true;
  } catch (error) {
    const failure = error instanceof FinalizeError ? error : passingFailure(error);
    if (failure === undefined || !(failure.isPermanent || leaveOut)) throw error;
    onWayFailed?.(failure);
    return false;
  }
}
