import type {
  ChunkKey,
  ChunkSpool,
  KeptIn,
  LentChunk,
  SpooledChunk,
  TakeLimits,
} from "./chunk-spool.ts";
import { LendingList } from "./lending-list.ts";

type MemoryEntry = SpooledChunk & { readonly bytes: number };

/**
 * Keeps chunks in the page's memory: they are gone with the page. It refuses none, since the only
 * thing to do with a refused chunk would be to lose it; whoever fills it watches `bytes` and stops
 * in time. The payloads are blobs, which browsers move to the disk when there are many.
 */
export class MemorySpool implements ChunkSpool {
  readonly #list = new LendingList<MemoryEntry>();
  #bytes = 0;

  /** Payload bytes in it. */
  get bytes(): number {
    return this.#bytes;
  }

  async put(chunk: SpooledChunk): Promise<KeptIn> {
    this.#list.add({ ...chunk, bytes: chunk.payload.size });
    this.#bytes += chunk.payload.size;
    return "memory";
  }

  async take(limits: TakeLimits): Promise<readonly LentChunk[]> {
    return this.#list.lend(limits);
  }

  async giveBack(chunks: readonly ChunkKey[]): Promise<void> {
    this.#list.giveBack(chunks);
  }

  async delete(chunks: readonly ChunkKey[]): Promise<void> {
    for (const { bytes } of this.#list.remove(chunks)) this.#bytes -= bytes;
  }

  async list(): Promise<readonly SpooledChunk[]> {
    return this.#list.entries();
  }

  /** Whoever could find the segment later has gone with the page. */
  async endSegment(): Promise<void> {
    return;
  }

  async closeSegment(): Promise<void> {
    return;
  }
}
