import type { FileHandle } from "node:fs/promises";
import type { Mark } from "../contract/marks.ts";
import type {
  ChunkReading,
  ChunkStamp,
  SegmentDescription,
  SegmentReader,
  SegmentState,
  StoredChunk,
} from "../recording/ports.ts";
import { type TurnKind, threadTurns } from "../recording/thread-turns.ts";
import type { ChunkFileContents } from "./chunk-file-contents.ts";
import { FRAME_HEADER_BYTES, decodeFrameHeader } from "./chunk-frame.ts";
import { frameAt, payloadOf } from "./frame-search.ts";
import { decodeMarks } from "./segment-frame.ts";
import { readAt } from "./whole-transfer.ts";

/** Headers that are read at once: 30,000 of them, 8 hours of chunks, take a third of the time so. */
const STAMPS_AT_ONCE = 32;

/** A third of a millisecond of hashing. */
const HASHED_AT_ONCE_BYTES = 512 * 1024;

/** A chunk as it was read; `whole` is undefined when it is damaged. */
interface ReadChunk {
  readonly sequence: number;
  readonly whole: StoredChunk | undefined;
}

/** Reads a chunk file as it was when it was opened, beside whoever appends to it. */
export class ChunkFileReader implements SegmentReader {
  readonly description: SegmentDescription;
  readonly #handle: FileHandle;
  readonly #tag: Uint8Array;
  readonly #contents: ChunkFileContents;
  readonly #turnKind: TurnKind;

  /**
   * @param handle of the file, which `close` closes
   * @param file its description, its tag and what it holds: nobody else changes its sequences
   * @param turnKind whom it is read for
   */
  constructor(
    handle: FileHandle,
    file: {
      readonly description: SegmentDescription;
      readonly tag: Uint8Array;
      readonly contents: ChunkFileContents;
    },
    turnKind: TurnKind,
  ) {
    this.#turnKind = turnKind;
    this.description = file.description;
    this.#handle = handle;
    this.#tag = file.tag;
    this.#contents = file.contents;
  }

  get state(): SegmentState {
    return this.#contents;
  }

  async *stamps(): AsyncGenerator<ChunkStamp> {
    let batch: number[] = [];
    for (const sequence of this.#contents.sequences) {
      batch.push(sequence);
      if (batch.length < STAMPS_AT_ONCE) continue;
      yield* await this.#stampsOf(batch);
      batch = [];
    }
    yield* await this.#stampsOf(batch);
  }

