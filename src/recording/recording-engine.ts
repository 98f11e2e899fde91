import type { Logger } from "pino";
import type { ChunkUploadResult, SegmentStatus } from "../contract/chunks.ts";
import type { RecordingId, SegmentId } from "../contract/ids.ts";
import type { Mark } from "../contract/marks.ts";
import type { RecordingMetadata } from "../contract/metadata.ts";
import { ActiveRecording } from "./active-recording.ts";
import { boundedParallel } from "./bounded-parallel.ts";
import {
  OverQuotaError,
  RecordingClosedError,
  RecordingInProgressError,
  RecordingNotFoundError,
  SegmentNotFoundError,
  ServerStoppingError,
} from "./errors.ts";
import type { RecordingLimits } from "./limits.ts";
import { OpenFiles } from "./open-files.ts";
import { PendingBytes } from "./pending-bytes.ts";
import type {
  Catalog,
  ChunkStore,
  Clock,
  FreeSpace,
  RecordingRecord,
  SegmentKey,
  TrackKey,
} from "./ports.ts";
import type { RecordingListener } from "./recording-listener.ts";
import { TrackBells } from "./track-bells.ts";
import { requireFreeSpace } from "./require-free-space.ts";
import { type SegmentView, isOfTrack, statusOf } from "./segment-view.ts";
import type { ArrivedChunk, SegmentWriter } from "./segment-writer.ts";
import { TrackRegistry } from "./track-registry.ts";

/** Chunks of one segment, as a request brings them. */
export interface AppendRequest extends SegmentKey {
  /** `MediaRecorder.mimeType`; can be empty. */
  readonly mimeType: string;
  /** Of `chunks[0]`; the following are consecutive. */
  readonly firstSequence: number;
  readonly chunks: readonly {
    readonly payload: Uint8Array;
    /** SHA-256 that the client computed, hexadecimal; undefined when it told none. */
    readonly claimedSha256: string | undefined;
    /** On the server's clock; null when the client did not tell. */
    readonly capturedAtMs: number | null;
    /** What happened while it was recorded; those of a chunk that is stored already are ignored. */
    readonly marks: readonly Mark[];
  }[];
}

/** What `start` found. */
export interface RecoveryReport {
  /** Recordings that go on, or whose finalization does. */
  readonly recordings: number;
  readonly segments: number;
  /** Segments whose files cannot be read; the log names each. */
  readonly unreadable: number;
  /** Recordings that could not be loaded at all, which is tried again when they are asked for. */
  readonly failed: number;
  /** Deleted recordings whose files were still there. */
  readonly purged: number;
}

/** What the engine is made of. */
export interface RecordingEngineParts {
  readonly store: ChunkStore;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly freeSpace: FreeSpace;
  readonly limits: RecordingLimits;
  readonly log: Logger;
  readonly newRecordingId: () => RecordingId;
}

/** A recording that is in memory, or on its way there. */
interface ActiveEntry {
  readonly loading: Promise<ActiveRecording>;
  /** When it was asked for last. */
  touchedAtMs: number;
}

/** Recordings that are read at once at the start. */
const PARALLEL_LOADS_MAX = 8;

/** Recordings of stopped calls are let go of from memory after so long without a chunk. */
const STOPPED_IDLE_MS = 5 * 60_000;

/**
 * Takes chunks in, makes them durable and acknowledges them; starts, stops and deletes recordings.
 * What it acknowledges is on stable storage.
 */
export class RecordingEngine {
  /** Rung when something of a track has become durable. */
  readonly bells: TrackBells;
  readonly #parts: RecordingEngineParts;
  readonly #pending: PendingBytes;
  readonly #listeners: RecordingListener[] = [];
  readonly #active = new Map<RecordingId, ActiveEntry>();
  readonly #openFiles: OpenFiles;
  readonly #tracks: TrackRegistry;
  readonly #underWay = new Set<Promise<unknown>>();
  #stopping = false;

