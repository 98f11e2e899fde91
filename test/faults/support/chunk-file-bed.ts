import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodeFrameHeader,
  encodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameKind,
  sha256Of,
  TAG_BYTES,
} from "../../../src/storage/chunk-frame.ts";
import { FileChunkStore } from "../../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../../src/storage/layout.ts";
import type { Mark } from "../../../src/contract/marks.ts";
import type { NewChunk, SegmentDescription } from "../../../src/recording/ports.ts";
import { someSegment } from "../../suites/chunk-store.ts";

/** In memory where the system has such a directory: thousands of files are made. */
const fastDirectory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A frame of a chunk file, found by going through it from its begin. */
export interface FoundFrame {
  readonly kind: FrameKind;
  readonly sequence: number;
  readonly beginBytes: number;
  /** Where the next frame begins. */
  readonly endBytes: number;
  /** Where the write began that it is part of. */
  readonly writeOffsetBytes: number;
}

/** One write: payloads, each byte a character of a text, or the segment's end. */
export type WriteStep = { readonly texts: readonly string[] } | { readonly chunkCount: number };

/** A chunk as it is easy to compare. */
export type PlainChunk = readonly [sequence: number, text: string];

/** A chunk file that a real store made, to be harmed and read again. */
export class ChunkFileBed implements AsyncDisposable {
  readonly description: SegmentDescription;
  readonly path: string;
  /** As the store left it. */
  readonly whole: Buffer;
  readonly frames: readonly FoundFrame[];
  /** Payload of each sequence. */
  readonly texts: readonly string[];
  readonly #directory: string;
  readonly #layout: RecordingsLayout;

  private constructor(
    directory: string,
    description: SegmentDescription,
    made: { readonly whole: Buffer; readonly texts: readonly string[] },
  ) {
    this.#directory = directory;
    this.#layout = new RecordingsLayout(directory);
    this.description = description;
    this.path = this.#layout.segmentPath(description.recordingId, description.segmentId);
    this.whole = made.whole;
    this.frames = framesOf(made.whole);
    this.texts = made.texts;
  }

  /** Makes a chunk file, one write a step; sequences go on from step to step. */
  static async make(steps: readonly WriteStep[]): Promise<ChunkFileBed> {
    const directory = await mkdtemp(join(fastDirectory, "track-capture-test-"));
    const layout = new RecordingsLayout(directory);
    const description = someSegment();
    const log = await new FileChunkStore(layout, () => undefined).create(description);
    const texts: string[] = [];
    for (const step of steps) {
      if ("chunkCount" in step) {
        await log.end(step.chunkCount);
        continue;
      }
      const first = texts.length;
      await log.append(step.texts.map((text, i) => plainChunk(first + i, text)));
      texts.push(...step.texts);
    }
    await log.close();
    const path = layout.segmentPath(description.recordingId, description.segmentId);
    return new ChunkFileBed(directory, description, { whole: await readFile(path), texts });
  }

  /** A store as a new process has it. */
  newStore(): FileChunkStore {
    return new FileChunkStore(this.#layout, () => undefined);
  }

  /** The chunks of these sequences, as they were written. */
  chunksOf(sequences: Iterable<number>): PlainChunk[] {
    return [...sequences].map((sequence) => [sequence, this.texts[sequence] ?? ""]);
  }

  /** What a new process reads: undamaged chunks, the sequences of damaged ones, and all marks. */
  async read(): Promise<{ chunks: PlainChunk[]; damaged: number[]; marks: readonly Mark[] }> {
    const { recordingId, segmentId } = this.description;
    const reader = await this.newStore().read(recordingId, segmentId);
    const chunks: PlainChunk[] = [];
    const damaged: number[] = [];
    try {
      for await (const chunk of reader?.chunks((sequence) => damaged.push(sequence)) ?? []) {
        chunks.push([chunk.sequence, Buffer.from(chunk.payload).toString("latin1")]);
      }
      return { chunks, damaged, marks: (await reader?.marks()) ?? [] };
    } finally {
      await reader?.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}

/** The marks of a chunk: of most there are none. They tell the sequence of their chunk. */
export function plainMarks(sequence: number): Mark[] {
  if (sequence % 16 !== 14) return [];
  return [
    { type: "paused", atMs: sequence },
    { type: "frozen", atMs: sequence, toMs: sequence + 0.5 },
  ];
}

/** A chunk whose payload has a byte for each character of the text. */
export function plainChunk(sequence: number, text: string): NewChunk {
  const payload = Buffer.from(text, "latin1");
  const sha256 = sha256Of(payload);
  return {
    sequence,
    payload,
    sha256,
    capturedAtMs: null,
    receivedAtMs: 1_000,
    marks: plainMarks(sequence),
  };
}

/**
 * A text that holds a whole frame of some other chunk file, as a hostile participant may send it, so
 * that a search for the next frame meets it.
 */
export function textWithForeignFrame(): string {
  const payload = Buffer.from("bytes that nobody sent as a chunk");
  const header = encodeFrameHeader(
    {
      kind: "chunk",
      sequence: 0,
      byteLength: payload.length,
      marksBytes: 0,
      capturedAtMs: null,
      receivedAtMs: 0,
      sha256: sha256Of(payload),
    },
    {
      tag: crypto.getRandomValues(new Uint8Array(TAG_BYTES)),
      writeOffsetBytes: 0,
      indexOffsetBytes: 0,
    },
  );
  return Buffer.concat([header, payload]).toString("latin1");
}

function framesOf(whole: Buffer): FoundFrame[] {
  const frames: FoundFrame[] = [];
  for (let at = 0; at < whole.length;) {
    const header = decodeFrameHeader(whole.subarray(at, at + FRAME_HEADER_BYTES), undefined);
    if (header === undefined) throw new RangeError(`There is no frame at ${at}`);
    const endBytes = at + FRAME_HEADER_BYTES + header.byteLength;
    const { kind, sequence, writeOffsetBytes } = header;
    frames.push({ kind, sequence, beginBytes: at, endBytes, writeOffsetBytes });
    at = endBytes;
  }
  return frames;
}
