import type {
  ListRecordingsQuery,
  RecordingState,
  RemuxAction,
  SegmentSummary,
  Verdict,
} from "../contract/recordings.ts";
import type { ParticipantId, RecordingId, SegmentId, TrackId } from "../contract/ids.ts";
import type { SequenceRange } from "../contract/chunks.ts";
import type { Mark } from "../contract/marks.ts";
import type { RecordingMetadata } from "../contract/metadata.ts";
import type { TrackTimeline } from "../contract/timeline.ts";
import type { SequenceSet } from "./sequence-set.ts";
import type { TurnKind } from "./thread-turns.ts";

/** Source of the time; injected so that tests can turn it by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels that. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The room that is left where recordings are kept. */
export interface FreeSpace {
  /**
   * Bytes that can still be written.
   *
   * @throws StorageFailedError
   */
  freeBytes(): Promise<number>;
}

/** Names one track of one recording. */
export interface TrackKey {
  readonly recordingId: RecordingId;
  readonly participantId: ParticipantId;
  readonly trackId: TrackId;
}

/** Names one segment of one track. */
export interface SegmentKey extends TrackKey {
  readonly segmentId: SegmentId;
}

/** What a segment is. Durable in the chunk file itself, which needs no catalogue to be understood. */
export interface SegmentDescription extends SegmentKey {
  /** As the client told it; can be empty. */
  readonly mimeType: string;
  readonly openedAtMs: number;
}

/** A chunk on its way to the disk. */
export interface NewChunk {
  readonly sequence: number;
  readonly payload: Uint8Array;
  /** SHA-256 of `payload`, 32 bytes. */
  readonly sha256: Uint8Array;
  /** When its first frame was captured, on the server's clock; null when the client did not say. */
  readonly capturedAtMs: number | null;
  readonly receivedAtMs: number;
  /** What happened while it was recorded, at most `MARKS_PER_CHUNK_MAX`; as durable as the chunk. */
  readonly marks: readonly Mark[];
}

/** A stored chunk without its payload. */
export interface ChunkStamp {
  readonly sequence: number;
  readonly byteLength: number;
  readonly capturedAtMs: number | null;
  readonly receivedAtMs: number;
}

/** Everything about a segment that is known without reading a payload. */
export interface SegmentState {
  /** Sequences that are durable. */
  readonly sequences: SequenceSet;
  /** Sum of their payloads. */
  readonly bytes: number;
  /** Total number of chunks, once the client has told it. */
  readonly chunkCount: number | null;
  /** When the last chunk arrived; null while there is none. */
  readonly lastChunkAtMs: number | null;
}

/**
 * One segment's chunk file, open for appending. One writer at a time: calls must not overlap.
 * A rejected append has changed nothing that a later reader sees.
 */
export interface SegmentLog {
  readonly description: SegmentDescription;
  /** Live view: it changes with every append. */
  readonly state: SegmentState;
  /** SHA-256 of a stored chunk; undefined when the sequence is not there, or its bytes are damaged. */
  hashOf(sequence: number): Promise<Uint8Array | undefined>;
  /**
   * Appends chunks whose sequences are not there yet, and syncs once for all of them.
   * When it resolves they are on stable storage.
   *
   * @throws StorageFullError, StorageFailedError
   */
  append(chunks: readonly NewChunk[]): Promise<void>;
  /** Makes the segment's total durable. Telling it again replaces it. */
  end(chunkCount: number): Promise<void>;
  /** Gives the file descriptor back; the next call takes one again by itself. */
  suspend(): Promise<void>;
  /** Releases the file; the log cannot be used afterwards. */
  close(): Promise<void>;
}

/** A stored chunk whose payload was found undamaged. */
export interface StoredChunk extends ChunkStamp {
  readonly payload: Uint8Array;
}

/** Which chunks of a segment are read, and how. */
export interface ChunkReading {
  /** The first that is wanted. Default 0. */
  readonly fromSequence?: number;
  /**
   * Each payload holds only until the next one is asked for, since its memory is used again: hours of
   * media pass through it without garbage. Default false.
   */
  readonly lendsPayloads?: boolean;
}

