import type { ChunkOutcome } from "../contract/chunks.ts";
import type { Mark } from "../contract/marks.ts";
import { type Admission, type CandidateChunk, type ChunkLimits, admit } from "./admission.ts";
import {
  ChunkConflictError,
  ChunkHashMismatchError,
  ChunkMalformedError,
  ChunkTooLargeError,
  OverQuotaError,
} from "./errors.ts";
import type {
  NewChunk,
  SegmentDescription,
  SegmentKey,
  SegmentLog,
  SegmentState,
} from "./ports.ts";

/** A chunk of a request, with all that is known when it arrives. */
export interface ArrivedChunk extends CandidateChunk {
  readonly capturedAtMs: number | null;
  readonly receivedAtMs: number;
  readonly marks: readonly Mark[];
}

/** What became of one chunk that is durable now. */
export interface ChunkReceipt {
  readonly sequence: number;
  readonly outcome: ChunkOutcome;
}

/** How a writer gets at its segment's log. */
export interface SegmentLogSource {
  /** Opens the log; undefined when the segment does not exist yet. */
  open(): Promise<SegmentLog | undefined>;
  /** Makes the segment durable with its first chunk's MIME type. */
  create(mimeType: string): Promise<SegmentLog>;
}

/** One request that waits for its turn. */
interface WaitingAppend {
  readonly mimeType: string;
  readonly chunks: readonly ArrivedChunk[];
  readonly resolve: (receipts: ChunkReceipt[]) => void;
  readonly reject: (error: unknown) => void;
}

/** The chunks of one round: they become durable by one sync. */
interface Batch {
  readonly chunks: Map<number, NewChunk>;
  /** Runs without a gap in the segment, at most, once the batch is written. */
  rangesAtMost: number;
}

/**
 * The only writer of one segment. Requests take turns: each round admits all that wait, writes what
 * they bring at once, syncs once and then answers them all, so requests that arrive during a sync
 * share the next one. A request is admitted whole or not at all.
 */
export class SegmentWriter {
  readonly key: SegmentKey;
  readonly #source: SegmentLogSource;
  readonly #limits: ChunkLimits;
  #log: SegmentLog | undefined;
  // Of the log that was opened last; kept while it is closed after a failure.
  #description: SegmentDescription | undefined;
  #state: SegmentState | undefined;
  #waiting: WaitingAppend[] = [];
  /** Settles, never rejects, when no round is under way. */
  #turn: Promise<void> = Promise.resolve();
  #draining = false;

  /** @param log of a segment that exists already; undefined for one that may not */
  constructor(key: SegmentKey, source: SegmentLogSource, limits: ChunkLimits, log?: SegmentLog) {
    this.key = key;
    this.#source = source;
    this.#limits = limits;
    if (log !== undefined) this.#keep(log);
  }

  /** Whether nothing waits and nothing is being written. */
  get idle(): boolean {
    return !this.#draining && this.#waiting.length === 0;
  }

  /** What is durable; undefined while the segment does not exist. */
  get state(): SegmentState | undefined {
    return this.#state;
  }

  /** What the segment is; undefined while it does not exist. */
  get description(): SegmentDescription | undefined {
    return this.#description;
  }

  /**
   * Appends the chunks of one request. Resolves when all of them are durable.
   *
   * @throws ChunkMalformedError, ChunkHashMismatchError, ChunkConflictError, ChunkTooLargeError, OverQuotaError: nothing of
   * the request was written. StorageFullError, StorageFailedError: nothing of it is acknowledged.
   */
  append(mimeType: string, chunks: readonly ArrivedChunk[]): Promise<ChunkReceipt[]> {
    const { promise, resolve, reject } = Promise.withResolvers<ChunkReceipt[]>();
    this.#waiting.push({ mimeType, chunks, resolve, reject });
    if (!this.#draining) {
      this.#draining = true;
      void this.#exclusively(() => this.#drain());
    }
    return promise;
  }

