import { readEbmlHeader } from "./ebml.ts";

/** A run of whole SimpleBlocks whose Cluster's timestamp is not known. */
export interface LooseRun {
  /** Those of the track that is wanted. */
  readonly blocks: readonly LooseBlock[];
  /** Of the last block, whatever its track. */
  readonly lastRelativeTicks: number;
}

/** A SimpleBlock that stands in such a run. */
export interface LooseBlock {
  /** The whole element. */
  readonly element: Uint8Array;
  /** Where its content begins in `element`. */
  readonly contentAt: number;
  /** From its Cluster's timestamp. */
  readonly relativeTicks: number;
}

const SIMPLE_BLOCK = 0xa3;

/** One byte for the track, two for the time, one for the flags. */
const BLOCK_HEADER_BYTES = 4;

/** Reserved bits and lacing (RFC 9559, section 10.2): recorders set none of them. */
const UNUSUAL_FLAGS = 0x76;

/** So many blocks in a row, each beginning where the one before it ends, are no coincidence. */
const RUN_BLOCKS_MIN = 4;

/** More than a Cluster has in the 65 s that a block's time can be from its own, of all tracks. */
const RUN_BLOCKS_MAX = 20_000;

/** Blocks that follow each other are not farther apart. */
const STEP_TICKS_MAX = 5_000;

/**
 * The longest run of SimpleBlocks that ends exactly with `bytes`, where a Cluster begins. What stands
 * before the run, such as half a block, does not matter. Undefined when there is no run, or no block
 * of the wanted track in it. Takes time in proportion to the bytes, whatever they are.
 *
 * @param tracks numbers that blocks may have
 * @param wanted the number of the track that is wanted
 */
export function looseRun(
  bytes: Uint8Array,
  tracks: ReadonlySet<number>,
  wanted: number,
): LooseRun | undefined {
  const run = runToTheEnd(bytes, tracks);
  const ticksAt = (at: number): number => (((bytes[at] ?? 0) << 24) >> 16) | (bytes[at + 1] ?? 0);
  const blocks = run.flatMap(({ from, contentAt, to }): LooseBlock[] => {
    const at = contentAt;
    if (((bytes[at] ?? 0) & 0x7f) !== wanted) return [];
    const element = bytes.subarray(from, to);
    return [{ element, contentAt: contentAt - from, relativeTicks: ticksAt(at + 1) }];
  });
  // Times of sound only ascend. Where they do not, a block before that was none.
  const firstInOrder = blocks.findLastIndex(({ relativeTicks }, i) => {
    const before = blocks[i - 1]?.relativeTicks ?? relativeTicks - 1;
    return before >= relativeTicks || relativeTicks - before > STEP_TICKS_MAX;
  });
  const last = run.at(-1);
  if (last === undefined || blocks.length === 0) return undefined;
  return {
    blocks: blocks.slice(Math.max(0, firstInOrder)),
    lastRelativeTicks: ticksAt(last.contentAt + 1),
  };
}

interface Place {
  readonly from: number;
  readonly contentAt: number;
  /** Exclusive. */
  readonly to: number;
}

function runToTheEnd(bytes: Uint8Array, tracks: ReadonlySet<number>): Place[] {
  // Where a block was tried from which no run leads to the end.
  const leadsNowhere = new Uint8Array(bytes.length + 1);
  for (let from = 0; from < bytes.length; from += 1) {
    const run: Place[] = [];
    let at = from;
    while (at < bytes.length && leadsNowhere[at] === 0 && run.length < RUN_BLOCKS_MAX) {
      const place = blockAt(bytes, at, tracks);
      if (place === undefined) break;
      run.push(place);
      at = place.to;
    }
    if (at === bytes.length) return run.length >= RUN_BLOCKS_MIN ? run : [];
    for (const place of run) leadsNowhere[place.from] = 1;
    leadsNowhere[at] = 1;
  }
  return [];
}

function blockAt(bytes: Uint8Array, from: number, tracks: ReadonlySet<number>): Place | undefined {
  if (bytes[from] !== SIMPLE_BLOCK) return undefined;
  const header = readEbmlHeader(bytes, from);
  if (header === "short" || header === "invalid" || header.dataBytes === undefined) {
    return undefined;
  }
  const contentAt = from + header.headerBytes;
  const to = contentAt + header.dataBytes;
  if (header.dataBytes < BLOCK_HEADER_BYTES || to > bytes.length) return undefined;
  const track = bytes[contentAt] ?? 0;
  const flags = bytes[contentAt + 3] ?? 0;
  const isPlausible = track >= 0x80 && tracks.has(track & 0x7f) && (flags & UNUSUAL_FLAGS) === 0;
  return isPlausible ? { from, contentAt, to } : undefined;
}
