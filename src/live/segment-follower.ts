import type { TrackBell } from "../recording/track-bells.ts";
import type {
  ChunkStore,
  Clock,
  SegmentKey,
  SegmentReader,
  StoredChunk,
} from "../recording/ports.ts";

/** How long a missing chunk is waited for while later ones are there: most come a retry later. */
export const GAP_WAIT_MS = 1_500;

/** A viewer that is so far behind what has arrived goes on at the newest chunk. */
const LAG_MS_MAX = 5_000;

/** How often it is looked whether a segment without news has come to its end. */
const IDLE_CHECK_MS = 2_000;

/** A chunk in order of sequence; bytes of the stream are missing before it when `isAfterGap`. */
export interface FollowedChunk {
  readonly chunk: StoredChunk;
  readonly isAfterGap: boolean;
}

/** What following a segment needs. */
export interface FollowParts {
  readonly store: ChunkStore;
  readonly clock: Clock;
  /** Of the segment's track; listened to since before `fromSequence` was found out. */
  readonly bell: TrackBell;
  /** Whether nothing more is to be waited for. */
  readonly isOver: () => Promise<boolean>;
  readonly onDamaged: (sequence: number) => void;
  readonly signal: AbortSignal;
}

/**
 * The chunks of a segment as they become durable, in order of sequence, until the segment is ended,
 * it is over, or the signal aborts. Reads only when the next is asked for; whoever asks too slowly
 * misses what lies between.
 */
export async function* followSegment(
  { recordingId, segmentId }: SegmentKey,
  fromSequence: number,
  { store, clock, bell, isOver, onDamaged, signal }: FollowParts,
): AsyncGenerator<FollowedChunk> {
  let next = fromSequence;
  let isAfterGap = false;
  let missingSinceMs: number | undefined;
  const skipTo = (sequence: number): void => {
    isAfterGap ||= sequence !== next;
    next = sequence;
  };
  while (!signal.aborted) {
    const reader = await store.read(recordingId, segmentId);
    if (reader === undefined) return;
    const before = next;
    let found: StoredChunk | undefined;
    // The file is not kept open while the viewer takes its time.
    try {
      const { sequences, chunkCount } = reader.state;
      if (chunkCount !== null && next >= chunkCount) return;
      if (!sequences.has(next) && sequences.end > next) {
        missingSinceMs ??= clock.nowMs();
        if (clock.nowMs() - missingSinceMs >= GAP_WAIT_MS) {
          const gap = sequences.missing().find(({ from, to }) => from <= next && next <= to);
          skipTo((gap?.to ?? next) + 1);
        }
      }
      if (sequences.has(next)) {
        missingSinceMs = undefined;
        found = await firstChunk(reader, next, (sequence) => {
          onDamaged(sequence);
          if (sequence === next) skipTo(sequence + 1);
        });
        const newest = sequences.end - 1;
        if (found !== undefined && found.sequence !== next) found = undefined;
        else if (isLate(found, clock) && next !== newest) {
          found = undefined;
          skipTo(newest);
        }
      }
    } finally {
      await reader.close();
    }
    if (found !== undefined) {
      next += 1;
      yield { chunk: found, isAfterGap };
      isAfterGap = false;
    }
    if (next !== before) continue;
    if (await isOver()) return;
    const waitedMs = missingSinceMs === undefined ? 0 : clock.nowMs() - missingSinceMs;
    const waitMs = missingSinceMs === undefined ? IDLE_CHECK_MS : GAP_WAIT_MS - waitedMs;
    await bell.rung(Math.max(0, waitMs), signal);
  }
}

async function firstChunk(
  reader: SegmentReader,
  fromSequence: number,
  onDamaged: (sequence: number) => void,
): Promise<StoredChunk | undefined> {
  for await (const chunk of reader.chunks(onDamaged, { fromSequence })) return chunk;
  return undefined;
}

function isLate(chunk: StoredChunk | undefined, clock: Clock): boolean {
  return chunk !== undefined && clock.nowMs() - chunk.receivedAtMs > LAG_MS_MAX;
}
