import type { ExportId, ExportState } from "../contract/exports.ts";
import type { RecordingId, TrackId } from "../contract/ids.ts";
import type { RecordingRecord } from "../recording/ports.ts";
import { FinalizeError } from "../finalize/finalize-errors.ts";
import { AppError } from "../recording/errors.ts";

/** The recording has no such export (or it was deleted). */
export class ExportNotFoundError extends AppError {
  readonly code = "export-not-found";
  constructor(exportId: string) {
    super(`The recording has no export ${JSON.stringify(exportId)}.`);
  }
}

/** The export has no such file, or not yet. */
export class ExportFileNotFoundError extends AppError {
  readonly code = "export-file-not-found";
  constructor(name: string, state: ExportState) {
    super(
      state === "done"
        ? `The export has no file ${JSON.stringify(name)}.`
        : `The export has no files: it is ${state}.`,
    );
  }
}

/** What was asked for does not go with the state of the export. */
export class ExportConflictError extends AppError {
  readonly code = "export-conflict";
  constructor(exportId: ExportId, state: ExportState, needed: string) {
    super(`Export ${exportId} is ${state}; only one that ${needed}.`);
  }
}

/** The recording has no MP4 that could go into an export. */
export class NothingToExportError extends AppError {
  readonly code = "nothing-to-export";
  constructor(recordingId: RecordingId, missing: string) {
    super(`Recording ${recordingId} has no ${missing} that could be exported.`);
  }
}

/** What was made is not what it should be; it is not published. */
export class ExportMismatchError extends FinalizeError {
  readonly isPermanent = true;
  constructor(name: string, findings: readonly string[]) {
    super(`${name} did not become what it should be: ${findings.join("; ")}.`);
  }
}

/** Exports are made of a recording whose tracks are finalized. */
export class RecordingNotFinalizedError extends AppError {
  readonly code = "recording-in-progress";
  constructor({ recordingId, state }: RecordingRecord) {
    super(
      state === "finalizing"
        ? `Recording ${recordingId} is being finalized: its MP4s are made first.`
        : `Recording ${recordingId} is in progress: stop it first.`,
    );
  }
}

/** Late chunks made a better MP4 of a track while an export of it began: it is made of that then. */
export class ExportSourceReplacedError extends FinalizeError {
  readonly isPermanent = false;
  constructor(trackId: TrackId) {
    super(`Track ${JSON.stringify(trackId)} was given a better MP4 at this moment.`);
  }
}
