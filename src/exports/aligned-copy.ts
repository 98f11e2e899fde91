import { type FileHandle, open } from "node:fs/promises";
import { MediaUnreadableError } from "../finalize/finalize-errors.ts";
import { MovieIndex, fileType, mediaHeader } from "../finalize/mp4-index-writer.ts";
import { Mp4Output } from "../finalize/mp4-output.ts";
import { type SampleTables, sampleTablesOf } from "../finalize/mp4-sample-tables.ts";
import type { Mp4TrackTables } from "../finalize/mp4-track-tables.ts";
import { readAt } from "../storage/whole-transfer.ts";
import {
  type AlignedSamples,
  type AlignedTrack,
  type PlaceMs,
  alignedPictures,
  alignedSound,
} from "./aligned-track.ts";

/** A stream of an MP4 that this server made, and its place on the recording's timeline. */
interface PlacedStream {
  readonly path: string;
  readonly placeMs: PlaceMs;
}

/** A track's MP4 that is to stand on the recording's timeline. */
export interface AlignedCopy {
  readonly pictures: PlacedStream | null;
  readonly sound: PlacedStream | null;
  readonly outputPath: string;
  /** Of the recording: where the last picture and the silence end. */
  readonly durationMs: number;
  /** Share that is written, 0 to 1. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
}

/** What was written. */
export interface AlignedCounts {
  readonly videoPackets: number;
  readonly audioPackets: number;
}

/**
 * Copies the packets of a track into an MP4 whose zero is that of the recording: an edit list has
 * each stream begin in its place, the last picture stays to the end, and silent packets follow the
 * sound. Nothing is encoded anew. An index is written over the bytes as they are, in chunks of a
 * second, so it takes as long as copying the file, and the memory that the index takes.
 *
 * @throws MediaUnreadableError, file system errors, the signal's reason
 */
export async function copyAligned(request: AlignedCopy): Promise<AlignedCounts> {
  const { pictures, sound, durationMs, outputPath } = request;
  await using files = new SourceFiles();
  const tracks: { readonly track: AlignedTrack; readonly reader: SourceReader }[] = [];
  if (pictures !== null) {
    const { handle, tables } = await files.read(pictures.path);
    if (tables.video !== undefined) {
      const track = await alignedPictures(tables.video, pictures.placeMs, durationMs);
      tracks.push({ track, reader: new SourceReader(handle) });
    }
  }
  if (sound !== null) {
    const { handle, tables } = await files.read(sound.path);
    if (tables.audio !== undefined) {
      const track = await alignedSound(tables.audio, sound.placeMs, durationMs);
      tracks.push({ track, reader: new SourceReader(handle) });
    }
  }
  const chunks = inOrderOfTime(tracks.map(({ track }) => track));
  await using output = await Mp4Output.create(outputPath, request);
  await writeIndex(
    tracks.map(({ track }) => track.tables),
    chunks,
    output,
  );
  const cursors = tracks.map(({ track, reader }) => new SampleCursor(track, reader));
  for (const { track, samples } of chunks) await cursors[track]?.copy(samples, output);
  await output.end();
  const packetsOf = (kind: "video" | "audio"): number =>
    tracks.find(({ track }) => track.tables.kind === kind)?.track.tables.samples ?? 0;
  return { videoPackets: packetsOf("video"), audioPackets: packetsOf("audio") };
}

/** The files that are copied from; each is opened once, since another can take its name meanwhile. */
class SourceFiles implements AsyncDisposable {
  readonly #files = new Map<string, { handle: FileHandle; tables: SampleTables }>();

