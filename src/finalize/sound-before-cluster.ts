import { LACING_MASK } from "./block-lacing.ts";
import { ebmlChildren, readEbmlHeader } from "./ebml.ts";
import { BLOCK_FLAG, ID, readInt16 } from "./matroska-elements.ts";

/** A run of whole elements whose Cluster's timestamp is not known. */
export interface LooseRun {
  /** Those of the track that is wanted. */
  readonly blocks: readonly LooseBlock[];
  /** Of the last block, whatever its track. */
  readonly lastRelativeTicks: number;
  /** Where that block ends. */
  readonly blocksEnd: number;
}

/** A SimpleBlock or a BlockGroup that stands in such a run. */
export interface LooseBlock {
  readonly id: number;
  /** The whole element. */
  readonly element: Uint8Array;
  /** Where its content begins in `element`. */
  readonly contentAt: number;
  /** From its Cluster's timestamp. */
  readonly relativeTicks: number;
}

/** One byte for the track, two for the time, one for the flags. */
const BLOCK_HEADER_BYTES = 4;

/** Reserved bits (RFC 9559, section 10.2): no writer sets them. */
const UNUSUAL_FLAGS = 0xff & ~(BLOCK_FLAG.key | BLOCK_FLAG.invisible | LACING_MASK | 0x01);

/** What else stands between blocks (RFC 9559, section 5): in a Cluster, and between two of them. */
const OTHER_ELEMENTS: ReadonlySet<number> = new Set([
  ID.void,
  ID.crc32,
  ID.encryptedBlock,
  ID.position,
  ID.prevSize,
  ID.silentTracks,
  ID.cues,
  ID.seekHead,
  ID.info,
  ID.tracks,
  ID.tags,
  ID.chapters,
  ID.attachments,
]);

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
  const run = runToTheEnd(bytes, tracks).filter((place) => place.block !== undefined);
  const blocks = run.flatMap(({ id, from, contentAt, to, block }): LooseBlock[] => {
    if (block?.track !== wanted) return [];
    const { relativeTicks } = block;
    return [{ id, element: bytes.subarray(from, to), contentAt: contentAt - from, relativeTicks }];
  });
  // Times of sound only ascend. Where they do not, a block before that was none.
  const firstInOrder = blocks.findLastIndex(({ relativeTicks }, i) => {
    const before = blocks[i - 1]?.relativeTicks ?? relativeTicks - 1;
    return before >= relativeTicks || relativeTicks - before > STEP_TICKS_MAX;
  });
  const last = run.at(-1);
  if (last?.block === undefined || blocks.length === 0) return undefined;
  return {
    blocks: blocks.slice(Math.max(0, firstInOrder)),
    lastRelativeTicks: last.block.relativeTicks,
    blocksEnd: last.to,
  };
}

interface Place {
  readonly id: number;
  readonly from: number;
  readonly contentAt: number;
  /** Exclusive. */
  readonly to: number;
  /** Undefined when it is no block. */
  readonly block: { readonly track: number; readonly relativeTicks: number } | undefined;
}

function runToTheEnd(bytes: Uint8Array, tracks: ReadonlySet<number>): Place[] {
  // Where a block was tried from which no run leads to the end.
  const leadsNowhere = new Uint8Array(bytes.length + 1);
  for (let from = 0; from < bytes.length; from += 1) {
    const run: Place[] = [];
    let at = from;
    while (at < bytes.length && leadsNowhere[at] === 0 && run.length < RUN_BLOCKS_MAX) {
      const place = elementAt(bytes, at, tracks);
      if (place === undefined) break;
      run.push(place);
      at = place.to;
    }
    if (at === bytes.length) {
      const blocks = run.filter(({ block }) => block !== undefined);
      return blocks.length >= RUN_BLOCKS_MIN ? run : [];
    }
    for (const place of run) leadsNowhere[place.from] = 1;
    leadsNowhere[at] = 1;
  }
  return [];
}

function elementAt(
  bytes: Uint8Array,
  from: number,
  tracks: ReadonlySet<number>,
): Place | undefined {
  const header = readEbmlHeader(bytes, from);
  if (header === "short" || header === "invalid" || header.dataBytes === undefined) {
    return undefined;
  }
  const { id } = header;
  const contentAt = from + header.headerBytes;
  const to = contentAt + header.dataBytes;
  if (to > bytes.length) return undefined;
  if (OTHER_ELEMENTS.has(id)) return { id, from, contentAt, to, block: undefined };
  if (id === ID.simpleBlock) {
    const block = blockIn(bytes, contentAt, to, tracks);
    return block && { id, from, contentAt, to, block };
  }
  if (id !== ID.blockGroup) return undefined;
  for (const child of ebmlChildren(bytes.subarray(contentAt, to))) {
    if (child.id !== ID.block) continue;
    const block = blockIn(child.data, 0, child.data.length, tracks);
    return block && { id, from, contentAt, to, block };
  }
  return undefined;
}

function blockIn(
  bytes: Uint8Array,
  from: number,
  to: number,
  tracks: ReadonlySet<number>,
): Place["block"] {
  if (to - from < BLOCK_HEADER_BYTES) return undefined;
  const track = bytes[from] ?? 0;
  const flags = bytes[from + 3] ?? 0;
  const isPlausible = track >= 0x80 && tracks.has(track & 0x7f) && (flags & UNUSUAL_FLAGS) === 0;
  return isPlausible
    ? { track: track & 0x7f, relativeTicks: readInt16(bytes, from + 1) }
    : undefined;
}
