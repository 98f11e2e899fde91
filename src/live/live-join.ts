import type { PassedBlock } from "../finalize/passing-blocks.ts";
import type { JoinPoint } from "./join-points.ts";
import { type OpenedSegment, type PlacedBlock, piecesOf } from "./segment-blocks.ts";
import type { FollowedChunk } from "./segment-follower.ts";

/** Blocks that a viewer is to be given; there can be none. */
export interface JoinedPiece {
  /** Views of the chunk's bytes. */
  readonly blocks: readonly PassedBlock[];
  /** Bytes of the stream are missing before them. */
  readonly isAfterGap: boolean;
}

/** The chunk from which on a segment is followed behind what its opening has read. */
export function followedFrom(opened: OpenedSegment, { fromSequence }: JoinPoint): number {
  return Math.max(fromSequence, opened.sequence + 1);
}

/**
 * The blocks of a segment from a join point on, piece by piece: the next one is parsed when it is asked
 * for.
 *
 * @param chunks from `followedFrom` on
 */
export async function* joinSegment(
  { blocks, sequence, placed, rest }: OpenedSegment,
  point: JoinPoint,
  chunks: AsyncIterable<FollowedChunk>,
): AsyncGenerator<JoinedPiece, void, undefined> {
  let hasBegun = false;
  const shown = (pieceBlocks: readonly PlacedBlock[]): PassedBlock[] => {
    const first = hasBegun ? 0 : pieceBlocks.findIndex((each) => point.begins(each));
    if (first === -1) return [];
    hasBegun = true;
    return pieceBlocks.slice(first).map(({ block }) => block);
  };
  // They are not kept for as long as somebody watches.
  const [headerBlocks, headerRest] = [placed.splice(0), rest.splice(0)];
  if (point.fromSequence <= sequence) {
    yield { blocks: shown(headerBlocks.splice(0)), isAfterGap: false };
    for (const payload of headerRest.splice(0)) {
      for await (const piece of piecesOf(payload)) {
        yield { blocks: shown(blocks.push(sequence, piece)), isAfterGap: false };
      }
    }
  } else blocks.gap(point.fromSequence);
  for await (const { chunk, isAfterGap } of chunks) {
    if (isAfterGap) {
      blocks.gap(chunk.sequence);
      yield { blocks: [], isAfterGap };
    }
    for await (const piece of piecesOf(chunk.payload)) {
      yield { blocks: shown(blocks.push(chunk.sequence, piece)), isAfterGap: false };
    }
  }
}
