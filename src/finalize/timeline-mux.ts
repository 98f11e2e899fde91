import { open } from "node:fs/promises";
import { fileType, mediaHeader, movieIndex, setChunkOffsets } from "./mp4-index-writer.ts";
import type { Extent } from "./mp4-index.ts";
import { Mp4Output } from "./mp4-output.ts";
import type { Insertion, MediaPlace } from "./timeline-track.ts";
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
  const index = movieIndex(tracks);
  const mediaHead = mediaHeader(layout.bytes);
  const mediaAt = head.length + index.length + mediaHead.length;
  setChunkOffsets(
    index,
    tracks,
    (track, chunk) => mediaAt + layout.offsetOf(track.chunkFrom(chunk)),
  );
  await using output = await Mp4Output.create(outputPath, request);
  await output.write(head);
  await output.write(index);
  await output.write(mediaHead);
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
    let at = 0;
    for (const [part, { media }] of parts.entries()) {
      const own = insertions.filter((insertion) => insertion.part === part);
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

  offsetOf(place: MediaPlace | Insertion): number {
    return this.#parts[place.part]?.offsetOf(place) ?? Number.NaN;
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
  readonly #indexOf: ReadonlyMap<MediaPlace | Insertion, number>;

  constructor(at: number, media: Extent, insertions: readonly Insertion[]) {
    this.#at = at;
    this.#media = media;
    // What is a chunk of its own stands before the sample at its place, whatever is put into that.
    this.insertions = insertions.toSorted(
      (a, b) => a.atBytes - b.atBytes || Number(a.isOfSample) - Number(b.isOfSample),
    );
    this.#insertedBytes = new Float64Array(this.insertions.length + 1);
    const indexOf = new Map<MediaPlace | Insertion, number>();
    let inserted = 0;
    for (const [i, insertion] of this.insertions.entries()) {
      indexOf.set(insertion, i);
      inserted += insertion.bytes.length;
      this.#insertedBytes[i + 1] = inserted;
    }
    this.#indexOf = indexOf;
    this.bytes = media.to - media.from + inserted;
  }

  offsetOf(place: MediaPlace | Insertion): number {
    const before = this.#indexOf.get(place) ?? this.#countBefore(place.atBytes);
    return this.#at + (place.atBytes - this.#media.from) + (this.#insertedBytes[before] ?? 0);
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
