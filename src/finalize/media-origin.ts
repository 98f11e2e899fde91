import type { SegmentReader } from "../recording/ports.ts";
import type { ChunkEnd } from "./chunk-ends.ts";
import type { SourceCounts } from "./media-check.ts";
import type { Hole, StreamCount } from "./source-stream.ts";

/** What a segment's media hold, on a clock whose zero is where its recorder began. */
export interface MediaTimes {
  readonly counts: SourceCounts;
  readonly chunkEnds: readonly ChunkEnd[];
  /** That zero on the clock of the bytes, in milliseconds. */
  readonly originMs: number;
}

/**
 * A recorder's clock begins with its recording. Media whose first packet is later than this, though nothing
 * is missing before it, have the clock of something else: of a stream that was joined on its way.
 */
const ORIGIN_MS_MAX = 10_000;

/**
 * The same times, with the first packet at 0 where the clock of the bytes cannot be the recorder's own. Pure.
 *
 * @param damaged sequences of chunks that could not be read
 */
export function sinceBegin(
  { state: { sequences } }: Pick<SegmentReader, "state">,
  { counts, chunkEnds }: Omit<MediaTimes, "originMs">,
  damaged: readonly number[],
): MediaTimes {
  const startMs = startMsOf(counts);
  const first = chunkEnds[0]?.sequence;
  const isWhole =
    first !== undefined &&
    sequences.missing(first).length === 0 &&
    damaged.every((sequence) => sequence > first);
  if (!isWhole || !(startMs > ORIGIN_MS_MAX)) return { counts, chunkEnds, originMs: 0 };
  return {
    counts: earlierCounts(counts, startMs),
    chunkEnds: chunkEnds.map((end) => ({ ...end, mediaEndMs: end.mediaEndMs - startMs })),
    originMs: startMs,
  };
}

/**
 * Media time of the first packet of any stream, also of one that is left out: in the segment's MP4 that is
 * 0, as ffmpeg makes it.
 */
export function startMsOf({ video, audio, others = [] }: SourceCounts): number {
  return Math.min(...[video, audio, ...others].flatMap((count) => count?.firstMs ?? []));
}

/** What was counted, with all times earlier. Pure. */
export function earlierCounts({ video, audio, others }: SourceCounts, byMs: number): SourceCounts {
  return {
    video: video && earlier(video, byMs),
    audio: audio && earlier(audio, byMs),
    ...(others && { others: others.map((count) => earlier(count, byMs)) }),
  };
}

function earlier(count: StreamCount, byMs: number): StreamCount {
  const { packets, visiblePackets, bytes, deficitMs, packetMs, picture } = count;
  const { leading, furthestBackMs, primingMs } = count;
  const moved = (ms: number | undefined): number | undefined =>
    ms === undefined ? undefined : ms - byMs;
  const movedHole = ({ fromMs, toMs, resumesMs }: Hole): Hole => ({
    fromMs: fromMs - byMs,
    toMs: toMs - byMs,
    ...(resumesMs !== undefined && { resumesMs: resumesMs - byMs }),
  });
  return {
    packets,
    visiblePackets,
    bytes,
    firstMs: moved(count.firstMs),
    lastMs: moved(count.lastMs),
    endMs: moved(count.endMs),
    holes: count.holes.map((hole) => movedHole(hole)),
    packetMs,
    picture,
    leading: leading && movedHole(leading),
    ...(deficitMs !== undefined && { deficitMs }),
    ...(furthestBackMs !== undefined && { furthestBackMs }),
    ...(primingMs !== undefined && { primingMs }),
  };
}
