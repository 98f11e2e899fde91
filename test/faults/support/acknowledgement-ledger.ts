import type { ChunkUploadResult } from "../../../src/contract/chunks.ts";
import { recordingIdSchema, segmentIdSchema } from "../../../src/contract/ids.ts";
import type { Mark } from "../../../src/contract/marks.ts";
import { FileChunkStore } from "../../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../../src/storage/layout.ts";

/** What is wrong with a chunk that was acknowledged. */
export interface BrokenPromise {
  readonly segmentId: string;
  readonly sequence: number;
  readonly fault: "lost" | "changed" | "damaged" | "marks lost" | "accepted twice";
}

/** A segment whose acknowledgements are kept. */
interface LedgerPage {
  readonly recordingId: string;
  /** Sequence → SHA-256 in hexadecimal. */
  readonly sha256s: Map<number, string>;
  /** Sequence → JSON of each mark that came with it: no two of a segment are alike. */
  readonly marks: Map<number, readonly string[]>;
  readonly accepted: Set<number>;
}

/**
 * Every acknowledgement that a server gave, kept by the one who got it: what is in here must be on
 * the disk, unchanged, whatever happens to the server.
 */
export class AcknowledgementLedger {
  readonly #pages = new Map<string, LedgerPage>();
  readonly #broken: BrokenPromise[] = [];

  /** Chunks that were acknowledged at least once. */
  get count(): number {
    let count = 0;
    for (const { sha256s } of this.#pages.values()) count += sha256s.size;
    return count;
  }

  /**
   * Takes an answer in.
   *
   * @param payloads of the request, from its first sequence on
   * @throws RangeError when the answer does not name exactly the chunks of the request
   */
  record(
    request: {
      readonly recordingId: string;
      readonly segmentId: string;
      readonly sequence: number;
      readonly marks?: readonly (readonly Mark[])[];
    },
    payloads: readonly Uint8Array[],
    answer: ChunkUploadResult,
  ): void {
    const { recordingId, segmentId, sequence: firstSequence } = request;
    const expected = payloads.map((_, i) => firstSequence + i);
    const named = answer.chunks.map(({ sequence }) => sequence);
    if (answer.segmentId !== segmentId || named.join() !== expected.join()) {
      throw new RangeError(`Sent ${expected.join()}, but ${named.join()} was acknowledged`);
    }
    let page = this.#pages.get(segmentId);
    if (page === undefined) {
      page = { recordingId, sha256s: new Map(), marks: new Map(), accepted: new Set() };
      this.#pages.set(segmentId, page);
    }
    for (const [i, { sequence, outcome }] of answer.chunks.entries()) {
      page.sha256s.set(sequence, sha256HexOf(payloads[i] ?? new Uint8Array()));
      const marks = request.marks?.[i] ?? [];
      page.marks.set(
        sequence,
        marks.map((mark) => JSON.stringify(mark)),
      );
      if (outcome === "duplicate") continue;
      // A chunk is new once. When it is new again, its first acknowledgement was broken meanwhile.
      if (page.accepted.has(sequence)) {
        this.#broken.push({ segmentId, sequence, fault: "accepted twice" });
      }
      page.accepted.add(sequence);
    }
  }

  /** Forgets a recording that is being deleted. */
  forget(recordingId: string): void {
    for (const [segmentId, page] of this.#pages) {
      if (page.recordingId === recordingId) this.#pages.delete(segmentId);
    }
  }

  /**
   * Holds the ledger against a directory of recordings that no server runs on, as it lies there:
   * nothing in it is recovered or changed. Gives every promise that is broken, in the answers too.
   */
  async check(recordingsDirectory: string): Promise<BrokenPromise[]> {
    const store = new FileChunkStore(new RecordingsLayout(recordingsDirectory), () => undefined);
    const broken = [...this.#broken];
    for (const [segmentId, { recordingId, sha256s, marks }] of this.#pages) {
      const reader = await store.read(
        recordingIdSchema.parse(recordingId),
        segmentIdSchema.parse(segmentId),
      );
      const damaged = new Set<number>();
      const stored = new Map<number, string>();
      const storedMarks = new Set<string>();
      try {
        for await (const chunk of reader?.chunks((sequence) => damaged.add(sequence)) ?? []) {
          stored.set(chunk.sequence, sha256HexOf(chunk.payload));
        }
        for (const mark of (await reader?.marks()) ?? []) storedMarks.add(JSON.stringify(mark));
      } finally {
        await reader?.close();
      }
      for (const [sequence, sha256] of sha256s) {
        const found = stored.get(sequence);
        if (found === sha256) {
          const isMarked = marks.get(sequence)?.every((mark) => storedMarks.has(mark)) ?? true;
          if (!isMarked) broken.push({ segmentId, sequence, fault: "marks lost" });
          continue;
        }
        const fault = damaged.has(sequence) ? "damaged" : found === undefined ? "lost" : "changed";
        broken.push({ segmentId, sequence, fault });
      }
    }
    return broken;
  }
}

function sha256HexOf(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
