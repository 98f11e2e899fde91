import type { TrackBell } from "../recording/track-bells.ts";
import type { ChunkStore, Clock, SegmentKey, StoredChunk } from "../recording/ports.ts";
import { threadTurns } from "../recording/thread-turns.ts";
import type { RecentChunks } from "./recent-chunks.ts";

/** How long a missing chunk is waited for while later ones are there: most come a retry later. */
export const GAP_WAIT_MS = 1_500;

/** A viewer that falls so far behind what has arrived goes on at the newest chunk. */
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
  readonly chunks: RecentChunks;
  /**
   * Asked before a chunk of so many bytes is read: the viewer holds it until it asks for the next one,
   * when this is called with 0. A chunk for which it is false is left out.
   */
  readonly hold: (byteLength: number) => boolean;
  readonly clock: Clock;
  /** Of the segment's track; listened to since before `fromSequence` was found out. */
  readonly bell: TrackBell;
  /** Chunks before this one that are missing are not waited for. */
  readonly settledBefore: number;
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
  { store, chunks, hold, clock, bell, settledBefore, isOver, onDamaged, signal }: FollowParts,
): AsyncGenerator<FollowedChunk> {
  let next = fromSequence;
  let isAfterGap = false;
  let missingSinceMs: number | undefined;
  // A viewer that joins at a keyframe far back is behind from the beginning, and has time to catch up.
  let lagMsMax: number | undefined;
  const skipTo = (sequence: number): void => {
    isAfterGap ||= sequence !== next;
    next = sequence;
  };
  while (!signal.aborted) {
    // All viewers of a track wake up when a chunk arrives, which is being acknowledged just then.
    await threadTurns.next();
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
        if (next < settledBefore || clock.nowMs() - missingSinceMs >= GAP_WAIT_MS) {
          const gap = sequences.missing().find(({ from, to }) => from <= next && next <= to);
          skipTo((gap?.to ?? next) + 1);
        }
      }
      if (sequences.has(next)) {
        missingSinceMs = undefined;
        const newest = sequences.end - 1;
        if (!hold(reader.byteLengthOf(next) ?? 0)) skipTo(next + 1);
        else {
          found = await chunks.read(reader, next);
          if (found === undefined) {
            onDamaged(next);
            skipTo(next + 1);
          } else {
            const lagMs = clock.nowMs() - found.receivedAtMs;
            lagMsMax = lagMs <= LAG_MS_MAX ? LAG_MS_MAX : (lagMsMax ?? lagMs + LAG_MS_MAX);
            if (lagMs > lagMsMax && next !== newest) {
              found = undefined;
              skipTo(newest);
            }
          }
        }
      }
    } finally {
      await reader.close();
    }
    if (found !== undefined) {
      next += 1;
      yield { chunk: found, isAfterGap };
      isAfterGap = false;
      hold(0);
    }
    if (next !== before) continue;
    if (await isOver()) return;
    const waitedMs = missingSinceMs === undefined ? 0 : clock.nowMs() - missingSinceMs;
    const waitMs = missingSinceMs === undefined ? IDLE_CHECK_MS : GAP_WAIT_MS - waitedMs;
    await bell.rung(Math.max(0, waitMs), signal);
  }
}
