import type { Logger } from "pino";
import type { ExportId, ExportRequest } from "../contract/exports.ts";
import type { RecordingId } from "../contract/ids.ts";
import type { NamesFont } from "./composite/names-font.ts";
import { type FfmpegConfinement, findFfmpegConfinement } from "../finalize/ffmpeg-confinement.ts";
import type { FinalizeLimits } from "../finalize/finalize-limits.ts";
import { JobLoop, type RunEnd } from "../jobs/job-loop.ts";
import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import { OverQuotaError, RecordingNotFoundError } from "../recording/errors.ts";
import type {
  Catalog,
  Clock,
  FreeSpace,
  RecordingRecord,
  TrackRecord,
} from "../recording/ports.ts";
import type { RecordingListener } from "../recording/recording-listener.ts";
import { requireFreeSpace } from "../recording/require-free-space.ts";
import type { RecordingsLayout } from "../storage/layout.ts";
import {
  ExportConflictError,
  ExportNotFoundError,
  NothingToExportError,
  RecordingNotFinalizedError,
} from "./export-errors.ts";
import {
  makeWorkDirectory,
  publishExport,
  removeExportFiles,
  removeWorkDirectory,
} from "./export-files.ts";
import type { ExportContext, MadeFile } from "./export-maker.ts";
import { holdSources } from "./export-sources.ts";
import type { ExportQueue, ExportRecord, ExportResult, LeftExport } from "./export-queue.ts";
import { exportDurationMs, exportTracksOf, sourcesOf } from "./export-tracks.ts";

/** What the exporter is made of. */
export interface ExporterParts {
  readonly catalog: Catalog;
  readonly queue: ExportQueue;
  readonly layout: RecordingsLayout;
  readonly ffmpeg: FfmpegBinary;
  readonly clock: Clock;
  readonly freeSpace: FreeSpace;
  /** With less no export is begun: the rest is for recordings that run. */
  readonly freeSpaceBytesMin: number;
  readonly limits: FinalizeLimits;
  readonly namesFont: NamesFont;
  /** Exports that are made at the same time. */
  readonly parallelMax: number;
  /** Whether one may begin now; `wake` is called when that changes. */
  readonly mayBegin: () => boolean;
  /** Makes the files of any kind of export. */
  readonly make: (request: ExportRequest, context: ExportContext) => Promise<readonly MadeFile[]>;
  readonly newExportId: () => ExportId;
  readonly log: Logger;
}

/** Exports of one recording, whatever became of them; beyond it old ones must be deleted first. */
const EXPORTS_PER_RECORDING_MAX = 100;

/** Runs of one export, the last of which ended with a crash, before it counts as failed. */
const CRASHED_ATTEMPTS_MAX = 10;

/** Progress is told no more often: a client asks once a second or less. */
const PROGRESS_PERIOD_MS = 300;

/**
 * Makes exports on demand: keeps them in the catalogue, runs a bounded number at a time, and publishes
 * their files. What was queued or running when the server ended, however it ended, is begun anew.
 */
export class Exporter implements RecordingListener {
  readonly #parts: ExporterParts;
  readonly #loop: JobLoop<ExportRecord>;
  /** Of runs that ended well, until that is durable. */
  readonly #results = new Map<ExportId, ExportResult>();
  #confinement: Promise<FfmpegConfinement> | undefined;
  /** Requests are looked at one after the other: of two that ask for the same, the second finds it. */
  #requests: Promise<unknown> = Promise.resolve();

