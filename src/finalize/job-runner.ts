import type { Logger } from "pino";
import type { RecordingId, SegmentId } from "../contract/ids.ts";
import { AppError } from "../recording/errors.ts";
import type { Catalog, FinalizeJob, JobQueue, TrackKey } from "../recording/ports.ts";
import type { SegmentView } from "../recording/segment-view.ts";
import { storageFault, systemErrorCode } from "../storage/storage-fault.ts";
import { FinalizeError } from "./finalize-errors.ts";
import { type FfmpegConfinement, findFfmpegConfinement } from "./ffmpeg-confinement.ts";
import { withUnreadable } from "./segment-report.ts";
import { type TrackFinalizerParts, finalizeTrack } from "./track-finalizer.ts";

/** What the runner is made of. */
export interface JobRunnerParts extends TrackFinalizerParts {
  readonly engine: {
    segments(recordingId: RecordingId): Promise<readonly SegmentView[]>;
    unreadableSegments(recordingId: RecordingId): Promise<readonly SegmentId[]>;
  };
  readonly catalog: Catalog;
  readonly queue: JobQueue;
  readonly log: Logger;
}

/** Told what becomes of jobs. */
export interface JobObserver {
  /** The track's new MP4 and its result are durable; the job ends when this resolves. */
  trackFinalized(key: TrackKey): Promise<void>;
  /** The job is done, has failed, or is queued once more. */
  jobEnded(key: TrackKey): void;
}

/** A job that was taken from the queue and has not ended. */
interface TakenJob {
  readonly key: TrackKey;
  readonly cancel: AbortController;
  readonly ended: Promise<void>;
}

/** What becomes of a job whose run failed. */
interface AfterFailure {
  readonly again: boolean;
  /** Why it failed, for the operator. */
  readonly error: string;
}

/** Progress is told no more often: a client asks once a second or less. */
const PROGRESS_PERIOD_MS = 300;

/**
 * Takes jobs from the queue and runs them, a bounded number at a time. A failure that may pass is
 * tried again after a while; what cannot pass, and what failed too often, fails the job.
 */
export class JobRunner {
  readonly #parts: JobRunnerParts;
  readonly #observer: JobObserver;
  readonly #taken = new Set<TakenJob>();
  #confinement: Promise<FfmpegConfinement> | undefined;
  /** Jobs that run now; those that wait for their next try are taken, but do not count here. */
  #running = 0;
  #taking: Promise<void> | undefined;
  #wanted = false;
  #cancelWake: () => void = () => {};
  #isStopping = false;

  constructor(parts: JobRunnerParts, observer: JobObserver) {
    this.#parts = parts;
    this.#observer = observer;
  }

