import type { SegmentReader, StoredChunk } from "../recording/ports.ts";

/** Most bytes of chunks that are kept; what is being read comes on top. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

interface RecentChunk {
  readonly chunk: Promise<StoredChunk | undefined>;
  readonly byteLength: number;
}

/**
 * Reads chunks for viewers and keeps the last ones. Viewers of a track ask for the same chunk at nearly
 * the same moment, when it arrives or when many join at once: it is read and hashed once for all.
 */
export class RecentChunks {
  /** In the order of their last use. */
  readonly #kept = new Map<string, RecentChunk>();
  #keptBytes = 0;

  /** One chunk; undefined when it is missing or damaged. It must not be changed. */
  async read(reader: SegmentReader, sequence: number): Promise<StoredChunk | undefined> {
    const { recordingId, segmentId } = reader.description;
    const name = `${recordingId}/${segmentId}/${sequence}`;
    const recent = this.#kept.get(name) ?? {
      chunk: reader.chunk(sequence),
      byteLength: reader.byteLengthOf(sequence) ?? 0,
    };
    this.#forget(name);
    this.#kept.set(name, recent);
    this.#keptBytes += recent.byteLength;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= KEPT_BYTES_MAX) break;
      this.#forget(oldest);
    }
    try {
      const chunk = await recent.chunk;
      // It may arrive yet, or be sent again.
      if (chunk === undefined && this.#kept.get(name) === recent) this.#forget(name);
      return chunk;
    } catch (error) {
      // The next one tries again.
      if (this.#kept.get(name) === recent) this.#forget(name);
      throw error;
    }
  }

  #forget(name: string): void {
    const recent = this.#kept.get(name);
    if (recent === undefined) return;
    this.#kept.delete(name);
    this.#keptBytes -= recent.byteLength;
  }
}
