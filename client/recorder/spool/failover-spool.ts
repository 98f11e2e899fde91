import type {
  ChunkKey,
  ChunkSpool,
  KeptIn,
  LentChunk,
  SpooledChunk,
  TakeLimits,
} from "./chunk-spool.ts";
import type { MemorySpool } from "./memory-spool.ts";

/**
 * Keeps a chunk on the disk, and in memory when the disk fails: what was recorded is uploaded all the
 * same. What is in memory is lent first, since it is what a crash would take.
 */
export class FailoverSpool implements ChunkSpool {
  readonly #disk: ChunkSpool;
  readonly #memory: MemorySpool;
  readonly #onTrouble: (cause: unknown) => void;

  /** @param onTrouble told of each failure of the disk that was made good for */
  constructor(disk: ChunkSpool, memory: MemorySpool, onTrouble: (cause: unknown) => void) {
    this.#disk = disk;
    this.#memory = memory;
    this.#onTrouble = onTrouble;
  }

  async put(chunk: SpooledChunk): Promise<KeptIn> {
    try {
      return await this.#disk.put(chunk);
    } catch (cause) {
      const keptIn = await this.#memory.put(chunk);
      this.#onTrouble(cause);
      return keptIn;
    }
  }

  async take(limits: TakeLimits): Promise<readonly LentChunk[]> {
    const volatile = await this.#memory.take(limits);
    return volatile.length > 0 ? volatile : this.#disk.take(limits);
  }

  async giveBack(chunks: readonly ChunkKey[]): Promise<void> {
    await this.#memory.giveBack(chunks);
    await this.#disk.giveBack(chunks);
  }

  async delete(chunks: readonly ChunkKey[]): Promise<void> {
    await this.#memory.delete(chunks);
    await this.#tryDisk(() => this.#disk.delete(chunks));
  }

  async list(): Promise<readonly SpooledChunk[]> {
    const volatile = await this.#memory.list();
    const isVolatile = new Set(volatile.map(nameOf));
    let onDisk: readonly SpooledChunk[] = [];
    try {
      onDisk = await this.#disk.list();
    } catch (cause) {
      // What is on the disk stays there; what is in memory only can be had now or never.
      if (volatile.length === 0) throw cause;
      this.#onTrouble(cause);
    }
    // A chunk whose `put` took too long can be in both.
    const durable = onDisk.filter((chunk) => !isVolatile.has(nameOf(chunk)));
    if (volatile.length === 0) return durable;
    return [...durable, ...volatile].toSorted((a, b) => a.beganAtMs - b.beganAtMs);
  }

  async endSegment(segmentId: string, chunkCount: number): Promise<void> {
    await this.#tryDisk(() => this.#disk.endSegment(segmentId, chunkCount));
  }

  async closeSegment(segmentId: string): Promise<void> {
    await this.#tryDisk(() => this.#disk.closeSegment(segmentId));
  }

  /** For what may be left undone: then a later visit sends something twice, and loses nothing. */
  async #tryDisk(change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } catch (cause) {
      this.#onTrouble(cause);
    }
  }
}

function nameOf({ segmentId, sequence }: ChunkKey): string {
  return `${segmentId}/${sequence}`;
}