  /** There may be something in the queue. */
  wake(): void {
    this.#wanted = true;
    this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined;
      if (this.#wanted && !this.#isStopping && this.#hasRoom()) this.wake();
    });
  }

  /** Ends all runs, puts their jobs back into the queue, and waits for that. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#taking;
    this.#cancelWake();
    await this.#cancel([...this.#taken]);
  }

  /** Ends the runs of a recording that was deleted, and forgets its jobs. */
  async forget(recordingId: RecordingId): Promise<void> {
    await this.#parts.queue.removeJobs(recordingId);
    // A job that is being taken at this moment finds the recording deleted by itself.
    await this.#cancel([...this.#taken].filter(({ key }) => key.recordingId === recordingId));
    await this.#parts.queue.removeJobs(recordingId);
  }

  #hasRoom(): boolean {
    return this.#running < this.#parts.limits.parallelRunsMax;
  }

  async #cancel(jobs: readonly TakenJob[]): Promise<void> {
    for (const { cancel } of jobs) cancel.abort();
    await Promise.all(jobs.map(({ ended }) => ended));
  }

  async #take(): Promise<void> {
    const { queue, clock, limits, log } = this.#parts;
    this.#wanted = false;
    try {
      while (!this.#isStopping && this.#hasRoom()) {
        const job = await queue.take();
        if (job === undefined) return;
        this.#begin(job);
      }
      // The queue may hold more than there is room for.
      this.#wanted = true;
    } catch (error) {
      log.error({ err: error }, "could not take a finalization from the queue");
      this.#cancelWake();
      this.#cancelWake = clock.after(limits.retryDelayMs, () => this.wake());
    }
  }

  #begin(job: FinalizeJob): void {
    const { recordingId, participantId, trackId } = job;
    const key = { recordingId, participantId, trackId };
    const cancel = new AbortController();
    this.#running += 1;
    const taken: TakenJob = {
      key,
      cancel,
      ended: this.#carryOut(key, job.attempts, cancel.signal).finally(() => {
        this.#taken.delete(taken);
        this.#observer.jobEnded(key);
        this.wake();
      }),
    };
    this.#taken.add(taken);
  }

  /** Never rejects: what goes wrong is told to the queue, and to the log. */
  async #carryOut(key: TrackKey, attempt: number, signal: AbortSignal): Promise<void> {
    const { limits, log } = this.#parts;
    const failure = await this.#run(key, signal).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    this.#running -= 1;
    const next =
      failure === undefined ? undefined : await this.#judge(key, attempt, failure, signal);
    for (;;) {
      try {
        await this.#recordEnd(key, next);
        return;
      } catch (error) {
        log.error({ err: error, ...key }, "could not record the end of a finalization");
        // The job stays marked as running, and the next start takes it up again.
        if (signal.aborted) return;
        // A disk that is full may have room later.
        await this.#delay(limits.retryDelayMs, signal);
      }
    }
  }

  async #recordEnd(key: TrackKey, next: AfterFailure | undefined): Promise<void> {
    const { queue, catalog } = this.#parts;
    const record = await catalog.findRecording(key.recordingId);
    if (record === undefined || record.deletedAtMs !== null) {
      await queue.removeJobs(key.recordingId);
    } else if (next === undefined) {
      await queue.finish(key, { state: "done" });
    } else if (next.again) {
      await queue.retry(key, next.error);
    } else {
      await queue.finish(key, { state: "failed", error: next.error });
    }
  }

  async #run(key: TrackKey, signal: AbortSignal): Promise<void> {
    const { engine, catalog, queue, clock, log } = this.#parts;
    const beganMs = clock.nowMs();
    const record = await catalog.findRecording(key.recordingId);
    if (record === undefined || record.deletedAtMs !== null) return;
    this.#confinement ??= findFfmpegConfinement();
    const confinement = await this.#confinement;
    const views = await engine.segments(key.recordingId);
    let toldMs = -Infinity;
    const made = await finalizeTrack(
      {
        key,
        startedAtMs: record.startedAtMs,
        stoppedAtMs: record.stoppedAtMs,
        segments: views.filter((view) => isOfTrack(view, key)).map(({ summary }) => summary),
        onProgress: (share) => {
          const nowMs = clock.nowMs();
          if (nowMs - toldMs < PROGRESS_PERIOD_MS) return;
          toldMs = nowMs;
          queue.reportProgress(key, share);
        },
        confinement,
        signal,
      },
      this.#parts,
    );
    const result = {
      ...made,
      ...withUnreadable(made, await engine.unreadableSegments(key.recordingId)),
    };
    await catalog.saveTrackResult(key, result);
    await this.#observer.trackFinalized(key);
    const { verdict, reason, media } = result;
    const tookMs = Math.round(clock.nowMs() - beganMs);
    log.info({ ...key, verdict, reason, bytes: media?.bytes, tookMs }, "track finalized");
  }

  /** Decides what becomes of a job whose run failed; when it is to run again, after a wait. */
  async #judge(
    key: TrackKey,
    attempt: number,
    { error }: { readonly error: unknown },
    signal: AbortSignal,
  ): Promise<AfterFailure> {
    if (signal.aborted) return { again: true, error: "It was interrupted." };
    const { limits, log } = this.#parts;
    const sentence = reasonOf(error);
    const isPermanent = error instanceof FinalizeError && error.isPermanent;
    if (isPermanent || attempt >= limits.attemptsMax) {
      log.error({ err: error, ...key, attempt }, "track could not be finalized");
      return { again: false, error: sentence };
    }
    const delayMs = limits.retryDelayMs * 2 ** (attempt - 1);
    log.warn({ err: error, ...key, attempt, delayMs }, "finalizing a track failed, trying again");
    // Room for other jobs is free meanwhile.
    this.wake();
    await this.#delay(delayMs, signal);
    return { again: true, error: sentence };
  }

  /** Resolves after `delayMs`, or at once when aborted. */
  async #delay(delayMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(delayMs, resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    cancel();
  }
}

/** Why a run failed, for the operator. */
function reasonOf(error: unknown): string {
  if (error instanceof AppError) return error.message;
  const code = systemErrorCode(error);
  // Codes that begin so are of a program's mistakes, not of the system (Node.js, Errors).
  if (code !== undefined && !code.startsWith("ERR_")) {
    return storageFault(error, "make the MP4").message;
  }
  // What was not raised on purpose says nothing to an operator; the log has all of it.
  return "Finalizing failed for an internal reason, which is in the server's log.";
}

/** Whether something that names a track names this one. */
export function isOfTrack(one: TrackKey, other: TrackKey): boolean {
  return (
    one.recordingId === other.recordingId &&
    one.participantId === other.participantId &&
    one.trackId === other.trackId
  );
}
