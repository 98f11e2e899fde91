import type { RecorderClock } from "../recorder.d.ts";
import type { ChunkKey } from "../spool/chunk-spool.ts";

/** From the first refusal of a chunk to its next attempt; twice as long after each further one. */
export const PARKED_MS_MIN = 5_000;

/** Its size costs the uplink as much as many chunks that pass. */
export const PARKED_MS_MAX = 60_000;

/** What parked chunks need. */
export interface ParkedChunksParts {
  readonly clock: RecorderClock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** They may be sent again. */
  readonly onRelease: (chunks: readonly ChunkKey[]) => void;
}

interface ParkedChunk {
  readonly chunk: ChunkKey;
  readonly bytes: number;
  readonly times: number;
  /** Null while it is not parked: it has been released and may be on its way. */
  readonly cancelTimer: (() => void) | null;
}

/**
 * Chunks that are numbered, so that they cannot be split, and too large for the path to the server at
 * the moment. The others pass them by. Each is tried again after a while, or when a request of its
 * size has passed.
 */
export class ParkedChunks {
  readonly #parts: ParkedChunksParts;
  readonly #chunks = new Map<string, ParkedChunk>();

  constructor(parts: ParkedChunksParts) {
    this.#parts = parts;
  }

  /** Whether it was parked before, and not delivered since. */
  has(chunk: ChunkKey): boolean {
    return this.#chunks.has(nameOf(chunk));
  }

  /**
   * Parks a chunk whose request has so many bytes.
   *
   * @returns how often it was parked, and for how long now
   */
  park(chunk: ChunkKey, bytes: number): { readonly times: number; readonly delayMs: number } {
    const { clock, random } = this.#parts;
    const name = nameOf(chunk);
    const times = (this.#chunks.get(name)?.times ?? 0) + 1;
    const fullMs = Math.min(PARKED_MS_MAX, PARKED_MS_MIN * 2 ** (times - 1));
    const delayMs = fullMs * (0.75 + random() / 4);
    const cancelTimer = clock.after(delayMs, () =>
      this.#release(
        ({ chunk: { segmentId, sequence } }) =>
          segmentId === chunk.segmentId && sequence === chunk.sequence,
      ),
    );
    this.#chunks.set(name, { chunk, bytes, times, cancelTimer });
    return { times, delayMs };
  }

  /** Requests of so many bytes pass. */
  releaseUpTo(bytes: number): void {
    this.#release((parked) => parked.bytes <= bytes);
  }

  releaseAll(): void {
    this.#release(() => true);
  }

  /** They are delivered, or refused for good. */
  forget(chunks: readonly ChunkKey[]): void {
    for (const chunk of chunks) this.#chunks.delete(nameOf(chunk));
  }

  /** Releases nothing any more. */
  stop(): void {
    for (const { cancelTimer } of this.#chunks.values()) cancelTimer?.();
    this.#chunks.clear();
  }

  #release(isMeant: (parked: ParkedChunk) => boolean): void {
    const released: ChunkKey[] = [];
    for (const [name, parked] of this.#chunks) {
      if (parked.cancelTimer === null || !isMeant(parked)) continue;
      parked.cancelTimer();
      this.#chunks.set(name, { ...parked, cancelTimer: null });
      released.push(parked.chunk);
    }
    if (released.length > 0) this.#parts.onRelease(released);
  }
}

function nameOf({ segmentId, sequence }: ChunkKey): string {
  return `${segmentId}/${sequence}`;
}
