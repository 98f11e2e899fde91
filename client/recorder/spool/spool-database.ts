import type { ChunkKey } from "./chunk-spool.ts";
import {
  isChunkRecord,
  isSegmentRecord,
  type ChunkRecord,
  type SegmentRecord,
} from "./spool-records.ts";

/** One for the origin: any of its pages finds what another left. */
export const DATABASE_NAME = "track-capture-spool";

const VERSION = 1;

/** Some browsers' open requests hang instead of failing. */
const OPEN_TIMEOUT_MS = 5_000;

const STORES = ["segments", "chunks", "payloads"] as const;

/**
 * What is on the disk of all runs of this origin. Bytes lie apart from what is known of them, so that
 * a list of gigabytes is read in no time. Each method is one transaction; it rejects with the
 * browser's DOMException (`QuotaExceededError` among them), and then nothing of it was done.
 * Records that cannot be understood are passed over, and never removed.
 */
export class SpoolDatabase {
  readonly #factory: IDBFactory;
  #connection: Promise<IDBDatabase> | null = null;

  constructor(factory: IDBFactory) {
    this.#factory = factory;
  }

  /** Closes the connection; the next method opens it again. */
  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    (await connection)?.close();
  }

  /** Writes chunks and their segments. When it resolves, they are on the disk. */
  async write(
    segments: readonly SegmentRecord[],
    chunks: readonly { readonly record: ChunkRecord; readonly payload: ArrayBuffer }[],
  ): Promise<void> {
    await this.#change("strict", (transaction) => {
      for (const segment of segments) transaction.objectStore("segments").put(segment);
      for (const { record, payload } of chunks) {
        transaction.objectStore("chunks").put(record);
        transaction.objectStore("payloads").put(payload, [record.segmentId, record.sequence]);
      }
    });
  }

  /** Not synced: a chunk that comes back after a crash is sent once more, which harms nothing. */
  async deleteChunks(keys: readonly ChunkKey[]): Promise<void> {
    await this.#change("relaxed", (transaction) => {
      for (const { segmentId, sequence } of keys) {
        transaction.objectStore("chunks").delete([segmentId, sequence]);
        transaction.objectStore("payloads").delete([segmentId, sequence]);
      }
    });
  }

  /** Removes a segment that has no chunks; no effect on one that has. */
  async removeEmptySegment(segmentId: string): Promise<void> {
    await this.#change("relaxed", (transaction) => {
      const count = transaction.objectStore("chunks").count(chunksOf(segmentId));
      count.addEventListener("success", () => {
        if (count.result === 0) transaction.objectStore("segments").delete(segmentId);
      });
    });
  }

  /** Removes a segment with all its chunks. */
  async removeSegment(segmentId: string): Promise<void> {
    await this.#change("strict", (transaction) => {
      transaction.objectStore("segments").delete(segmentId);
      transaction.objectStore("chunks").delete(chunksOf(segmentId));
      transaction.objectStore("payloads").delete(chunksOf(segmentId));
    });
  }

  async segments(): Promise<readonly SegmentRecord[]> {
    const records = await this.#read("segments", (store) => store.getAll());
    return records.filter(isSegmentRecord);
  }

  /** In order of sequence. */
  async chunks(segmentId: string): Promise<readonly ChunkRecord[]> {
    const records = await this.#read("chunks", (store) => store.getAll(chunksOf(segmentId)));
    return records.filter(isChunkRecord);
  }

  /** Null when it is not there, or lost for good. */
  async payload({ segmentId, sequence }: ChunkKey): Promise<ArrayBuffer | null> {
    try {
      const value: unknown = await this.#read("payloads", (store) =>
        store.get([segmentId, sequence]),
      );
      return value instanceof ArrayBuffer ? value : null;
    } catch (cause) {
      // Chromium from 132 on, when the value's file is gone; what may pass is an UnknownError.
      if (cause instanceof DOMException && cause.name === "NotReadableError") return null;
      throw cause;
    }
  }

  async #read<T>(store: string, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const database = await this.#open();
    const request = ask(database.transaction(store).objectStore(store));
    return new Promise((resolve, reject) => {
      request.addEventListener("success", () => resolve(request.result));
      request.addEventListener("error", () => reject(failureOf(request)));
    });
  }

  async #change(
    durability: IDBTransactionDurability,
    write: (transaction: IDBTransaction) => void,
  ): Promise<void> {
    const database = await this.#open();
    const transaction = database.transaction(STORES, "readwrite", { durability });
    await new Promise<void>((resolve, reject) => {
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("abort", () => reject(failureOf(transaction)));
      write(transaction);
    });
  }

  #open(): Promise<IDBDatabase> {
    if (this.#connection !== null) return this.#connection;
    const connection = openDatabase(this.#factory);
    this.#connection = connection;
    const forget = (): void => {
      if (this.#connection === connection) this.#connection = null;
    };
    // `close` comes when the browser ends the connection, for example since its data was cleared.
    connection.then((database) => database.addEventListener("close", forget), forget);
    return connection;
  }
}

function openDatabase(factory: IDBFactory): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    let hasTimedOut = false;
    const timer = setTimeout(() => {
      hasTimedOut = true;
      reject(new DOMException("The database does not open", "TimeoutError"));
    }, OPEN_TIMEOUT_MS);
    const request = factory.open(DATABASE_NAME, VERSION);
    request.addEventListener("upgradeneeded", () => {
      const database = request.result;
      database.createObjectStore("segments", { keyPath: "segmentId" });
      database.createObjectStore("chunks", { keyPath: ["segmentId", "sequence"] });
      database.createObjectStore("payloads");
    });
    request.addEventListener("success", () => {
      clearTimeout(timer);
      if (hasTimedOut) request.result.close();
      else resolve(request.result);
    });
    request.addEventListener("error", () => {
      clearTimeout(timer);
      reject(failureOf(request));
    });
  });
}

/** Arrays are above all numbers in the order of keys (Indexed Database API, 2.4). */
function chunksOf(segmentId: string): IDBKeyRange {
  return IDBKeyRange.bound([segmentId], [segmentId, []]);
}

function failureOf(failed: IDBRequest | IDBTransaction): DOMException {
  return failed.error ?? new DOMException("The storage gave up without a word", "AbortError");
}
