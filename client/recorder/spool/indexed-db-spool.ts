import type {
  ChunkKey,
  ChunkSpool,
  KeptIn,
  LentChunk,
  SegmentAddress,
  SpooledChunk,
  TakeLimits,
} from "./chunk-spool.ts";
import { marksIn } from "../mark-shape.ts";
import { LendingList } from "./lending-list.ts";
import type { SpoolDatabase } from "./spool-database.ts";
import type { ChunkRecord, SegmentRecord } from "./spool-records.ts";

/**
 * Chunks that are kept in memory beside the disk, so that what is uploaded at once need not be read
 * again.
 */
const CACHE_BYTES_MAX = 8_388_608;

/** Most bytes of one transaction. A backlog of puts shares its sync. */
const WRITE_BYTES_MAX = 8_388_608;

/** A disk that takes longer must not keep a chunk from its upload. */
export const PUT_TIMEOUT_MS = 5_000;

/** To whom the segments of a spool belong. */
export interface SpoolOwner {
  readonly ownerId: string;
  readonly serverUrl: string;
  readonly needsAppFetch: boolean;
}

interface Entry extends ChunkRecord {
  /** Null when it has to be read. */
  payload: Blob | null;
}

interface WaitingPut {
  readonly chunk: SpooledChunk;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
  isGivenUp: boolean;
}

/**
 * Keeps the chunks of one run on the disk: a chunk outlives page, browser and computer from the
 * moment its `put` resolves. A segment's total so far is written with each chunk, in the same
 * transaction, so that it is known after a crash.
 */
export class IndexedDbSpool implements ChunkSpool {
  readonly #database: SpoolDatabase;
  readonly #owner: SpoolOwner;
  readonly #segments = new Map<string, SegmentRecord>();
  readonly #list = new LendingList<Entry>();
  readonly #waiting: WaitingPut[] = [];
  #isWriting = false;
  #cachedBytes = 0;

  constructor(database: SpoolDatabase, owner: SpoolOwner) {
    this.#database = database;
    this.#owner = owner;
  }

  /**
   * Takes over what its owner left on the disk, and gives the segments with what is left of each, in
   * order of sequence. To be called first, and only under the owner's lock.
   */
  async load(): Promise<
    readonly { readonly segment: SegmentRecord; readonly chunks: readonly ChunkRecord[] }[]
  > {
    const found: { segment: SegmentRecord; chunks: readonly ChunkRecord[] }[] = [];
    for (const segment of await this.#ownSegments()) {
      const chunks = await this.#database.chunks(segment.segmentId);
      this.#segments.set(segment.segmentId, segment);
      for (const chunk of chunks) this.#list.add({ ...chunk, payload: null });
      found.push({ segment, chunks });
    }
    return found;
  }

