import type { SegmentReader } from "../recording/ports.ts";
import type { LiveTracks } from "./live-media.ts";
import type { RecentChunks } from "./recent-chunks.ts";
import { type PlacedBlock, openSegment, piecesOf } from "./segment-blocks.ts";

/**
 * So many chunks back a keyframe is looked for, one step after the other; a chunk is about a second.
 * The far ones are for recorders that make a keyframe only when they must, and screens that stand still.
 */
const STEPS_CHUNKS = [4, 12, 40, 160, 640, Infinity] as const;

/** Most bytes since the last keyframe that a viewer is given when it joins. */
export const JOIN_BYTES_MAX = 32 * 1024 * 1024;

/** Of sound without pictures, so much is given at once. */
const JOIN_SOUND_MS = 1_000;

/** Segments that are searched at once, each with two chunks in memory. */
const SEARCHES_MAX = 4;

/** Segments whose last search is remembered, in a few numbers each. */
const KNOWN_SEGMENTS_MAX = 1_000;

/** Where a viewer enters a running segment. */
export interface JoinPoint {
  /** The first chunk that is read. */
  readonly fromSequence: number;
  /** Whether this block is the first one that is shown; asked of the blocks from there on. */
  readonly begins: (placed: PlacedBlock) => boolean;
}

/** What a search found. */
export interface FoundJoin {
  readonly tracks: LiveTracks;
  /**
   * The last keyframe of a track with pictures, the last second of one without; undefined while there is
   * none that is of use.
   */
  readonly point: JoinPoint | undefined;
}

/** A search that was done. */
interface Known {
  readonly found: FoundJoin;
  /** Chunks that were there. */
  readonly chunks: number;
  readonly end: number;
}

/** Where a block is; it holds on to no media. */
type Place = Pick<PlacedBlock, "sequence" | "clusterSequence">;

/** What was seen between two chunks. */
interface Scan {
  readonly tracks: LiveTracks;
  readonly lastKey: Place | undefined;
  readonly lastSound: JoinPoint | undefined;
}

/**
 * Finds where viewers enter running segments. All who look for the same at once share one search, and
 * the next search looks only at the chunks that have arrived since. It reads chunk by chunk, in turns,
 * and keeps nothing of them.
 */
export class JoinPoints {
  readonly #chunks: RecentChunks;
  readonly #known = new Map<string, Known>();
  readonly #searching = new Map<string, Promise<FoundJoin | undefined>>();
  readonly #waiting: (() => void)[] = [];
  #searches = 0;

  constructor(chunks: RecentChunks) {
    this.#chunks = chunks;
  }

  /** Where a viewer enters the segment now; undefined while its header has not arrived. */
  find(reader: SegmentReader): Promise<FoundJoin | undefined> {
    const name = nameOf(reader);
    const searching = this.#searching.get(name) ?? this.#searchOnce(name, reader);
    this.#searching.set(name, searching);
    return searching;
  }

