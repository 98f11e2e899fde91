import { open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { MovieIndex, fileType, mediaHeader } from "./mp4-index-writer.ts";
import type { Extent } from "./mp4-index.ts";
import { Mp4Output } from "./mp4-output.ts";
import type { Insertion, TimelineTrack } from "./timeline-track.ts";
import type { TimelineTracks } from "./timeline-tracks.ts";

/** What is to be written. */
export interface TimelineMuxRequest {
  readonly timeline: TimelineTracks;
  /** The files that are joined, and where in each the media lie, in the order of the parts. */
  readonly parts: readonly { readonly path: string; readonly media: Extent }[];
  readonly outputPath: string;
  /** Share of the bytes that is written, 0 to 1. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Writes one MP4 of several: a new index, then the media of each as they are, with what is put in.
 * No packet is looked at on the way, so it takes as long as copying the files, and the memory that
 * the index takes.
 *
 * @throws file system errors, the signal's reason
 */
export async function muxTimeline(request: TimelineMuxRequest): Promise<void> {
  const { timeline, parts, outputPath } = request;
  const layout = new MediaLayout(parts, timeline.insertions);
  const { tracks } = timeline;
  const head = fileType();
  const index = new MovieIndex(tracks);
  const mediaHead = mediaHeader(layout.bytes);
  const mediaAt = head.length + index.bytes + mediaHead.length;
  // Hours of silence have a chunk for each second: others have their turn between the two.
  await setImmediate();
  index.setChunkOffsets((track, chunk) => mediaAt + layout.offsetOf(tracks[track], chunk));
  await using output = await Mp4Output.create(outputPath, request);
  for (const bytes of [head, ...index.pieces, mediaHead]) await output.write(bytes);
  output.expect(layout.bytes);
  for (const [part, source] of parts.entries()) {
    await copyPart(source, layout.insertionsOf(part), output);
  }
  await output.end();
}

/** Where everything stands in the new file's media. */
class MediaLayout {
  readonly bytes: number;
  readonly #parts: readonly PartLayout[];

  constructor(parts: readonly { readonly media: Extent }[], insertions: readonly Insertion[]) {
    const layouts: PartLayout[] = [];
    const byPart = Map.groupBy(insertions, ({ part }) => part);
    let at = 0;
    for (const [part, { media }] of parts.entries()) {
      const own = byPart.get(part) ?? [];
      const layout = new PartLayout(at, media, own);
      layouts.push(layout);
      at += layout.bytes;
    }
    this.#parts = layouts;
    this.bytes = at;
  }

  insertionsOf(part: number): readonly Insertion[] {
    return this.#parts[part]?.insertions ?? [];
  }

  /** Where a chunk stands, from the begin of the media. */
  offsetOf(track: TimelineTrack | undefined, chunk: number): number {
    if (track === undefined) return Number.NaN;
    const layout = this.#parts[track.chunkPart(chunk)];
    const insertion = track.insertionOf(chunk);
    const offset =
      insertion === undefined
        ? layout?.offsetOf(track.chunkBytes(chunk))
        : layout?.offsetOfInsertion(insertion);
    return offset ?? Number.NaN;
  }
}

class PartLayout {
  /** In the order in which they are put in. */
  readonly insertions: readonly Insertion[];
  readonly bytes: number;
  readonly #at: number;
  readonly #media: Extent;
  /** Bytes of all insertions before each, and of all. */
  readonly #insertedBytes: Float64Array;
  readonly #indexOf: ReadonlyMap<Insertion, number>;

  constructor(at: number, media: Extent, insertions: readonly Insertion[]) {
    this.#at = at;
    this.#media = media;
    // What is a chunk of its own stands before the sample at its place, whatever is put into that.
    this.insertions = insertions.toSorted(
      (a, b) => a.atBytes - b.atBytes || Number(a.isOfSample) - Number(b.isOfSample),
    );
    this.#insertedBytes = new Float64Array(this.insertions.length + 1);
    const indexOf = new Map<Insertion, number>();
    let inserted = 0;
    for (const [i, insertion] of this.insertions.entries()) {
      indexOf.set(insertion, i);
      inserted += insertion.bytes.length;
      this.#insertedBytes[i + 1] = inserted;
    }
    this.#indexOf = indexOf;
    this.bytes = media.to - media.from + inserted;
  }

  /** Where the sample stands that is copied from `atBytes`. */
  offsetOf(atBytes: number): number {
    return this.#offsetAt(atBytes, this.#countBefore(atBytes));
  }

  offsetOfInsertion(insertion: Insertion): number {
    const { atBytes } = insertion;
    return this.#offsetAt(atBytes, this.#indexOf.get(insertion) ?? this.#countBefore(atBytes));
  }

  /** @param before how many insertions stand before it */
  #offsetAt(atBytes: number, before: number): number {
    return this.#at + (atBytes - this.#media.from) + (this.#insertedBytes[before] ?? 0);
  }

  /** How many insertions stand before the sample at `atBytes`. */
  #countBefore(atBytes: number): number {
    let [low, high] = [0, this.insertions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const insertion = this.insertions[middle];
      const isBefore =
        insertion !== undefined &&
        (insertion.atBytes < atBytes || (insertion.atBytes === atBytes && !insertion.isOfSample));
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

async function copyPart(
  { path, media }: { readonly path: string; readonly media: Extent },
  insertions: readonly Insertion[],
  output: Mp4Output,
): Promise<void> {
  const source = await open(path, "r");
  try {
    let at = media.from;
    for (const { atBytes, bytes } of insertions) {
      await output.copy(source, at, atBytes);
      await output.write(bytes);
      at = atBytes;
    }
    await output.copy(source, at, media.to);
  } finally {
    await source.close();
  }
}