/** Payloads of a segment in order of sequence, for the remux and for `source` downloads. */
export interface SegmentReader {
  readonly description: SegmentDescription;
  readonly state: SegmentState;
  /** Stamps of all stored chunks, in order of sequence. */
  stamps(): AsyncIterable<ChunkStamp>;
  /**
   * The marks of all stored chunks, in order of sequence; damaged ones are left out.
   *
   * @param countMax only the first so many are read; all without it
   */
  marks(countMax?: number): Promise<readonly Mark[]>;
  /**
   * The payloads as they are at this moment, in order of sequence and without their headers. Each
   * is checked against its hash; `onDamaged` is told of those that do not fit, and they are left
   * out.
   */
  payloads(onDamaged: (sequence: number) => void): AsyncIterable<Uint8Array>;
  /** Like `payloads`, each with its sequence, so that gaps show; empty ones are given too. */
  chunks(onDamaged: (sequence: number) => void, options?: ChunkReading): AsyncIterable<StoredChunk>;
  /** Bytes of a chunk's payload, without reading it; undefined when the chunk is missing. */
  byteLengthOf(sequence: number): number | undefined;
  /** One chunk, checked against its hash; undefined when it is missing or damaged. */
  chunk(sequence: number): Promise<StoredChunk | undefined>;
  close(): Promise<void>;
}

/** Where chunks are kept. Every implementation passes `test/suites/chunk-store.ts`. */
export interface ChunkStore {
  /** Makes the segment durable, without chunks; it must not exist. */
  create(description: SegmentDescription): Promise<SegmentLog>;
  /** Opens an existing segment for appending, after cutting a torn tail off; undefined when there is none. */
  open(recordingId: RecordingId, segmentId: SegmentId): Promise<SegmentLog | undefined>;
  /**
   * Opens an existing segment for reading beside its writer; undefined when there is none.
   *
   * @param turnKind whom it is read for; a reader of media without it
   */
  read(
    recordingId: RecordingId,
    segmentId: SegmentId,
    turnKind?: TurnKind,
  ): Promise<SegmentReader | undefined>;
  /** IDs of all segments of a recording, in no order. */
  list(recordingId: RecordingId): Promise<SegmentId[]>;
  /** Removes segments of a recording whose making a crash cut short. Gives how many there were. */
  removeUnfinished(recordingId: RecordingId): Promise<number>;
  /** Removes all that is kept of a recording: chunks and media. */
  deleteRecording(recordingId: RecordingId): Promise<void>;
}

/** A recording as the catalogue keeps it. */
export interface RecordingRecord {
  readonly recordingId: RecordingId;
  readonly name: string | null;
  /** A JSON object. */
  readonly metadata: RecordingMetadata;
  readonly state: RecordingState;
  readonly reason: string | null;
  readonly startedAtMs: number;
  readonly stoppedAtMs: number | null;
  readonly finalizedAtMs: number | null;
  readonly deletedAtMs: number | null;
}

/** What finalizing a track gave. */
export interface TrackResult {
  readonly verdict: Verdict;
  /** Why the verdict is not `complete`; null when it is. */
  readonly reason: string | null;
  /** Null when the verdict is `lost`. */
  readonly media: MediaRecord | null;
  /** The segments that went into it. */
  readonly segments: readonly SegmentSummary[];
  /** Where it stands in the recording, and what is missing; null when the verdict is `lost`. */
  readonly timeline: TrackTimeline | null;
  /** What of those is on the disk but could not be used; segments without damage are left out. */
  readonly damage: readonly SegmentDamage[];
}

/** Bytes of a segment that could not be used. */
export interface SegmentDamage {
  readonly segmentId: SegmentId;
  /** Chunks whose bytes are not those that were acknowledged. */
  readonly damagedChunks: readonly SequenceRange[];
  /** Bytes of undamaged chunks that are of no use without what is missing or damaged before them. */
  readonly unusableBytes: number;
}

/** A published MP4 as the catalogue keeps it. */
export interface MediaRecord {
  readonly bytes: number;
  readonly durationMs: number;
  readonly videoCodec: string | null;
  readonly audioCodec: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly videoPackets: number;
  readonly audioPackets: number;
  readonly action: RemuxAction;
  readonly actionReason: string;
  readonly publishedAtMs: number;
}