  async #stampsOf(sequences: readonly number[]): Promise<ChunkStamp[]> {
    const stamps = await Promise.all(
      sequences.map(async (sequence) => {
        const place = this.#contents.frames.get(sequence);
        if (place === undefined) return [];
        const bytes = await readAt(this.#handle, place.offsetBytes, FRAME_HEADER_BYTES);
        const header = decodeFrameHeader(bytes, this.#tag);
        if (header === undefined) return [];
        const { byteLength, capturedAtMs, receivedAtMs } = header;
        return [{ sequence, byteLength, capturedAtMs, receivedAtMs }];
      }),
    );
    return stamps.flat();
  }

  async marks(countMax = Infinity): Promise<readonly Mark[]> {
    const all: Mark[] = [];
    for (const sequence of this.#contents.sequences) {
      if (all.length >= countMax) break;
      if (this.#contents.frames.get(sequence)?.hasMarks !== true) continue;
      all.push(...(await this.#marksOf(sequence)));
    }
    return all.slice(0, countMax);
  }

  async *payloads(onDamaged: (sequence: number) => void): AsyncGenerator<Uint8Array> {
    for await (const { payload } of this.chunks(onDamaged)) {
      if (payload.length > 0) yield payload;
    }
  }

  async *chunks(
    onDamaged: (sequence: number) => void,
    { fromSequence = 0, lendsPayloads = false }: ChunkReading = {},
  ): AsyncGenerator<StoredChunk> {
    const [reads, readsAhead] = lendsPayloads ? [new ReadMemory(), new ReadMemory()] : [];
    let memory = reads;
    // One chunk is read ahead while the one before it is being used.
    let ahead: Promise<ReadChunk> | undefined;
    try {
      for (const sequence of this.#contents.sequences) {
        if (sequence < fromSequence) continue;
        const current = ahead;
        ahead = this.#read(sequence, memory);
        memory = memory === reads ? readsAhead : reads;
        if (current !== undefined) yield* deliver(await current, onDamaged);
      }
      if (ahead !== undefined) yield* deliver(await ahead, onDamaged);
    } finally {
      // A consumer that stops early may close the file next: no read may be under way then. What
      // this read gives, or why it failed, concerns nobody any more.
      await Promise.allSettled([ahead]);
    }
  }

  byteLengthOf(sequence: number): number | undefined {
    return this.#contents.sequences.has(sequence)
      ? this.#contents.frames.get(sequence)?.byteLength
      : undefined;
  }

  async chunk(sequence: number): Promise<StoredChunk | undefined> {
    if (!this.#contents.sequences.has(sequence)) return undefined;
    return (await this.#read(sequence)).whole;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** The marks of a chunk that has some; none when they are damaged. */
  async #marksOf(sequence: number): Promise<readonly Mark[]> {
    const place = this.#contents.frames.get(sequence);
    if (place === undefined) return [];
    const chunk = await frameAt(this.#handle, place.offsetBytes, this.#tag);
    if (chunk?.header.sequence !== sequence) return [];
    const offsetBytes = place.offsetBytes - chunk.header.marksBytes - FRAME_HEADER_BYTES;
    const frame = await frameAt(this.#handle, offsetBytes, this.#tag);
    if (frame?.header.kind !== "marks" || frame.header.sequence !== sequence) return [];
    const payload = await payloadOf(this.#handle, frame);
    return payload === undefined ? [] : decodeMarks(payload);
  }

  async #read(sequence: number, memory?: ReadMemory): Promise<ReadChunk> {
    const place = this.#contents.frames.get(sequence);
    if (place === undefined) return { sequence, whole: undefined };
    const byteLength = FRAME_HEADER_BYTES + place.byteLength;
    const frame = await readAt(
      this.#handle,
      place.offsetBytes,
      byteLength,
      memory?.ofLength(byteLength),
    );
    const header = decodeFrameHeader(frame, this.#tag);
    const payload = frame.subarray(FRAME_HEADER_BYTES);
    const isWhole =
      header?.kind === "chunk" &&
      header.sequence === sequence &&
      header.byteLength === payload.length &&
      Buffer.compare(await sha256InTurns(payload, this.#turnKind), header.sha256) === 0;
    if (!isWhole) return { sequence, whole: undefined };
    const { capturedAtMs, receivedAtMs } = header;
    const stamp = { sequence, byteLength: header.byteLength, capturedAtMs, receivedAtMs };
    return { sequence, whole: { ...stamp, payload } };
  }
}

/** The hash of a payload, which can be large, without keeping uploads from the thread meanwhile. */
async function sha256InTurns(payload: Uint8Array, turnKind: TurnKind): Promise<Uint8Array> {
  const hasher = new Bun.CryptoHasher("sha256");
  for (let from = 0; from < payload.length; from += HASHED_AT_ONCE_BYTES) {
    await threadTurns.next(turnKind);
    hasher.update(payload.subarray(from, from + HASHED_AT_ONCE_BYTES));
  }
  return hasher.digest();
}

/** Memory that one read after the other uses. */
class ReadMemory {
  #bytes = Buffer.alloc(0);

  /** As many bytes of it; it grows when it is too small. */
  ofLength(byteLength: number): Buffer {
    if (this.#bytes.length < byteLength) this.#bytes = Buffer.allocUnsafeSlow(byteLength);
    return this.#bytes.subarray(0, byteLength);
  }
}

function* deliver(
  { sequence, whole }: ReadChunk,
  onDamaged: (sequence: number) => void,
): Generator<StoredChunk> {
  if (whole === undefined) onDamaged(sequence);
  else yield whole;
}
