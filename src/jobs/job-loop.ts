import type { Logger } from "pino";
import type { Clock } from "../recording/ports.ts";
import { isPermanentFailure, reasonOf } from "./failure-reason.ts";

/** A persistent job as its queue gives it. */
export interface QueuedJob {
  /** Runs that were begun, this one included. */
  readonly attempts: number;
}

/** How a run ended, as its queue is to remember it. */
export type RunEnd =
  | { readonly kind: "done" }
  /** It failed, and is to run again. */
  | { readonly kind: "again"; readonly reason: string }
  /** It was given up for no fault of its own, and is to run again as if it had not begun. */
  | { readonly kind: "interrupted" }
  /** It failed, and is not tried again by itself. */
  | { readonly kind: "failed"; readonly reason: string };

/** What a loop works on: a persistent queue of jobs of one kind, and how one is carried out. */
export interface JobWork<Job extends QueuedJob> {
  /** In log lines, such as `finalization`. */
  readonly name: string;
  /** What a run makes, to follow "to make", in reasons. */
  readonly product: string;
  /** Takes the next job from the queue and marks it as running; undefined when there is none. */
  take(): Promise<Job | undefined>;
  /** Carries a job out. Rejects when it fails, and when it is aborted. */
  run(job: Job, signal: AbortSignal): Promise<void>;
  /** Makes the end of a run durable. Called again after a while when it rejects. */
  recordEnd(job: Job, end: RunEnd): Promise<void>;
  /** The job has ended, or is in the queue again; a place is free. Must not throw. */
  ended(job: Job): void;
  /** What names a job in the log. */
  logFields(job: Job): object;
}

/** Bounds of a loop. */
export interface JobLoopLimits {
  /** Jobs that run at the same time. */
  readonly parallelMax: number;
  /** Runs of one job before it counts as failed. */
  readonly attemptsMax: number;
  /** Wait before the second run of a job; twice as long before each further one. */
  readonly retryDelayMs: number;
}

/** What a loop is made of. */
export interface JobLoopParts<Job extends QueuedJob> {
  readonly work: JobWork<Job>;
  readonly limits: JobLoopLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a job may begin now; whoever says no calls `wake` when that changes. */
  readonly mayBegin?: () => boolean;
  /** Told each time that it has room for more, and nothing waits: see `leavesRoom`. */
  readonly whenRoomIsLeft?: () => void;
}

/** A job that was taken from the queue and has not ended. */
interface TakenJob<Job> {
  readonly job: Job;
  readonly cancel: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Takes jobs from a persistent queue and runs them, a bounded number at a time. A failure that may
 * pass is tried again after a while; what cannot pass, and what failed too often, fails the job.
 */
export class JobLoop<Job extends QueuedJob> {
  readonly #parts: JobLoopParts<Job>;
  readonly #taken = new Set<TakenJob<Job>>();
  /** Jobs that run now; those that wait for their next try are taken, but do not count here. */
  #running = 0;
  #taking: Promise<void> | undefined;
  #wanted = false;
  /** Nothing was in the queue at the last look, and nobody has told of anything since. */
  #isQueueEmpty = false;
  #cancelWake: () => void = () => {};
  #isStopping = false;

  constructor(parts: JobLoopParts<Job>) {
    this.#parts = parts;
  }

  /** There may be something in the queue. */
  wake(): void {
    this.#wanted = true;
    this.#isQueueEmpty = false;
    this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined;
      if (this.#wanted && !this.#isStopping && this.#canBegin()) this.wake();
    });
  }

  /** Ends all runs, puts their jobs back into the queue, and waits for that. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#taking;
    this.#cancelWake();
    await this.cancel(() => true);
  }

  /**
   * Ends the runs of all jobs that it holds for, and waits for that. Take them from the queue first: one
   * that was marked as running at that moment is ended, too.
   */
  async cancel(isMeant: (job: Job) => boolean): Promise<void> {
    await this.#taking;
    const jobs = [...this.#taken].filter(({ job }) => isMeant(job));
    for (const { cancel } of jobs) cancel.abort();
    await Promise.all(jobs.map(({ ended }) => ended));
  }

  /** Whether one more job could run now, but none waits. */
  leavesRoom(): boolean {
    return this.#isQueueEmpty && this.#hasRoom();
  }

  #hasRoom(): boolean {
    return this.#running < this.#parts.limits.parallelMax;
  }

  #canBegin(): boolean {
    return this.#hasRoom() && (this.#parts.mayBegin?.() ?? true);
  }

  async #take(): Promise<void> {
    const { work, clock, limits, log } = this.#parts;
    this.#wanted = false;
    try {
      while (!this.#isStopping && this.#canBegin()) {
        const job = await work.take();
        if (job === undefined) {
          this.#isQueueEmpty = !this.#wanted;
          if (this.leavesRoom()) this.#parts.whenRoomIsLeft?.();
          return;
        }
        this.#begin(job);
      }
      // The queue may hold more than there is room for.
      this.#wanted = true;
    } catch (error) {
      log.error({ err: error }, `could not take a job of ${work.name} from the queue`);
      this.#cancelWake();
      this.#cancelWake = clock.after(limits.retryDelayMs, () => this.wake());
    }
  }

  #begin(job: Job): void {
    const cancel = new AbortController();
    this.#running += 1;
    const taken: TakenJob<Job> = {
      job,
      cancel,
      ended: this.#carryOut(job, cancel.signal).finally(() => {
        this.#taken.delete(taken);
        this.#parts.work.ended(job);
        this.wake();
      }),
    };
    this.#taken.add(taken);
  }

  /** Never rejects: what goes wrong is told to the queue, and to the log. */
  async #carryOut(job: Job, signal: AbortSignal): Promise<void> {
    const { work, limits, log } = this.#parts;
    const failure = await work.run(job, signal).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    this.#running -= 1;
    const end: RunEnd =
      failure === undefined ? { kind: "done" } : await this.#judge(job, failure, signal);
    for (;;) {
      try {
        await work.recordEnd(job, end);
        return;
      } catch (error) {
        log.error(
          { err: error, ...work.logFields(job) },
          `could not record the end of a ${work.name}`,
        );
        // The job stays marked as running, and the next start takes it up again.
        if (signal.aborted) return;
        // A disk that is full may have room later.
        await this.#delay(limits.retryDelayMs, signal);
      }
    }
  }

  /** Decides what becomes of a job whose run failed; when it is to run again, after a wait. */
  async #judge(
    job: Job,
    { error }: { readonly error: unknown },
    signal: AbortSignal,
  ): Promise<RunEnd> {
    if (signal.aborted) return { kind: "interrupted" };
    const { work, limits, log } = this.#parts;
    const fields = { err: error, ...work.logFields(job), attempt: job.attempts };
    const reason = reasonOf(error, work.product);
    if (isPermanentFailure(error) || job.attempts >= limits.attemptsMax) {
      log.error(fields, `${work.name} failed`);
      return { kind: "failed", reason };
    }
    const delayMs = limits.retryDelayMs * 2 ** (job.attempts - 1);
    log.warn({ ...fields, delayMs }, `${work.name} failed, trying again`);
    // Room for other jobs is free meanwhile.
    this.wake();
    await this.#delay(delayMs, signal);
    return { kind: "again", reason };
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