  /**
   * Makes the segment's total durable. Telling it again is allowed as long as no stored chunk
   * contradicts it.
   *
   * @returns undefined when the segment does not exist
   * @throws ChunkConflictError when chunks beyond the total are stored
   */
  end(chunkCount: number): Promise<SegmentState | undefined> {
    return this.#exclusively(async () => {
      const log = await this.#openLog();
      if (log === undefined) return undefined;
      const { sequences } = log.state;
      if (sequences.end > chunkCount) {
        throw new ChunkConflictError(
          `The segment cannot end with ${chunkCount} chunks: chunk ${sequences.end - 1} is stored.`,
        );
      }
      if (log.state.chunkCount !== chunkCount) {
        await this.#orCloseLog(log.end(chunkCount));
      }
      return log.state;
    });
  }

  /** Resolves when all that was asked for before has ended, well or not. */
  settled(): Promise<void> {
    return this.#exclusively(() => Promise.resolve());
  }

  /** Gives the file descriptor back until it is needed again. */
  suspend(): Promise<void> {
    return this.#exclusively(async () => {
      await this.#log?.suspend();
    });
  }

  /** Waits for what is under way, then closes the log. */
  close(): Promise<void> {
    return this.#exclusively(async () => {
      const log = this.#log;
      this.#log = undefined;
      await log?.close();
    });
  }

  /** Runs `task` when all that was asked for before it has ended. */
  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const round = this.#waiting;
      this.#waiting = [];
      await this.#runRound(round);
    }
    this.#draining = false;
  }

  /** Answers every request of the round; never rejects. */
  async #runRound(round: readonly WaitingAppend[]): Promise<void> {
    const answers: (() => void)[] = [];
    try {
      let log = await this.#openLog();
      const batch: Batch = {
        chunks: new Map(),
        rangesAtMost: log?.state.sequences.rangeCount ?? 0,
      };
      let mimeType: string | undefined;
      for (const request of round) {
        try {
          const receipts = await this.#admitRequest(request, log, mimeType, batch);
          mimeType ??= request.mimeType;
          answers.push(() => request.resolve(receipts));
        } catch (error) {
          request.reject(error);
        }
      }
      if (batch.chunks.size > 0) {
        if (log === undefined) {
          log = await this.#source.create(mimeType ?? "");
          this.#keep(log);
        }
        await this.#orCloseLog(log.append([...batch.chunks.values()]));
      }
      for (const answer of answers) answer();
    } catch (error) {
      // A request that was refused already keeps that answer: a promise settles once.
      for (const { reject } of round) reject(error);
    }
  }

  /** Admits a request whole, adding its new chunks to the batch, or throws and adds nothing. */
  async #admitRequest(
    request: WaitingAppend,
    log: SegmentLog | undefined,
    roundMimeType: string | undefined,
    batch: Batch,
  ): Promise<ChunkReceipt[]> {
    const known = log?.description.mimeType ?? roundMimeType ?? "";
    const mimeType = known === "" ? request.mimeType : known;
    const receipts: ChunkReceipt[] = [];
    const accepted = new Map<number, NewChunk>();
    let rangesAtMost = batch.rangesAtMost;
    const isThere = (sequence: number): boolean =>
      accepted.has(sequence) ||
      batch.chunks.has(sequence) ||
      log?.state.sequences.has(sequence) === true;
    for (const chunk of request.chunks) {
      const { sequence, payload, sha256, capturedAtMs, receivedAtMs, marks } = chunk;
      const storedSha256 =
        batch.chunks.get(sequence)?.sha256 ?? (await log?.hashOf(sequence)) ?? undefined;
      const touches = isThere(sequence - 1) || isThere(sequence + 1);
      const rangesAfter = rangesAtMost + (touches ? 0 : 1);
      const chunkCount = log?.state.chunkCount ?? null;
      const admission = admit(
        chunk,
        { mimeType, storedSha256, chunkCount, rangesAfter },
        this.#limits,
      );
      const outcome = acknowledged(admission);
      receipts.push({ sequence, outcome });
      if (outcome === "accepted") {
        accepted.set(sequence, { sequence, payload, sha256, capturedAtMs, receivedAtMs, marks });
        rangesAtMost = rangesAfter;
      }
    }
    for (const [sequence, chunk] of accepted) batch.chunks.set(sequence, chunk);
    batch.rangesAtMost = rangesAtMost;
    return receipts;
  }

  async #openLog(): Promise<SegmentLog | undefined> {
    if (this.#log === undefined) {
      const log = await this.#source.open();
      if (log !== undefined) this.#keep(log);
    }
    return this.#log;
  }

  #keep(log: SegmentLog): void {
    this.#log = log;
    this.#description = log.description;
    this.#state = log.state;
  }

  /** After a failed write the file is opened and scanned anew before anything else is written. */
  async #orCloseLog(operation: Promise<void>): Promise<void> {
    try {
      await operation;
    } catch (error) {
      const log = this.#log;
      this.#log = undefined;
      await log?.close();
      throw error;
    }
  }
}

/** The outcome of an admission that is to be acknowledged; throws what tells the client otherwise. */
function acknowledged(admission: Admission): ChunkOutcome {
  switch (admission.outcome) {
    case "accepted":
    case "duplicate":
      return admission.outcome;
    case "conflict":
      throw new ChunkConflictError(admission.detail);
    case "malformed":
      throw new ChunkMalformedError(admission.detail);
    case "damaged":
      throw new ChunkHashMismatchError(admission.detail);
    case "too-large":
      throw new ChunkTooLargeError(admission.detail);
    case "over-quota":
      throw new OverQuotaError(admission.detail);
  }
}
