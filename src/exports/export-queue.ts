import type { ExportId, ExportRequest, ExportState } from "../contract/exports.ts";
import type { ParticipantId, RecordingId, TrackId } from "../contract/ids.ts";

/** A published file of an export. */
export interface PublishedFile {
  readonly name: string;
  readonly bytes: number;
  readonly mediaType: string;
  readonly participantId: ParticipantId | null;
  readonly trackId: TrackId | null;
  readonly durationMs: number;
  readonly notes: readonly string[];
}

/** An MP4 that went into an export. */
export interface ExportSource {
  readonly participantId: ParticipantId;
  readonly trackId: TrackId;
  /** Each better MP4 of the track has another. */
  readonly publishedAtMs: number;
}

/** An export as the catalogue keeps it. */
export interface ExportRecord {
  readonly exportId: ExportId;
  readonly recordingId: RecordingId;
  readonly request: ExportRequest;
  readonly state: ExportState;
  /** Runs that were begun, the present one included. */
  readonly attempts: number;
  /** 0 to 1. */
  readonly progress: number;
  readonly reason: string | null;
  readonly createdAtMs: number;
  readonly endedAtMs: number | null;
  /** Both are empty before it is done. */
  readonly files: readonly PublishedFile[];
  readonly sources: readonly ExportSource[];
}

/** What is told of an export that may have left files. */
export type LeftExport = Pick<ExportRecord, "recordingId" | "exportId" | "attempts">;

/** What a finished export holds. */
export type ExportResult = Pick<ExportRecord, "files" | "sources">;

/**
 * Exports that are to be made, and those that were. Every write is durable when it resolves, but for
 * progress. A write that depends on a state tells whether it was so: two that meet cannot both win.
 */
export interface ExportQueue {
  /** Adds a queued export. */
  add(record: Pick<ExportRecord, "exportId" | "recordingId" | "request">): Promise<void>;
  /** Undefined also for one that only another version of the server knows how to read. */
  find(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord | undefined>;
  /** Like `find`, but also one whose request cannot be read. */
  findLeft(recordingId: RecordingId, exportId: ExportId): Promise<LeftExport | undefined>;
  /** All of a recording that can be read, newest first. */
  list(recordingId: RecordingId): Promise<ExportRecord[]>;
  /**
   * Takes the next export and marks it as running. Recordings take turns; within one, the export that
   * waits longest comes first.
   */
  take(): Promise<ExportRecord | undefined>;
  /** 0 to 1; lost with the process, as is the run itself. */
  reportProgress(exportId: ExportId, progress: number): void;
  /** Ends a running one well. */
  finish(exportId: ExportId, result: ExportResult): Promise<boolean>;
  /** Ends one badly that is running, or that is not to be run again. */
  fail(exportId: ExportId, reason: string): Promise<boolean>;
  /** Puts a running one back, to be taken again. */
  requeue(exportId: ExportId, reason: string): Promise<boolean>;
  /** Puts a running one back that was given up for no fault of its own: that is no attempt. */
  release(exportId: ExportId): Promise<void>;
  /** Cancels one that is queued or running. */
  cancel(exportId: ExportId): Promise<boolean>;
  /** Queues one that failed or was cancelled anew, with no attempts. */
  retry(exportId: ExportId): Promise<boolean>;
  /** Hides an export whose files are to be removed: it is found no more, also after a crash. */
  markRemoved(exportId: ExportId): Promise<void>;
  /** After a crash: queues what was running again, and gives all that may have left files. */
  recover(): Promise<{
    readonly interrupted: readonly LeftExport[];
    readonly cancelled: readonly LeftExport[];
    /** Hidden ones. */
    readonly removed: readonly LeftExport[];
  }>;
  forget(exportId: ExportId): Promise<void>;
  forgetRecording(recordingId: RecordingId): Promise<void>;
}