  constructor(parts: RecordingEngineParts) {
    this.bells = new TrackBells(parts.clock);
    this.#parts = parts;
    this.#pending = new PendingBytes(parts.limits);
    this.#tracks = new TrackRegistry(parts.catalog);
    this.#openFiles = new OpenFiles(parts.limits.openSegmentsMax, (writer) => {
      void this.#track(writer.suspend()).catch((error: unknown) => {
        parts.log.warn({ err: error, ...writer.key }, "a chunk file could not be closed");
      });
    });
  }

  /** Recovers what a crash or a stop left: call it once, before anything else. */
  async start(): Promise<RecoveryReport> {
    const { catalog, log } = this.#parts;
    const purged = await this.#finishDeletions();
    const records = await catalog.recordingsInState(["recording", "finalizing"]);
    let segments = 0;
    let unreadable = 0;
    let failed = 0;
    await boundedParallel(records, PARALLEL_LOADS_MAX, async ({ recordingId }) => {
      try {
        const active = await this.#load(recordingId);
        segments += active.writers.size;
        unreadable += active.unreadable.size;
      } catch (error) {
        failed += 1;
        log.error({ err: error, recordingId }, "a recording cannot be loaded");
      }
    });
    return { recordings: records.length, segments, unreadable, failed, purged };
  }

  /** Refuses new work, waits for what is under way and closes every file. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled(this.#underWay);
    const loaded = await Promise.allSettled(
      [...this.#active.values()].map(({ loading }) => loading),
    );
    for (const result of loaded) {
      if (result.status === "fulfilled") await this.#release(result.value);
    }
    this.#active.clear();
  }

  /** Adds someone who is told of changes. */
  listen(listener: RecordingListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Starts a recording; it is durable when it resolves.
   *
   * @throws StorageFullError when so little space is free that it is better left to those that run
   */
  async startRecording(request: {
    readonly name?: string | undefined;
    readonly metadata?: RecordingMetadata | undefined;
  }): Promise<RecordingRecord> {
    this.#refuseWhenStopping();
    const { freeSpace, limits } = this.#parts;
    await requireFreeSpace(freeSpace, limits.freeSpaceBytesMin, "a recording is started");
    const record: RecordingRecord = {
      recordingId: this.#parts.newRecordingId(),
      name: request.name ?? null,
      metadata: request.metadata ?? {},
      state: "recording",
      reason: null,
      startedAtMs: this.#parts.clock.nowMs(),
      stoppedAtMs: null,
      finalizedAtMs: null,
      deletedAtMs: null,
    };
    await this.#parts.catalog.addRecording(record);
    this.#parts.log.info(
      { recordingId: record.recordingId, name: record.name },
      "recording started",
    );
    return record;
  }

  /**
   * Makes the chunks of one request durable: all of them, or none.
   *
   * @throws RecordingNotFoundError, RecordingClosedError, ChunkMalformedError,
   * ChunkHashMismatchError, ChunkConflictError, ChunkTooLargeError, OverQuotaError, OverloadedError,
   * ServerStoppingError, StorageFullError, StorageFailedError
   */
  append(request: AppendRequest): Promise<ChunkUploadResult> {
    return this.#track(this.#append(request));
  }

  /**
   * Makes a segment's total number of chunks durable: with all of them there, the segment is complete.
   *
   * @throws RecordingNotFoundError, RecordingClosedError, SegmentNotFoundError, ChunkConflictError,
   * StorageFullError, StorageFailedError
   */
  endSegment(
    recordingId: RecordingId,
    segmentId: SegmentId,
    chunkCount: number,
  ): Promise<SegmentStatus> {
    return this.#track(this.#endSegment(recordingId, segmentId, chunkCount));
  }

  /**
   * The resume point of a segment.
   *
   * @throws RecordingNotFoundError, SegmentNotFoundError
   */
  async segmentStatus(recordingId: RecordingId, segmentId: SegmentId): Promise<SegmentStatus> {
    const active = await this.#loadExisting(recordingId);
    const state = active.writers.get(segmentId)?.state;
    if (state === undefined) throw new SegmentNotFoundError(segmentId);
    return statusOf(segmentId, state);
  }

  /**
   * All segments of a recording, in the order in which they were opened: as they are in memory, or, of
   * a recording that rests, as they were when it was finalized.
   *
   * @param key the track whose segments are wanted; all of the recording without it
   * @throws RecordingNotFoundError
   */
  async segments(recordingId: RecordingId, key?: TrackKey): Promise<SegmentView[]> {
    const views = await this.#segments(recordingId, key);
    return key === undefined ? views : views.filter((view) => isOfTrack(view, key));
  }

  async #segments(recordingId: RecordingId, key?: TrackKey): Promise<SegmentView[]> {
    const record = await this.#find(recordingId);
    const rests = record.state === "ready" || record.state === "failed";
    if (rests && !this.#active.has(recordingId)) {
      const tracks = await this.#parts.catalog.tracks(recordingId);
      if (tracks.every(({ result }) => result !== null)) {
        return tracks.flatMap(({ participantId, trackId, result }) =>
          (result?.segments ?? []).map((summary) => ({
            recordingId,
            participantId,
            trackId,
            segmentId: summary.segmentId,
            summary,
          })),
        );
      }
    }
    const active = await this.#load(recordingId);
    return active.views(key);
  }

  /**
   * Segments of a recording whose files could not be read when it was loaded, so that nobody knows
   * whose they are.
   *
   * @throws RecordingNotFoundError
   */
  async unreadableSegments(recordingId: RecordingId): Promise<readonly SegmentId[]> {
    const active = await this.#loadExisting(recordingId);
    // One that takes chunks again has been read meanwhile.
    return [...active.unreadable].filter((id) => active.writers.get(id)?.state === undefined);
  }

  /**
   * Stops a recording: it is `finalizing` from now on. Stopping it again changes nothing.
   *
   * @throws RecordingNotFoundError
   */
  async stopRecording(recordingId: RecordingId): Promise<RecordingRecord> {
    const before = await this.#find(recordingId);
    if (before.state !== "recording") return before;
    const atMs = this.#parts.clock.nowMs();
    const record = await this.#parts.catalog.advanceRecording(recordingId, "finalizing", {
      atMs,
      reason: null,
    });
    if (record === undefined) throw new RecordingNotFoundError(recordingId);
    const active = await this.#load(recordingId);
    active.stoppedAtMs = record.stoppedAtMs;
    this.#parts.log.info({ recordingId }, "recording stopped");
    this.#changed(recordingId);
    return record;
  }

  /**
   * Deletes a stopped recording with all its files. It takes no chunk from the moment of the call.
   *
   * @throws RecordingNotFoundError, RecordingInProgressError
   */
  deleteRecording(recordingId: RecordingId): Promise<void> {
    return this.#track(this.#deleteRecording(recordingId));
  }

  async #append(request: AppendRequest): Promise<ChunkUploadResult> {
    this.#refuseWhenStopping();
    const { clock } = this.#parts;
    const byteLength = request.chunks.reduce((sum, { payload }) => sum + payload.length, 0);
    const release = this.#pending.reserve(request, byteLength);
    try {
      const active = await this.#loadOpen(request.recordingId);
      const writer = this.#writerFor(active, request);
      const receivedAtMs = clock.nowMs();
      const chunks = request.chunks.map(
        ({ payload, claimedSha256, capturedAtMs, marks }, i): ArrivedChunk => ({
          sequence: request.firstSequence + i,
          payload,
          sha256: new Bun.CryptoHasher("sha256").update(payload).digest(),
          claimedSha256,
          capturedAtMs,
          receivedAtMs,
          marks,
        }),
      );
      this.#openFiles.use(writer);
      try {
        const receipts = await writer.append(request.mimeType, chunks);
        await active.registerTrack(request);
        this.bells.ring(request);
        const { state } = writer;
        if (state === undefined) throw new SegmentNotFoundError(request.segmentId);
        const { segmentId, nextSequence, missing } = statusOf(request.segmentId, state);
        if (active.stoppedAtMs !== null) this.#changed(request.recordingId);
        return { segmentId, nextSequence, missing, chunks: receipts };
      } finally {
        await this.#forgetUnborn(active, writer);
      }
    } finally {
      release();
    }
  }

  async #endSegment(
    recordingId: RecordingId,
    segmentId: SegmentId,
    chunkCount: number,
  ): Promise<SegmentStatus> {
    this.#refuseWhenStopping();
    const active = await this.#loadOpen(recordingId);
    const writer = active.writers.get(segmentId);
    if (writer === undefined) throw new SegmentNotFoundError(segmentId);
    this.#openFiles.use(writer);
    const state = await writer.end(chunkCount);
    if (state === undefined) throw new SegmentNotFoundError(segmentId);
    this.bells.ring(writer.key);
    if (active.stoppedAtMs !== null) this.#changed(recordingId);
    return statusOf(segmentId, state);
  }

  async #deleteRecording(recordingId: RecordingId): Promise<void> {
    const { catalog, clock, store, log } = this.#parts;
    const record = await this.#find(recordingId);
    if (record.state === "recording") throw new RecordingInProgressError(recordingId);
    await catalog.markDeleted(recordingId, clock.nowMs());
    const active = await this.#active.get(recordingId)?.loading;
    if (active !== undefined) {
      active.deleted = true;
      await this.#release(active);
    }
    await Promise.all(this.#listeners.map((listener) => listener.recordingDeleted(recordingId)));
    await store.deleteRecording(recordingId);
    await catalog.markPurged(recordingId);
    log.info({ recordingId }, "recording deleted");
  }

  /** Files that cannot be removed now are tried again at the next start. */
  async #finishDeletions(): Promise<number> {
    const { catalog, store, log } = this.#parts;
    let purged = 0;
    for (const recordingId of await catalog.deletedNotPurged()) {
      try {
        await store.deleteRecording(recordingId);
        await catalog.markPurged(recordingId);
        purged += 1;
      } catch (error) {
        log.error({ err: error, recordingId }, "a deleted recording's files cannot be removed");
      }
    }
    return purged;
  }

  /** The recording's state in memory, for a chunk: neither deleted nor past its late uploads. */
  async #loadOpen(recordingId: RecordingId): Promise<ActiveRecording> {
    const active = await this.#load(recordingId);
    if (active.deleted) throw new RecordingClosedError(`Recording ${recordingId} was deleted.`);
    const { stoppedAtMs } = active;
    const { lateUploadWindowMs } = this.#parts.limits;
    if (stoppedAtMs !== null && this.#parts.clock.nowMs() - stoppedAtMs > lateUploadWindowMs) {
      throw new RecordingClosedError(
        `Recording ${recordingId} was stopped at ${new Date(stoppedAtMs).toISOString()} and takes ` +
          `late chunks for ${lateUploadWindowMs} ms only.`,
      );
    }
    return active;
  }

  async #loadExisting(recordingId: RecordingId): Promise<ActiveRecording> {
    await this.#find(recordingId);
    return this.#load(recordingId);
  }

  async #find(recordingId: RecordingId): Promise<RecordingRecord> {
    const record = await this.#parts.catalog.findRecording(recordingId);
    if (record === undefined || record.deletedAtMs !== null) {
      throw new RecordingNotFoundError(recordingId);
    }
    return record;
  }

  /** The recording's state in memory; read from the catalogue and the chunk files when it is not. */
  #load(recordingId: RecordingId): Promise<ActiveRecording> {
    const touchedAtMs = this.#parts.clock.nowMs();
    const known = this.#active.get(recordingId);
    if (known !== undefined) {
      known.touchedAtMs = touchedAtMs;
      return known.loading;
    }
    const loading = ActiveRecording.load(recordingId, { ...this.#parts, tracks: this.#tracks });
    this.#active.set(recordingId, { loading, touchedAtMs });
    return loading.then(
      async (active) => {
        await this.#releaseIdle();
        return active;
      },
      (error: unknown) => {
        this.#active.delete(recordingId);
        throw error;
      },
    );
  }

  #writerFor(active: ActiveRecording, key: SegmentKey): SegmentWriter {
    const known = active.writers.get(key.segmentId);
    const { recordingSegmentsMax } = this.#parts.limits;
    if (known === undefined && active.writers.size >= recordingSegmentsMax) {
      throw new OverQuotaError(
        `Recording ${key.recordingId} has ${recordingSegmentsMax} segments; no more are taken.`,
      );
    }
    return active.writerFor(key);
  }

  /** A segment whose every chunk was refused never existed: its ID binds nobody. */
  async #forgetUnborn(active: ActiveRecording, writer: SegmentWriter): Promise<void> {
    if (writer.state !== undefined) return;
    await writer.settled();
    if (writer.state === undefined && writer.idle) {
      active.writers.delete(writer.key.segmentId);
      this.#openFiles.forget(writer);
    }
  }

  /** Lets go of stopped recordings that nobody has asked for in a while. */
  async #releaseIdle(): Promise<void> {
    const now = this.#parts.clock.nowMs();
    for (const [recordingId, entry] of this.#active) {
      if (now - entry.touchedAtMs <= STOPPED_IDLE_MS) continue;
      const active = await entry.loading;
      // Asked for meanwhile, or let go of by another call.
      if (now - entry.touchedAtMs <= STOPPED_IDLE_MS) continue;
      if (this.#active.get(recordingId) !== entry || active.stoppedAtMs === null) continue;
      if (![...active.writers.values()].every((writer) => writer.idle)) continue;
      this.#active.delete(recordingId);
      await this.#release(active);
    }
  }

  async #release(active: ActiveRecording): Promise<void> {
    for (const writer of active.writers.values()) {
      this.#openFiles.forget(writer);
      await writer.close();
    }
  }

  #refuseWhenStopping(): void {
    if (this.#stopping) throw new ServerStoppingError();
  }

  /** Makes `stop` wait for an operation. */
  #track<T>(operation: Promise<T>): Promise<T> {
    this.#underWay.add(operation);
    return operation.finally(() => this.#underWay.delete(operation));
  }

  #changed(recordingId: RecordingId): void {
    for (const listener of this.#listeners) listener.recordingChanged(recordingId);
  }
}
