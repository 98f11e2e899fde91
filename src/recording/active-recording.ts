import type { Logger } from "pino";
import type { RecordingId, SegmentId } from "../contract/ids.ts";
import type { ChunkLimits } from "./admission.ts";
import { boundedParallel } from "./bounded-parallel.ts";
import { ChunkConflictError, RecordingClosedError, RecordingNotFoundError } from "./errors.ts";
import type { Catalog, ChunkStore, Clock, SegmentKey, SegmentLog, TrackKey } from "./ports.ts";
import { type SegmentView, isOfTrack, summaryOf } from "./segment-view.ts";
import { SegmentWriter } from "./segment-writer.ts";
import type { TrackRegistry } from "./track-registry.ts";

/** Chunk files of a recording that are opened at once when it is loaded. */
const PARALLEL_OPENS_MAX = 16;

/** What a recording in memory is made of. */
export interface ActiveRecordingParts {
  readonly store: ChunkStore;
  readonly catalog: Catalog;
  readonly tracks: TrackRegistry;
  readonly clock: Clock;
  readonly limits: ChunkLimits;
  readonly log: Logger;
}

/** A recording in memory: its segments, each with the only writer of its chunk file. */
export class ActiveRecording {
  readonly recordingId: RecordingId;
  readonly writers = new Map<SegmentId, SegmentWriter>();
  /** Segments whose files could not be read when the recording was loaded. */
  readonly unreadable = new Set<SegmentId>();
  /** Null while it is in progress. */
  stoppedAtMs: number | null;
  deleted: boolean;
  readonly #parts: ActiveRecordingParts;
  /** Tracks that the catalogue knows, or is being told of. */
  readonly #tracks = new Map<string, Promise<void>>();

  private constructor(
    recordingId: RecordingId,
    parts: ActiveRecordingParts,
    state: { stoppedAtMs: number | null; deleted: boolean },
  ) {
    this.recordingId = recordingId;
    this.#parts = parts;
    this.stoppedAtMs = state.stoppedAtMs;
    this.deleted = state.deleted;
  }

  /**
   * Reads a recording from the catalogue and its segments from their chunk files, cutting torn tails
   * off. A track whose first chunk became durable right before a crash is told to the catalogue. A
   * segment that cannot be read is told to the log and does not keep the others from their work.
   *
   * @throws RecordingNotFoundError
   */
  static async load(
    recordingId: RecordingId,
    parts: ActiveRecordingParts,
  ): Promise<ActiveRecording> {
    const record = await parts.catalog.findRecording(recordingId);
    if (record === undefined) throw new RecordingNotFoundError(recordingId);
    const deleted = record.deletedAtMs !== null;
    const active = new ActiveRecording(recordingId, parts, {
      stoppedAtMs: record.stoppedAtMs,
      deleted,
    });
    if (deleted) return active;
    await parts.store.removeUnfinished(recordingId);
    const segmentIds = await parts.store.list(recordingId);
    await boundedParallel(segmentIds, PARALLEL_OPENS_MAX, (id) => active.#loadSegment(id));
    return active;
  }

  async #loadSegment(segmentId: SegmentId): Promise<void> {
    const { recordingId } = this;
    const log = await this.#openSegment(segmentId);
    if (log === undefined) return;
    // The file descriptor is taken again when a chunk comes; there may be thousands of segments.
    await log.suspend();
    const { participantId, trackId } = log.description;
    const key = { recordingId, participantId, trackId, segmentId };
    this.writers.set(segmentId, this.#newWriter(key, log));
    await this.registerTrack(key);
  }

  async #openSegment(segmentId: SegmentId): Promise<SegmentLog | undefined> {
    const { store, log } = this.#parts;
    const { recordingId } = this;
    try {
      return await store.open(recordingId, segmentId);
    } catch (error) {
      this.unreadable.add(segmentId);
      log.error({ err: error, recordingId, segmentId }, "a segment cannot be read");
      return undefined;
    }
  }

  /**
   * The writer of a segment, made when there is none. What is asked of it before anything is awaited
   * comes before a deletion.
   *
   * @throws ChunkConflictError when the segment belongs to another participant or track;
   * RecordingClosedError when the recording was deleted
   */
  writerFor(key: SegmentKey): SegmentWriter {
    if (this.deleted) throw new RecordingClosedError(`Recording ${this.recordingId} was deleted.`);
    const known = this.writers.get(key.segmentId);
    if (known === undefined) {
      const writer = this.#newWriter(key);
      this.writers.set(key.segmentId, writer);
      return writer;
    }
    const { participantId, trackId } = known.key;
    if (participantId !== key.participantId || trackId !== key.trackId) {
      throw new ChunkConflictError(
        `Segment ${key.segmentId} belongs to another participant or track of this recording.`,
      );
    }
    return known;
  }

  /** Tells the catalogue of a track once; durable when it resolves. */
  registerTrack({ recordingId, participantId, trackId }: TrackKey): Promise<void> {
    const name = JSON.stringify([participantId, trackId]);
    let registered = this.#tracks.get(name);
    if (registered === undefined) {
      registered = this.#parts.tracks.register({ recordingId, participantId, trackId });
      this.#tracks.set(name, registered);
      registered.catch(() => this.#tracks.delete(name));
    }
    return registered;
  }

  /** All segments as they are now, or those of a track, in the order in which they were opened. */
  views(key?: TrackKey): SegmentView[] {
    const views: SegmentView[] = [];
    for (const writer of this.writers.values()) {
      const { description, state } = writer;
      if (key !== undefined && !isOfTrack(writer.key, key)) continue;
      if (description === undefined || state === undefined) continue;
      views.push({ ...writer.key, summary: summaryOf(description, state) });
    }
    return views.toSorted((a, b) => a.summary.openedAt.localeCompare(b.summary.openedAt));
  }

  #newWriter(
    { recordingId, participantId, trackId, segmentId }: SegmentKey,
    log?: SegmentLog,
  ): SegmentWriter {
    const { store, clock, limits } = this.#parts;
    const key = { recordingId, participantId, trackId, segmentId };
    const source = {
      open: () => store.open(recordingId, segmentId),
      create: (mimeType: string) => store.create({ ...key, mimeType, openedAtMs: clock.nowMs() }),
    };
    return new SegmentWriter(key, source, limits, log);
  }
}
