import { MatroskaFilter, type PassedBlock } from "../finalize/matroska-filter.ts";
import type { SegmentReader } from "../recording/ports.ts";
import type { LiveTracks } from "./live-media.ts";

/** So many chunks back a keyframe is looked for, one step after the other; a chunk is about a second. */
const NEAR_STEPS_CHUNKS = [4, 12, 40] as const;
/** Of recorders that make a keyframe only when they must, and of screens that stand still. */
const FAR_STEPS_CHUNKS = [160, 640, Infinity] as const;

/** Most bytes since the last keyframe that a viewer is given when it joins. */
export const JOIN_BYTES_MAX = 32 * 1024 * 1024;

/** The header is in the first chunk, or in the first few when that is tiny. */
const HEADER_CHUNKS_MAX = 8;

/** Of sound without pictures, so much is given at once. */
const JOIN_SOUND_MS = 1_000;

/** Where a viewer enters a running segment. */
export interface LiveJoin {
  /** Has seen everything before `nextSequence`, with gaps. */
  readonly filter: MatroskaFilter;
  readonly tracks: LiveTracks;
  /** From the last keyframe on; empty while there is none. */
  readonly blocks: PassedBlock[];
  readonly nextSequence: number;
}

/**
 * Reads the header and what came last: pictures from the last keyframe on, so that the first one can
 * be shown at once. Undefined while the header has not come.
 *
 * @param onBlock gets the blocks that come later
 * @param looksFar whether a keyframe is looked for as far back as `JOIN_BYTES_MAX` lets it be of use.
 * That takes long: not for each chunk that comes while a viewer waits.
 */
export async function joinSegment(
  reader: SegmentReader,
  onBlock: (block: PassedBlock) => void,
  looksFar = true,
): Promise<LiveJoin | undefined> {
  const { end } = reader.state.sequences;
  let join: LiveJoin | undefined;
  const isSettled = (): boolean =>
    join === undefined || join.tracks.video === undefined || join.blocks.length > 0;
  let fromSequence = end;
  for (const chunksBack of NEAR_STEPS_CHUNKS) {
    fromSequence = Math.max(0, end - chunksBack);
    join = await joinFrom(reader, fromSequence, onBlock);
    if (isSettled() || fromSequence === 0) return join;
  }
  if (!looksFar) return join;
  const firstOfUse = await firstWithin(reader, JOIN_BYTES_MAX);
  for (const chunksBack of FAR_STEPS_CHUNKS) {
    if (fromSequence <= firstOfUse) break;
    fromSequence = Math.max(firstOfUse, end - chunksBack);
    join = await joinFrom(reader, fromSequence, onBlock);
    if (isSettled()) break;
  }
  return join;
}

/** Where the last so many bytes of a segment begin; only the chunks' headers are read. */
async function firstWithin(reader: SegmentReader, bytesMax: number): Promise<number> {
  const stamps = await Array.fromAsync(reader.stamps());
  let bytes = 0;
  const last = stamps.findLast(({ byteLength }) => (bytes += byteLength) > bytesMax);
  return last?.sequence ?? 0;
}

async function joinFrom(
  reader: SegmentReader,
  fromSequence: number,
  onBlock: (block: PassedBlock) => void,
): Promise<LiveJoin | undefined> {
  let blocks: PassedBlock[] = [];
  let bytes = 0;
  let hasJoined = false;
  const keep = (block: PassedBlock): void => {
    const { video } = tracksOf(filter);
    const isKey = block.track.kind === "video" && block.isKey;
    if (isKey || bytes > JOIN_BYTES_MAX) {
      blocks = [];
      bytes = 0;
    }
    if (video === undefined) {
      // Only up to the first that is kept: there can be millions in a second.
      const kept = blocks.findIndex(({ atMs }) => atMs > block.atMs - JOIN_SOUND_MS);
      if (kept !== 0) blocks.splice(0, kept === -1 ? blocks.length : kept);
    } else if (!isKey && blocks.length === 0) return;
    blocks.push(block);
    bytes += block.data.length;
  };
  const filter = new MatroskaFilter((block) => (hasJoined ? onBlock : keep)(block));
  let nextSequence = await readHeader(reader, filter);
  if (nextSequence === undefined) return undefined;
  if (fromSequence > nextSequence) {
    nextSequence = fromSequence;
    blocks = [];
    filter.gap();
  }
  for await (const { sequence, payload } of reader.chunks(() => {}, {
    fromSequence: nextSequence,
  })) {
    if (sequence !== nextSequence) filter.gap();
    filter.push(payload);
    nextSequence = sequence + 1;
  }
  hasJoined = true;
  return { filter, tracks: tracksOf(filter), blocks, nextSequence };
}

/** Gives the sequence after what the header took; undefined when it has not come. */
async function readHeader(
  reader: SegmentReader,
  filter: MatroskaFilter,
): Promise<number | undefined> {
  let expected = 0;
  for await (const { sequence, payload } of reader.chunks(() => {})) {
    if (sequence !== expected || sequence >= HEADER_CHUNKS_MAX) return undefined;
    expected = sequence + 1;
    filter.push(payload);
    if (filter.tracks.length > 0) return expected;
  }
  return undefined;
}

function tracksOf({ tracks }: MatroskaFilter): LiveTracks {
  return {
    video: tracks.find(({ track }) => track.kind === "video")?.track,
    audio: tracks.find(({ track }) => track.kind === "audio")?.track,
  };
}
