import type { Logger } from "pino";
import type { RecordingId, SegmentId } from "../contract/ids.ts";
import { JobLoop, type RunEnd } from "../jobs/job-loop.ts";
import type { Catalog, FinalizeJob, JobQueue, TrackKey } from "../recording/ports.ts";
import type { SegmentView } from "../recording/segment-view.ts";
import { type FfmpegConfinement, findFfmpegConfinement } from "./ffmpeg-confinement.ts";
import { withUnreadable } from "./segment-report.ts";
import { type TrackFinalizerParts, finalizeTrack } from "./track-finalizer.ts";

/** What the runner is made of. */
export interface JobRunnerParts extends TrackFinalizerParts {
  readonly engine: {
    /** Those of one track when it is given. */
    segments(recordingId: RecordingId, key?: TrackKey): Promise<readonly SegmentView[]>;
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
  /** There is room for more, and nothing waits. */
  roomIsLeft(): void;
}

/** Progress is told no more often: a client asks once a second or less. */
const PROGRESS_PERIOD_MS = 300;

/** Runs the jobs that make tracks' MP4s, a bounded number at a time. */
export class JobRunner {
  readonly #parts: JobRunnerParts;
  readonly #observer: JobObserver;
  readonly #loop: JobLoop<FinalizeJob>;
  #confinement: Promise<FfmpegConfinement> | undefined;

  constructor(parts: JobRunnerParts, observer: JobObserver) {
    const { clock, limits, log, queue } = parts;
    this.#parts = parts;
    this.#observer = observer;
    this.#loop = new JobLoop<FinalizeJob>({
      clock,
      log,
      whenRoomIsLeft: () => observer.roomIsLeft(),
      limits: {
        parallelMax: limits.parallelRunsMax,
        attemptsMax: limits.attemptsMax,
        retryDelayMs: limits.retryDelayMs,
      },
      work: {
        name: "finalization",
        product: "the MP4",
        take: () => queue.take(),
        run: (job, signal) => this.#run(job, signal),
        recordEnd: (job, end) => this.#recordEnd(keyOf(job), end),
        ended: (job) => observer.jobEnded(keyOf(job)),
        logFields: keyOf,
      },
    });
  }

  /** There may be something in the queue. */
  wake(): void {
    this.#loop.wake();
  }

  /** Whether one more finalization could run now, but none waits. */
  leavesRoom(): boolean {
    return this.#loop.leavesRoom();
  }

  /** Ends all runs, puts their jobs back into the queue, and waits for that. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Ends the runs of a recording that was deleted, and forgets its jobs. */
  async forget(recordingId: RecordingId): Promise<void> {
    await this.#parts.queue.removeJobs(recordingId);
    // A job that is being taken at this moment finds the recording deleted by itself.
    await this.#loop.cancel((job) => job.recordingId === recordingId);
    await this.#parts.queue.removeJobs(recordingId);
  }

  async #recordEnd(key: TrackKey, end: RunEnd): Promise<void> {
    const { queue, catalog } = this.#parts;
    const record = await catalog.findRecording(key.recordingId);
    if (record === undefined || record.deletedAtMs !== null) {
      await queue.removeJobs(key.recordingId);
      return;
    }
    switch (end.kind) {
      case "done":
        await queue.finish(key, { state: "done" });
        return;
      case "again":
        await queue.retry(key, end.reason);
        return;
      case "interrupted":
        await queue.release(key);
        return;
      case "failed":
        await queue.finish(key, { state: "failed", error: end.reason });
    }
  }

  async #run(job: FinalizeJob, signal: AbortSignal): Promise<void> {
    const { engine, catalog, queue, clock, limits, log } = this.#parts;
    const key = keyOf(job);
    const beganMs = clock.nowMs();
    const record = await catalog.findRecording(key.recordingId);
    if (record === undefined || record.deletedAtMs !== null) return;
    this.#confinement ??= findFfmpegConfinement();
    const confinement = await this.#confinement;
    const track = await catalog.track(key);
    const views = await engine.segments(key.recordingId, key);
    let toldMs = -Infinity;
    const published = track?.result?.media ?? null;
    // The last attempt delivers what could be made, unless an MP4 was published before, which may hold
    // more. The job fails all the same, so that it can be retried.
    const leftOut: Error[] = [];
    const isLast = published === null && job.attempts >= limits.attemptsMax;
    const leaving = isLast ? { leaveOut: (failure: Error) => leftOut.push(failure) } : {};
    const made = await finalizeTrack(
      {
        key,
        startedAtMs: record.startedAtMs,
        stoppedAtMs: record.stoppedAtMs,
        segments: views.map(({ summary }) => summary),
        published,
        ...leaving,
        // A recording is made otherwise then: only the log tells what was wrong with this way.
        onWayFailed: (err) => log.warn({ ...key, err }, "a way to make a segment's MP4 failed"),
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
    const [failure] = leftOut;
    if (failure !== undefined) throw failure;
  }
}

function keyOf({ recordingId, participantId, trackId }: TrackKey): TrackKey {
  return { recordingId, participantId, trackId };
}
