import { MatroskaFilter } from "../finalize/matroska-filter.ts";
import type { PassedBlock } from "../finalize/passing-blocks.ts";
import type { SegmentReader } from "../recording/ports.ts";
import { threadTurns } from "../recording/thread-turns.ts";
import type { LiveTracks } from "./live-media.ts";
import type { RecentChunks } from "./recent-chunks.ts";

/** The header is in the first chunk, or in the first few when those are tiny. */
const HEADER_CHUNKS_MAX = 8;

/** Parsed in one turn: a second of video at 2 Mbps. */
const PIECE_BYTES = 256 * 1024;

/** A block, and where in its segment it is. */
export interface PlacedBlock {
  readonly block: PassedBlock;
  /** The chunk in which it ends. */
  readonly sequence: number;
  /** Whoever reads from this chunk on sees the beginning of the block's Cluster, and so the block. */
  readonly clusterSequence: number;
}

/** The blocks of a segment, whose chunks are pushed in order of sequence, piece by piece. */
export class SegmentBlocks {
  readonly #filter: MatroskaFilter;
  #placed: PlacedBlock[] = [];
  #sequence = 0;
  #clusters = 0;
  #clusterSequence = 0;
  /** Of the block before. */
  #endSequence = 0;

  constructor() {
    this.#filter = new MatroskaFilter((block) => this.#place(block));
    // Who looks for a keyframe counts what is before it; viewers are shown none of that.
    this.#filter.keepLeading();
  }

  /** Of the header; both undefined until it has been pushed. */
  get tracks(): LiveTracks {
    const { tracks } = this.#filter;
    return {
      video: tracks.find(({ track }) => track.kind === "video")?.track,
      audio: tracks.find(({ track }) => track.kind === "audio")?.track,
    };
  }

  get hasHeader(): boolean {
    return this.#filter.hasHeader;
  }

  /** Takes the next bytes of the stream and gives the blocks that end in them, as views of them. */
  push(sequence: number, piece: Uint8Array): PlacedBlock[] {
    this.#sequence = sequence;
    this.#filter.push(piece);
    const placed = this.#placed;
    this.#placed = [];
    return placed;
  }

  /** Bytes of the stream are missing before this chunk: nothing passes up to the next Cluster. */
  gap(nextSequence: number): void {
    this.#filter.gap();
    this.#endSequence = nextSequence;
  }

  #place(block: PassedBlock): void {
    if (this.#clusters !== this.#filter.clusters) {
      this.#clusters = this.#filter.clusters;
      // A Cluster begins behind the end of the block before it.
      this.#clusterSequence = this.#endSequence;
    }
    this.#endSequence = this.#sequence;
    const { video, audio } = this.tracks;
    // Of several pictures or sounds the first is shown: in one track they would be taken for each other.
    if (block.track !== video && block.track !== audio) return;
    this.#placed.push({ block, sequence: this.#sequence, clusterSequence: this.#clusterSequence });
  }
}

/** The pieces of a payload, each in a turn of its own. */
export async function* piecesOf(payload: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let from = 0; from < payload.length; from += PIECE_BYTES) {
    await threadTurns.next();
    yield payload.subarray(from, from + PIECE_BYTES);
  }
}

/** A segment whose header has been read. */
export interface OpenedSegment {
  readonly blocks: SegmentBlocks;
  readonly tracks: LiveTracks;
  /** The chunk in which the header ends. */
  readonly sequence: number;
  /** Blocks that passed while the header was read. Emptied when they are taken. */
  readonly placed: PlacedBlock[];
  /** What of that chunk has not been pushed yet, in one piece. Emptied when it is taken. */
  readonly rest: Uint8Array[];
}

/** Reads a segment's header; undefined when it has not arrived. */
export async function openSegment(
  reader: SegmentReader,
  chunks: RecentChunks,
): Promise<OpenedSegment | undefined> {
  const blocks = new SegmentBlocks();
  const placed: PlacedBlock[] = [];
  for (let sequence = 0; sequence < HEADER_CHUNKS_MAX; sequence += 1) {
    const chunk = await chunks.read(reader, sequence);
    if (chunk === undefined) return undefined;
    const { payload } = chunk;
    for await (const piece of piecesOf(payload)) {
      placed.push(...blocks.push(sequence, piece));
      if (!blocks.hasHeader) continue;
      const pushedBytes = piece.byteOffset - payload.byteOffset + piece.length;
      const rest = [payload.subarray(pushedBytes)];
      return { blocks, tracks: blocks.tracks, placed, sequence, rest };
    }
  }
  return undefined;
}