  /** Where a viewer enters that is shown no pictures, since there is no keyframe. */
  async findSound(reader: SegmentReader): Promise<JoinPoint> {
    return this.#withPlace(async () => {
      const { state } = reader;
      const fromNow = { fromSequence: state.sequences.end, begins: isSound };
      for (const fromSequence of firstsOf(reader)) {
        const scan = await this.#scan(reader, fromSequence, Infinity);
        if (scan?.lastSound !== undefined) return scan.lastSound;
      }
      return fromNow;
    });
  }

  async #searchOnce(name: string, reader: SegmentReader): Promise<FoundJoin | undefined> {
    try {
      const known = this.#known.get(name);
      const found = await this.#withPlace(() => this.#search(reader, known));
      this.#known.delete(name);
      if (found === undefined) return undefined;
      const { count, end } = reader.state.sequences;
      this.#known.set(name, { found, chunks: count, end });
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= KNOWN_SEGMENTS_MAX) break;
        this.#known.delete(oldest);
      }
      return isOfUse(reader, found.point) ? found : { ...found, point: undefined };
    } finally {
      this.#searching.delete(name);
    }
  }

  async #withPlace<Result>(search: () => Promise<Result>): Promise<Result> {
    while (this.#searches >= SEARCHES_MAX) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
    this.#searches += 1;
    try {
      return await search();
    } finally {
      this.#searches -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #search(reader: SegmentReader, known: Known | undefined): Promise<FoundJoin | undefined> {
    const { sequences } = reader.state;
    if (known !== undefined && known.found.tracks.video !== undefined) {
      const earlier = [...sequences].filter((sequence) => sequence < known.end);
      const lastSequence = earlier.at(-1);
      // With what has arrived late among them, all is searched again.
      if (earlier.length === known.chunks && lastSequence !== undefined) {
        if (sequences.count === known.chunks) return known.found;
        const scan = await this.#scan(reader, lastSequence, Infinity);
        return scan?.lastKey === undefined ? known.found : foundIn(scan);
      }
    }
    let toSequence = Infinity;
    let scan: Scan | undefined;
    for (const fromSequence of firstsOf(reader)) {
      scan = await this.#scan(reader, fromSequence, toSequence);
      if (scan === undefined || foundIn(scan).point !== undefined) break;
      // The end of sound is not known before its first Cluster is.
      if (scan.tracks.video !== undefined) toSequence = fromSequence;
    }
    return scan && foundIn(scan);
  }

  /**
   * @param toSequence what begins in this chunk or later has been seen before
   */
  async #scan(
    reader: SegmentReader,
    fromSequence: number,
    toSequence: number,
  ): Promise<Scan | undefined> {
    const opened = await openSegment(reader, this.#chunks);
    if (opened === undefined) return undefined;
    const { blocks, tracks } = opened;
    let lastKey: Place | undefined;
    let firstSequence: number | undefined;
    let soundMs = -Infinity;
    let isThrough = false;
    const take = (placed: readonly PlacedBlock[]): void => {
      for (const each of placed) {
        const { sequence, clusterSequence } = each;
        firstSequence ??= clusterSequence;
        if (isKeyframe(each)) lastKey = { sequence, clusterSequence };
        else if (isSound(each)) soundMs = Math.max(soundMs, each.block.atMs);
        isThrough = sequence >= toSequence;
      }
    };
    const push = async (sequence: number, payload: Uint8Array): Promise<void> => {
      for await (const piece of piecesOf(payload)) take(blocks.push(sequence, piece));
    };
    if (fromSequence <= opened.sequence) {
      take(opened.placed);
      for (const rest of opened.rest) await push(opened.sequence, rest);
    } else blocks.gap(fromSequence);
    let next = Math.max(fromSequence, opened.sequence + 1);
    const reading = { fromSequence: next, lendsPayloads: true };
    for await (const { sequence, payload } of reader.chunks(() => {}, reading)) {
      if (isThrough) break;
      if (sequence !== next) blocks.gap(sequence);
      await push(sequence, payload);
      next = sequence + 1;
    }
    const lastSound =
      firstSequence === undefined ? undefined : soundPoint(firstSequence, soundMs - JOIN_SOUND_MS);
    return { tracks, lastKey, lastSound };
  }
}

function soundPoint(fromSequence: number, fromMs: number): JoinPoint {
  return { fromSequence, begins: (placed) => isSound(placed) && placed.block.atMs > fromMs };
}

function foundIn({ tracks, lastKey, lastSound }: Scan): FoundJoin {
  if (tracks.video === undefined) return { tracks, point: lastSound };
  const point = lastKey && {
    fromSequence: lastKey.clusterSequence,
    begins: (placed: PlacedBlock) => isKeyframe(placed) && placed.sequence >= lastKey.sequence,
  };
  return { tracks, point };
}

/** The chunks that the steps begin with, the last first; none is farther back than what is of use. */
function firstsOf(reader: SegmentReader): number[] {
  const sequences = [...reader.state.sequences];
  let bytes = 0;
  const tooFar = sequences.findLastIndex(
    (sequence) => (bytes += reader.byteLengthOf(sequence) ?? 0) > JOIN_BYTES_MAX,
  );
  const firsts = STEPS_CHUNKS.map((chunksBack) => {
    const at = Math.max(tooFar + 1, sequences.length - chunksBack);
    return at <= 0 ? 0 : sequences[at];
  });
  return [...new Set(firsts.filter((sequence) => sequence !== undefined))];
}

function isOfUse(reader: SegmentReader, point: JoinPoint | undefined): boolean {
  const firstOfUse = firstsOf(reader).at(-1);
  return point !== undefined && firstOfUse !== undefined && point.fromSequence >= firstOfUse;
}

function isKeyframe({ block }: PlacedBlock): boolean {
  return block.track.kind === "video" && block.isKey;
}

function isSound({ block }: PlacedBlock): boolean {
  return block.track.kind === "audio";
}

function nameOf({ description }: SegmentReader): string {
  return `${description.recordingId}/${description.segmentId}`;
}