  constructor(parts: ExporterParts) {
    const { queue, clock, limits, parallelMax, mayBegin, log } = parts;
    const { attemptsMax, retryDelayMs } = limits;
    this.#parts = parts;
    this.#loop = new JobLoop<ExportRecord>({
      clock,
      log,
      limits: { parallelMax, attemptsMax, retryDelayMs },
      mayBegin,
      work: {
        name: "export",
        product: "the export",
        take: () => queue.take(),
        run: (job, signal) => this.#run(job, signal),
        recordEnd: (job, end) => this.#recordEnd(job, end),
        ended: () => {},
        logFields: ({ recordingId, exportId, request }) => ({
          recordingId,
          exportId,
          kind: request.kind,
        }),
      },
    });
  }

  /** Takes up what an earlier process left, and removes what it had not finished. */
  async start(): Promise<void> {
    const { queue, log } = this.#parts;
    const { interrupted, cancelled, removed } = await queue.recover();
    for (const job of [...interrupted, ...cancelled, ...removed]) await this.#tidyUp(job, removed);
    for (const job of interrupted) await this.#giveUpAfterCrashes(job);
    this.#loop.wake();
    log.info({ interrupted: interrupted.length }, "exporter started");
  }

  /** Never rejects: what cannot be removed now is tried again by the next start. */
  async #tidyUp(job: LeftExport, removed: readonly LeftExport[]): Promise<void> {
    const { queue, layout, log } = this.#parts;
    const { recordingId, exportId } = job;
    try {
      await removeExportFiles(layout, job);
      if (removed.includes(job)) await queue.forget(exportId);
    } catch (error) {
      log.error({ err: error, recordingId, exportId }, "files of an export cannot be removed");
    }
  }

  /** An export that brings the server down with it must not do so for ever. */
  async #giveUpAfterCrashes({ exportId, attempts }: LeftExport): Promise<void> {
    if (attempts < CRASHED_ATTEMPTS_MAX) return;
    const { queue, log } = this.#parts;
    log.error({ exportId, attempts }, "export given up after crashes");
    await queue.fail(
      exportId,
      `The server ended ${attempts} times while it made the export: it is not tried again by itself.`,
    );
  }

  /** Ends what is under way, to be begun anew by the next start, and waits for that. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** An export may be able to begin. */
  wake(): void {
    this.#loop.wake();
  }

  recordingChanged(): void {
    // A better MP4 makes an export outdated, which is found when somebody looks.
  }

  async recordingDeleted(recordingId: RecordingId): Promise<void> {
    await this.#parts.queue.forgetRecording(recordingId);
    await this.#loop.cancel((job) => job.recordingId === recordingId);
  }

  /**
   * Asks for an export. Gives the one that is queued or running already when it is the same.
   *
   * @throws RecordingNotFoundError, RecordingNotFinalizedError, NothingToExportError, OverQuotaError,
   * StorageFullError
   */
  request(recordingId: RecordingId, request: ExportRequest): Promise<ExportRecord> {
    const asked = this.#requests.then(() => this.#request(recordingId, request));
    this.#requests = asked.catch(() => undefined);
    return asked;
  }

  async #request(recordingId: RecordingId, request: ExportRequest): Promise<ExportRecord> {
    const { catalog, queue, newExportId } = this.#parts;
    const record = await this.#finishedRecording(recordingId);
    refuseWithoutMedia(record, await catalog.tracks(recordingId), request);
    const others = await queue.list(recordingId);
    const same = others.find(
      (other) => isUnderWay(other) && JSON.stringify(other.request) === JSON.stringify(request),
    );
    if (same !== undefined) return same;
    if (others.length >= EXPORTS_PER_RECORDING_MAX) {
      throw new OverQuotaError(
        `Recording ${recordingId} has ${others.length} exports: delete some of them first.`,
      );
    }
    await this.#requireFreeSpace();
    const exportId = newExportId();
    await queue.add({ exportId, recordingId, request });
    this.#loop.wake();
    return this.find(recordingId, exportId);
  }

  /** @throws ExportNotFoundError */
  async find(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord> {
    const found = await this.#parts.queue.find(recordingId, exportId);
    if (found === undefined) throw new ExportNotFoundError(exportId);
    return found;
  }

  /** All exports of a recording, newest first. */
  list(recordingId: RecordingId): Promise<ExportRecord[]> {
    return this.#parts.queue.list(recordingId);
  }

  /**
   * Cancels an export that has not ended; one that was cancelled stays so. When it resolves, nothing
   * runs for it and nothing is left of it.
   *
   * @throws ExportNotFoundError, ExportConflictError
   */
  async cancel(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord> {
    const { queue } = this.#parts;
    await this.find(recordingId, exportId);
    await queue.cancel(exportId);
    await this.#endRun(exportId);
    const found = await this.find(recordingId, exportId);
    if (found.state !== "cancelled") {
      throw new ExportConflictError(exportId, found.state, "is queued or running can be cancelled");
    }
    return found;
  }

  /**
   * Makes an export that failed or was cancelled again.
   *
   * @throws ExportNotFoundError, ExportConflictError
   */
  async retry(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord> {
    const { queue } = this.#parts;
    const { state } = await this.find(recordingId, exportId);
    if (state !== "failed" && state !== "cancelled") {
      throw new ExportConflictError(exportId, state, "failed or was cancelled can be retried");
    }
    // A run that was cancelled just now may still be tidying up.
    await this.#endRun(exportId);
    await queue.retry(exportId);
    this.#loop.wake();
    return this.find(recordingId, exportId);
  }

  /**
   * Deletes an export with its files; one that has not ended is cancelled.
   *
   * @throws ExportNotFoundError
   */
  async remove(recordingId: RecordingId, exportId: ExportId): Promise<void> {
    const { queue, layout } = this.#parts;
    const found = await queue.findLeft(recordingId, exportId);
    if (found === undefined) throw new ExportNotFoundError(exportId);
    await queue.markRemoved(exportId);
    await this.#endRun(exportId);
    await removeExportFiles(layout, found);
    await queue.forget(exportId);
  }

  #endRun(exportId: ExportId): Promise<void> {
    return this.#loop.cancel((job) => job.exportId === exportId);
  }

  async #finishedRecording(recordingId: RecordingId): Promise<RecordingRecord> {
    const record = await this.#parts.catalog.findRecording(recordingId);
    if (record === undefined || record.deletedAtMs !== null) {
      throw new RecordingNotFoundError(recordingId);
    }
    if (record.state === "recording" || record.state === "finalizing") {
      throw new RecordingNotFinalizedError(record);
    }
    return record;
  }

  #requireFreeSpace(): Promise<void> {
    const { freeSpace, freeSpaceBytesMin } = this.#parts;
    return requireFreeSpace(freeSpace, freeSpaceBytesMin, "an export is made");
  }

  async #run(job: ExportRecord, signal: AbortSignal): Promise<void> {
    const { catalog, layout, clock, queue, log, make } = this.#parts;
    const { recordingId, exportId, request } = job;
    const beganMs = clock.nowMs();
    const record = await catalog.findRecording(recordingId);
    if (record === undefined || record.deletedAtMs !== null) {
      // Asked for while the recording was being deleted: nobody else would ever remove it.
      await queue.forget(exportId);
      return;
    }
    const trackRecords = await catalog.tracks(recordingId);
    const tracks = exportTracksOf(record, trackRecords, layout);
    refuseWithoutMedia(record, trackRecords, request);
    await this.#requireFreeSpace();
    this.#confinement ??= findFfmpegConfinement();
    const confinement = await this.#confinement;
    let toldMs = -Infinity;
    try {
      const workDirectory = await makeWorkDirectory(layout, job);
      const made = await make(request, {
        durationMs: exportDurationMs(record, tracks),
        tracks: await holdSources(tracks, workDirectory),
        workDirectory,
        ffmpeg: this.#parts.ffmpeg,
        confinement,
        limits: this.#parts.limits,
        namesFont: this.#parts.namesFont,
        signal,
        onProgress: (share) => {
          const nowMs = clock.nowMs();
          if (nowMs - toldMs < PROGRESS_PERIOD_MS) return;
          toldMs = nowMs;
          queue.reportProgress(exportId, share);
        },
      });
      signal.throwIfAborted();
      const files = await publishExport(layout, job, made);
      this.#results.set(exportId, { files, sources: sourcesOf(trackRecords) });
      const tookMs = Math.round(clock.nowMs() - beganMs);
      const { kind } = request;
      log.info({ recordingId, exportId, kind, files: files.length, tookMs }, "export made");
    } finally {
      await removeWorkDirectory(layout, job);
    }
  }

  async #recordEnd(job: ExportRecord, end: RunEnd): Promise<void> {
    const { queue, layout } = this.#parts;
    const { exportId } = job;
    switch (end.kind) {
      case "done": {
        const result = this.#results.get(exportId);
        const isKept = result !== undefined && (await queue.finish(exportId, result));
        // It was cancelled or deleted meanwhile, or its recording was.
        if (!isKept) await removeExportFiles(layout, job);
        this.#results.delete(exportId);
        return;
      }
      case "again":
        await queue.requeue(exportId, end.reason);
        return;
      case "interrupted":
        await queue.release(exportId);
        return;
      case "failed":
        await queue.fail(exportId, end.reason);
    }
  }
}

function isUnderWay({ state }: ExportRecord): boolean {
  return state === "queued" || state === "running";
}

function refuseWithoutMedia(
  { recordingId }: RecordingRecord,
  tracks: readonly TrackRecord[],
  { kind }: ExportRequest,
): void {
  const media = tracks.flatMap(({ result }) => result?.media ?? []);
  if (media.length === 0) throw new NothingToExportError(recordingId, "MP4");
  if (kind === "audio" && media.every(({ audioCodec }) => audioCodec === null)) {
    throw new NothingToExportError(recordingId, "sound");
  }
}
