import { Mp4TrackTables } from "./mp4-track-tables.ts";
import { Uint32List, WideList } from "./number-list.ts";

/** A place in the media of one of the files that are joined. */
export interface MediaPlace {
  /** Index of the file. */
  readonly part: number;
  readonly atBytes: number;
}

/** Bytes that the new file has and the joined ones have not. They are put in at a place. */
export interface Insertion extends MediaPlace {
  readonly bytes: Uint8Array;
  /** Belongs to the sample at this place, rather than to a chunk of its own before it. */
  readonly isOfSample: boolean;
}

/** Where the samples of a part stand in a track; what is put in between them too. */
export interface PartSamples {
  readonly part: number;
  /** Indices of its first and its last sample. */
  readonly first: number;
  readonly last: number;
  /** Packets that only warm a decoder up, and for which the sound before left no room. */
  readonly leftOut?: {
    readonly packets: number;
    readonly bytes: number;
    readonly durationMs: number;
  };
}

/** Silence that was put in. */
export interface SilentSamples {
  /** Index of its first sample. */
  readonly first: number;
  readonly samples: number;
  readonly bytes: number;
}

/** The track of a timeline, which is copied from the media of several files. */
export class TimelineTrack extends Mp4TrackTables {
  readonly parts: PartSamples[] = [];
  readonly silences: SilentSamples[] = [];
  /** Of each chunk, where its first sample is copied from; insertions apart, since they are few. */
  readonly #chunkParts = new Uint32List();
  readonly #chunkBytes = new WideList();
  readonly #insertedChunks = new Map<number, Insertion>();

  /** Begins a chunk whose first sample is copied from `atBytes` of a part. */
  beginChunkFrom(part: number, atBytes: number, entry: number, decodeTicks: number): void {
    this.#chunkParts.push(part);
    this.#chunkBytes.push(atBytes);
    this.beginChunk(entry, decodeTicks);
  }

  /** Begins a chunk of what is put in. */
  beginInsertedChunk(insertion: Insertion, entry: number, decodeTicks: number): void {
    this.#insertedChunks.set(this.chunks.length, insertion);
    this.beginChunkFrom(insertion.part, insertion.atBytes, entry, decodeTicks);
  }

  /** What is put in as chunk `i`; undefined for one that is copied. */
  insertionOf(i: number): Insertion | undefined {
    return this.#insertedChunks.get(i);
  }

  /** The part from which chunk `i` is copied, or where it is put in. */
  chunkPart(i: number): number {
    return this.#chunkParts.at(i);
  }

  /** Where in that part. */
  chunkBytes(i: number): number {
    return this.#chunkBytes.at(i);
  }
}