/** A track as the catalogue keeps it. */
export interface TrackRecord extends TrackKey {
  /** The newest result; null before the first. A later attempt that fails leaves it. */
  readonly result: TrackResult | null;
  readonly job: FinalizeJob | null;
}

/** State of a job; `queued` and `running` ones are found again after a crash. */
export type JobState = "queued" | "running" | "done" | "failed";

/** The persistent job that makes a track's MP4. */
export interface FinalizeJob extends TrackKey {
  readonly state: JobState;
  /** Runs that were begun, this one included. */
  readonly attempts: number;
  /** 0 to 1. */
  readonly progress: number;
  /** Why the last run failed; null otherwise. */
  readonly error: string | null;
}

/** Recordings and tracks. Not on the way of a chunk. Every write is durable when it resolves. */
export interface Catalog {
  addRecording(record: RecordingRecord): Promise<void>;
  /** Deleted recordings are found too. */
  findRecording(recordingId: RecordingId): Promise<RecordingRecord | undefined>;
  /** Newest first, without deleted ones. */
  listRecordings(
    query: ListRecordingsQuery,
  ): Promise<{ recordings: RecordingRecord[]; nextCursor: RecordingId | null }>;
  /** All recordings in one of the states, without deleted ones. */
  recordingsInState(states: readonly RecordingState[]): Promise<RecordingRecord[]>;
  /**
   * Moves a recording forward to `state`; one that stands there or further stays, as does a
   * deleted one. Gives the record as it is afterwards.
   */
  advanceRecording(
    recordingId: RecordingId,
    state: RecordingState,
    change: { atMs: number; reason: string | null },
  ): Promise<RecordingRecord | undefined>;
  /** Marks a recording as deleted: from now on it takes no chunk, also after a crash. */
  markDeleted(recordingId: RecordingId, atMs: number): Promise<void>;
  /** Deleted recordings whose files may still be there. */
  deletedNotPurged(): Promise<RecordingId[]>;
  /** The files of a deleted recording are gone; its tracks and jobs go too. */
  markPurged(recordingId: RecordingId): Promise<void>;
  /** Adds tracks, all of them or none; those that are there stay as they are. */
  addTracks(keys: readonly TrackKey[]): Promise<void>;
  /** Tracks of a recording, in the order in which they were added. */
  tracks(recordingId: RecordingId): Promise<TrackRecord[]>;
  /** One track; undefined when it is not there. Its cost does not grow with the recording's tracks. */
  track(key: TrackKey): Promise<TrackRecord | undefined>;
  saveTrackResult(key: TrackKey, result: TrackResult): Promise<void>;
}

/** Finalizations that are to be done. Every write is durable when it resolves. */
export interface JobQueue {
  /**
   * Asks for a track's finalization. A job that is queued stays as it is; one that is running runs
   * once more afterwards; one that is done or failed is queued anew with no attempts.
   */
  enqueue(key: TrackKey): Promise<void>;
  /** The same for several tracks, in their order and with one write. */
  enqueueAll(keys: readonly TrackKey[]): Promise<void>;
  /**
   * Takes the next queued job and marks it as running; undefined when there is none. Recordings take
   * turns; within one, the oldest job comes first.
   */
  take(): Promise<FinalizeJob | undefined>;
  /** 0 to 1; lost with the process, as is the run itself. */
  reportProgress(key: TrackKey, progress: number): void;
  /** Ends a run. Gives `again` when the job was asked for meanwhile and is queued once more. */
  finish(
    key: TrackKey,
    outcome: { state: "done" } | { state: "failed"; error: string },
  ): Promise<"ended" | "again">;
  /** Puts a failed run back, to be taken again at once. */
  retry(key: TrackKey, error: string): Promise<void>;
  /** Puts a run back that was given up for no fault of its own: it does not count as an attempt. */
  release(key: TrackKey): Promise<void>;
  /** After a crash: what was running is queued again, and given. */
  requeueInterrupted(): Promise<TrackKey[]>;
  /** Jobs of a recording. */
  jobs(recordingId: RecordingId): Promise<FinalizeJob[]>;
  /** Whether a job of a recording is queued or running. */
  hasOpenJobs(recordingId: RecordingId): Promise<boolean>;
  /** Forgets the jobs of a recording. */
  removeJobs(recordingId: RecordingId): Promise<void>;
}