  put(chunk: SpooledChunk): Promise<KeptIn> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        // If it is written after all, it is a copy on the disk, which `delete` removes.
        waiting.isGivenUp = true;
        reject(new DOMException("The storage did not answer", "TimeoutError"));
      }, PUT_TIMEOUT_MS);
      const waiting: WaitingPut = {
        chunk,
        resolve: () => {
          clearTimeout(timer);
          resolve("disk");
        },
        reject: (cause) => {
          clearTimeout(timer);
          reject(cause);
        },
        isGivenUp: false,
      };
      this.#waiting.push(waiting);
      void this.#write();
    });
  }

  async take(limits: TakeLimits): Promise<readonly LentChunk[]> {
    const entries = this.#list.lend(limits);
    try {
      return await Promise.all(entries.map((entry) => this.#lent(entry)));
    } catch (cause) {
      this.#list.giveBack(entries);
      throw cause;
    }
  }

  async giveBack(chunks: readonly ChunkKey[]): Promise<void> {
    this.#list.giveBack(chunks);
  }

  async delete(chunks: readonly ChunkKey[]): Promise<void> {
    for (const { payload, bytes } of this.#list.remove(chunks)) {
      if (payload !== null) this.#cachedBytes -= bytes;
    }
    await this.#database.deleteChunks(chunks);
  }

  async list(): Promise<readonly SpooledChunk[]> {
    const found: (readonly SpooledChunk[])[] = [];
    for (const segment of await this.#ownSegments()) {
      found.push(await readSegment(this.#database, segment));
    }
    // The database has the segments in order of their random IDs.
    return found.toSorted(([a], [b]) => (a?.beganAtMs ?? 0) - (b?.beganAtMs ?? 0)).flat();
  }

  async endSegment(segmentId: string, chunkCount: number): Promise<void> {
    const segment = this.#segments.get(segmentId);
    if (segment === undefined) return;
    const ended = { ...segment, chunkCount };
    this.#segments.set(segmentId, ended);
    await this.#database.write([ended], []);
  }

  async closeSegment(segmentId: string): Promise<void> {
    this.#segments.delete(segmentId);
    await this.#database.removeEmptySegment(segmentId);
  }

  async #ownSegments(): Promise<readonly SegmentRecord[]> {
    const { ownerId } = this.#owner;
    return (await this.#database.segments()).filter((segment) => segment.ownerId === ownerId);
  }

  /** One transaction after another: what comes meanwhile shares the next one's sync. */
  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      let bytes = 0;
      const count = this.#waiting.findIndex(({ chunk }, i) => {
        bytes += chunk.payload.size;
        return i > 0 && bytes > WRITE_BYTES_MAX;
      });
      const batch = this.#waiting.splice(0, count === -1 ? this.#waiting.length : count);
      await this.#writeBatch(batch);
    }
    this.#isWriting = false;
  }

  /** Settles each of them. */
  async #writeBatch(batch: readonly WaitingPut[]): Promise<void> {
    const read = await Promise.all(
      batch.map(async (waiting) => {
        try {
          // Not a blob: Chromium syncs a blob's own file in no mode of durability.
          return { waiting, payload: await waiting.chunk.payload.arrayBuffer() };
        } catch (cause) {
          waiting.reject(cause);
          return null;
        }
      }),
    );
    const readable = read.filter((each) => each !== null);
    const segments = new Map<string, SegmentRecord>();
    for (const { waiting } of readable) {
      const { segmentId } = waiting.chunk;
      const known = segments.get(segmentId) ?? this.#segments.get(segmentId);
      segments.set(segmentId, this.#segmentWith(waiting.chunk, known));
    }
    const chunks = readable.map(({ waiting, payload }) => ({
      record: recordOf(waiting.chunk),
      payload,
    }));
    try {
      await this.#database.write([...segments.values()], chunks);
    } catch (cause) {
      for (const { waiting } of readable) waiting.reject(cause);
      return;
    }
    for (const segment of segments.values()) {
      // Its total may have been told while this was written.
      const chunkCount = this.#segments.get(segment.segmentId)?.chunkCount ?? null;
      this.#segments.set(segment.segmentId, { ...segment, chunkCount });
    }
    for (const { waiting } of readable) {
      if (!waiting.isGivenUp) this.#list.add(this.#cached(waiting.chunk));
      waiting.resolve();
    }
  }

  #segmentWith(chunk: SpooledChunk, known: SegmentRecord | undefined): SegmentRecord {
    const { segmentId, recordingId, participantId, trackId, sequence } = chunk;
    return {
      segmentId,
      recordingId,
      participantId,
      trackId,
      ...this.#owner,
      chunkCount: known?.chunkCount ?? null,
      chunksPut: Math.max(known?.chunksPut ?? 0, sequence + 1),
    };
  }

  #cached(chunk: SpooledChunk): Entry {
    const record = recordOf(chunk);
    if (this.#cachedBytes + record.bytes > CACHE_BYTES_MAX) return { ...record, payload: null };
    this.#cachedBytes += record.bytes;
    return { ...record, payload: chunk.payload };
  }

  async #lent(entry: Entry): Promise<LentChunk> {
    const { bytes: _bytes, ...chunk } = entry;
    const address = addressOf(this.#segments.get(entry.segmentId));
    const marks = marksIn(entry.marks);
    if (entry.payload !== null) return { ...chunk, ...address, marks, payload: entry.payload };
    const buffer = await this.#database.payload(entry);
    return { ...chunk, ...address, marks, payload: buffer === null ? null : new Blob([buffer]) };
  }
}

/** What is left of a segment and can be read, in order of sequence. */
export async function readSegment(
  database: SpoolDatabase,
  segment: SegmentRecord,
): Promise<readonly SpooledChunk[]> {
  const found: SpooledChunk[] = [];
  for (const { bytes: _bytes, ...chunk } of await database.chunks(segment.segmentId)) {
    const buffer = await database.payload(chunk);
    if (buffer === null) continue;
    const payload = new Blob([buffer], { type: chunk.mimeType });
    found.push({ ...chunk, ...addressOf(segment), marks: marksIn(chunk.marks), payload });
  }
  return found;
}

function addressOf(segment: SegmentRecord | undefined): SegmentAddress {
  if (segment === undefined) throw new TypeError("A chunk's segment is not known");
  const { recordingId, participantId, trackId, segmentId } = segment;
  return { recordingId, participantId, trackId, segmentId };
}

function recordOf(chunk: SpooledChunk): ChunkRecord {
  const { segmentId, sequence, mimeType, beganAtMs, durationMs, clockOffsetMs, marks } = chunk;
  const bytes = chunk.payload.size;
  return { segmentId, sequence, mimeType, bytes, beganAtMs, durationMs, clockOffsetMs, marks };
}
