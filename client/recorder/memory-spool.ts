import type { ChunkSpool, SpooledChunk, TakeLimits } from "./chunk-spool.ts";

/**
 * Keeps chunks in the page's memory: they are gone with the page. Without a bound of its own, since
 * the only thing to do at a bound would be to lose media; `progress` tells how much it holds. The
 * payloads are blobs, which browsers move to the disk when there are many.
 */
export class MemorySpool implements ChunkSpool {
  // A Map keeps the order of insertion, which `giveBack` therefore need not restore.
  readonly #chunks = new Map<string, { readonly chunk: SpooledChunk; isLent: boolean }>();

  async put(chunk: SpooledChunk): Promise<void> {
    this.#chunks.set(keyOf(chunk), { chunk, isLent: false });
  }

  async take({ bytesMax, chunksMax }: TakeLimits): Promise<readonly SpooledChunk[]> {
    const taken: SpooledChunk[] = [];
    let bytes = 0;
    for (const entry of this.#chunks.values()) {
      const { chunk, isLent } = entry;
      const previous = taken.at(-1);
      if (previous === undefined) {
        if (isLent) continue;
      } else if (
        isLent ||
        chunk.segmentId !== previous.segmentId ||
        chunk.sequence !== previous.sequence + 1 ||
        bytes + chunk.payload.size > bytesMax ||
        taken.length >= chunksMax
      ) {
        break;
      }
      entry.isLent = true;
      bytes += chunk.payload.size;
      taken.push(chunk);
    }
    return taken;
  }

  async giveBack(chunks: readonly SpooledChunk[]): Promise<void> {
    for (const chunk of chunks) {
      const entry = this.#chunks.get(keyOf(chunk));
      if (entry !== undefined) entry.isLent = false;
    }
  }

  async delete(chunks: readonly SpooledChunk[]): Promise<void> {
    for (const chunk of chunks) this.#chunks.delete(keyOf(chunk));
  }

  async list(): Promise<readonly SpooledChunk[]> {
    return Array.from(this.#chunks.values(), ({ chunk }) => chunk);
  }
}

function keyOf({ segmentId, sequence }: SpooledChunk): string {
  return `${segmentId}/${sequence}`;
}
