import { IndexedDbSpool } from "../../../../client/recorder/spool/indexed-db-spool.ts";
import { FailoverSpool } from "../../../../client/recorder/spool/failover-spool.ts";
import { MemorySpool } from "../../../../client/recorder/spool/memory-spool.ts";
import { SpoolDatabase } from "../../../../client/recorder/spool/spool-database.ts";
import { isChunkRecord } from "../../../../client/recorder/spool/spool-records.ts";
import { SPOOL_BEHAVIOURS, spooledChunk } from "./chunk-spool-suite.ts";

declare global {
  interface Window {
    spoolPage: SpoolPage;
  }
}

const database = new SpoolDatabase(indexedDB);

/** What the tests of the spool do in the page. */
class SpoolPage {
  /** Opens the spool of an owner. */
  open(ownerId: string): IndexedDbSpool {
    const serverUrl = "http://127.0.0.1/";
    return new IndexedDbSpool(database, { ownerId, serverUrl, needsAppFetch: false });
  }

  /** Rejects when the spool does not behave so. */
  async check(name: string, kind: "IndexedDbSpool" | "FailoverSpool"): Promise<void> {
    const behaviour = SPOOL_BEHAVIOURS.find((each) => each.name === name);
    if (behaviour === undefined) throw new Error(`There is no behaviour ${name}`);
    const disk = this.open(crypto.randomUUID());
    const spool =
      kind === "IndexedDbSpool"
        ? disk
        : new FailoverSpool(disk, new MemorySpool(), () => undefined);
    await behaviour.check(spool);
    for (const { segmentId } of await database.segments()) await database.removeSegment(segmentId);
  }

  /** Puts chunks `from` to `to - 1` of a segment. */
  async put(ownerId: string, segmentId: string, from: number, to: number): Promise<void> {
    const spool = this.open(ownerId);
    await spool.load();
    const puts = Array.from({ length: to - from }, (_, i) =>
      spool.put(spooledChunk(segmentId, from + i, 100)),
    );
    await Promise.all(puts);
  }

  /** What a later page finds of an owner. */
  async found(ownerId: string): Promise<
    readonly {
      readonly segmentId: string;
      readonly chunksPut: number;
      readonly chunkCount: number | null;
      readonly sequences: readonly number[];
    }[]
  > {
    const left = await this.open(ownerId).load();
    return left.map(({ segment: { segmentId, chunksPut, chunkCount }, chunks }) => ({
      segmentId,
      chunksPut,
      chunkCount,
      sequences: chunks.map(({ sequence }) => sequence),
    }));
  }

  /** Puts records into the database that this version does not write. */
  async putForeignRecords(): Promise<void> {
    const opened = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open("track-capture-spool");
      request.addEventListener("success", () => resolve(request.result));
    });
    const transaction = opened.transaction(["segments", "chunks"], "readwrite");
    transaction.objectStore("segments").put({ segmentId: "foreign", words: "of a later version" });
    transaction.objectStore("chunks").put({ segmentId: "a", sequence: 77 });
    await new Promise<void>((resolve) => {
      transaction.addEventListener("complete", () => resolve());
    });
    opened.close();
  }

  /** Puts a chunk as versions wrote it that took no marks, one with marks of a later version, and a
   * chunk whose marks are none at all; tells what is lent of them. */
  async takeOtherVersions(): Promise<
    readonly { readonly bytes: number; readonly marks: unknown }[]
  > {
    const ownerId = crypto.randomUUID();
    await this.put(ownerId, ownerId, 0, 3);
    const given = [
      undefined,
      [
        { type: "melted", atMs: 1 },
        { type: "hidden", atMs: 2 },
      ],
      "none",
    ];
    for (const chunk of await database.chunks(ownerId)) {
      const { marks: _marks, ...record } = chunk;
      const marks = given[record.sequence];
      const payload = (await database.payload(chunk)) ?? new ArrayBuffer();
      // The property itself is missing in what older versions wrote.
      const written = marks === undefined ? record : { ...record, marks };
      if (!isChunkRecord(written)) throw new Error("An older record is not understood");
      await database.write([], [{ record: written, payload }]);
    }
    const spool = this.open(ownerId);
    await spool.load();
    const taken = await spool.take({ bytesMax: 1_000, chunksMax: 10 });
    return taken.map(({ payload, marks }) => ({ bytes: payload?.size ?? -1, marks }));
  }

  /** Loses the bytes of a chunk, as a fault of the disk does, and tells what is lent then. */
  async takeWithoutBytes(): Promise<readonly (string | null)[]> {
    const ownerId = crypto.randomUUID();
    await this.put(ownerId, ownerId, 0, 3);
    const opened = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open("track-capture-spool");
      request.addEventListener("success", () => resolve(request.result));
    });
    const transaction = opened.transaction("payloads", "readwrite");
    transaction.objectStore("payloads").delete([ownerId, 1]);
    await new Promise<void>((resolve) => {
      transaction.addEventListener("complete", () => resolve());
    });
    opened.close();
    const spool = this.open(ownerId);
    await spool.load();
    const taken = await spool.take({ bytesMax: 1_000, chunksMax: 10 });
    return Promise.all(taken.map(async ({ payload }) => (await payload?.text()) ?? null));
  }

  /** Puts a segment's chunks of such sizes, of bytes that cannot be compressed. */
  async putRandom(ownerId: string, segmentId: string, sizes: readonly number[]): Promise<void> {
    const spool = this.open(ownerId);
    await spool.load();
    for (const [sequence, bytes] of sizes.entries()) {
      // In pieces: 64 KiB is all that is given at once.
      const pieces = Array.from({ length: Math.ceil(bytes / 1_000) }, () =>
        crypto.getRandomValues(new Uint8Array(1_000)),
      );
      const payload = new Blob(pieces).slice(0, bytes);
      await spool.put({ ...spooledChunk(segmentId, sequence), payload });
    }
  }

  /** Payload sizes of all chunks that are lent, null for one that is lost, and of all that are listed. */
  async sizesOf(ownerId: string): Promise<{
    readonly lent: readonly (number | null)[];
    readonly listed: readonly number[];
  }> {
    const spool = this.open(ownerId);
    await spool.load();
    const lent = await spool.take({ bytesMax: 10_000_000, chunksMax: 100 });
    return {
      lent: lent.map(({ payload }) => payload?.size ?? null),
      listed: (await spool.list()).map(({ payload }) => payload.size),
    };
  }

  async end(ownerId: string, segmentId: string, chunkCount: number): Promise<void> {
    const spool = this.open(ownerId);
    await spool.load();
    await spool.endSegment(segmentId, chunkCount);
  }

  /** Median of a put's time, one after the other, in milliseconds. */
  async medianPutMs(puts: number, bytes: number): Promise<number> {
    const spool = this.open(crypto.randomUUID());
    const durations: number[] = [];
    for (let i = 0; i < puts; i += 1) {
      const startMs = performance.now();
      await spool.put(spooledChunk("measured", i, bytes));
      durations.push(performance.now() - startMs);
    }
    return durations.toSorted((a, b) => a - b)[Math.floor(puts / 2)] ?? -1;
  }
}

window.spoolPage = new SpoolPage();