  async read(path: string): Promise<{ handle: FileHandle; tables: SampleTables }> {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const handle = await open(path, "r");
    const tables = await sampleTablesOf(handle).catch(async (error: unknown) => {
      await handle.close();
      throw error;
    });
    if (tables === undefined) {
      await handle.close();
      throw new MediaUnreadableError("The MP4 cannot be read.");
    }
    const file = { handle, tables };
    this.#files.set(path, file);
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { handle } of this.#files.values()) await handle.close();
  }
}

/** A chunk of the new file. */
interface PlacedChunk {
  /** Index of its track. */
  readonly track: number;
  readonly samples: number;
  readonly bytes: number;
}

/** Players find picture and sound of a time near each other. */
function inOrderOfTime(tracks: readonly AlignedTrack[]): readonly PlacedChunk[] {
  return tracks
    .flatMap((track, i) => chunksOf(track, i))
    .toSorted((a, b) => a.atMs - b.atMs || a.track - b.track);
}

function chunksOf(
  { tables, chunksMs }: AlignedTrack,
  track: number,
): (PlacedChunk & { readonly atMs: number })[] {
  const { chunks, sizes } = tables;
  let sample = 0;
  return chunksMs.map((atMs, i) => {
    const samples = chunks.samples.at(i);
    let bytes = 0;
    for (let left = samples; left > 0; left -= 1) {
      bytes += sizes.at(sample);
      sample += 1;
    }
    return { track, samples, bytes, atMs };
  });
}

/** Writes all that stands before the media. */
async function writeIndex(
  tables: readonly Mp4TrackTables[],
  chunks: readonly PlacedChunk[],
  output: Mp4Output,
): Promise<void> {
  const head = fileType();
  const index = new MovieIndex(tables);
  const mediaBytes = chunks.reduce((sum, { bytes }) => sum + bytes, 0);
  const mediaHead = mediaHeader(mediaBytes);
  const offsetsBytes = tables.map((): number[] => []);
  let at = head.length + index.bytes + mediaHead.length;
  for (const { track, bytes } of chunks) {
    offsetsBytes[track]?.push(at);
    at += bytes;
  }
  index.setChunkOffsets((track, chunk) => offsetsBytes[track]?.[chunk] ?? Number.NaN);
  output.expect(at);
  for (const bytes of [head, ...index.pieces, mediaHead]) await output.write(bytes);
}

/** Goes through the samples of a track. */
class SampleCursor {
  readonly #source: AlignedTrack["source"];
  readonly #rest: Iterator<AlignedSamples>;
  readonly #reader: SourceReader;
  #current: AlignedSamples | undefined;
  #done = 0;

  constructor({ source, samples }: AlignedTrack, reader: SourceReader) {
    this.#source = source;
    this.#rest = samples.values();
    this.#reader = reader;
  }

  /** Copies the next `count` samples. */
  async copy(count: number, output: Mp4Output): Promise<void> {
    for (let left = count; left > 0;) {
      if (this.#current === undefined || this.#done === this.#current.count) {
        this.#current = this.#rest.next().value ?? undefined;
        this.#done = 0;
        if (this.#current === undefined) throw new RangeError(`${left} samples are missing`);
      }
      const taken = Math.min(left, this.#current.count - this.#done);
      if ("packet" in this.#current) {
        for (let i = 0; i < taken; i += 1) await output.write(this.#current.packet);
      } else {
        await this.#copySource(this.#current.first + this.#done, taken, output);
      }
      this.#done += taken;
      left -= taken;
    }
  }

  /** Samples that stand behind each other in the source are copied at once. */
  async #copySource(first: number, count: number, output: Mp4Output): Promise<void> {
    const { offsetsBytes, sizes } = this.#source;
    for (let i = first; i < first + count;) {
      const from = offsetsBytes[i] ?? 0;
      let to = from;
      for (; i < first + count && offsetsBytes[i] === to; i += 1) to += sizes[i] ?? 0;
      await this.#reader.copy(from, to, output);
    }
  }
}

/** Read at once; what is longer is copied past the reader's memory. */
const READ_BYTES = 1024 * 1024;

/** Reads small pieces of a file in large ones: each is a little further on than the one before. */
class SourceReader {
  readonly #file: FileHandle;
  readonly #memory = Buffer.allocUnsafe(READ_BYTES);
  /** What is in memory, and where in the file it stands. */
  #block: Buffer = this.#memory.subarray(0, 0);
  #blockAt = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** @param to exclusive */
  async copy(from: number, to: number, output: Mp4Output): Promise<void> {
    if (to - from > READ_BYTES) {
      await output.copy(this.#file, from, to);
      return;
    }
    if (from < this.#blockAt || to > this.#blockAt + this.#block.length) {
      this.#block = await readAt(this.#file, from, READ_BYTES, this.#memory);
      this.#blockAt = from;
      if (to > from + this.#block.length) {
        throw new RangeError(`A file that is copied from ends before ${to}`);
      }
    }
    await output.write(this.#block.subarray(from - this.#blockAt, to - this.#blockAt));
  }
}
