import { expect, test } from "bun:test";
import pino from "pino";
import { JobLoop, type JobLoopParts, type RunEnd } from "../../src/jobs/job-loop.ts";
import { StorageFullError } from "../../src/recording/errors.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";

interface Job {
  readonly name: string;
  readonly attempts: number;
}

const WAIT_MS = 10_000;

/** A queue in memory, whose runs end when the test says so. */
class Bed {
  readonly clock = new ManualClock();
  readonly queue: Job[] = [];
  readonly begun: string[] = [];
  readonly ends: [name: string, end: RunEnd][] = [];
  readonly #running = new Map<string, PromiseWithResolvers<void>>();
  readonly loop: JobLoop<Job>;
  readonly work: JobLoopParts<Job>["work"] = {
    name: "work",
    product: "the thing",
    take: () => Promise.resolve(this.queue.shift()),
    run: (job, signal) => {
      const run = Promise.withResolvers<void>();
      this.begun.push(job.name);
      this.#running.set(job.name, run);
      signal.addEventListener("abort", () => run.reject(signal.reason));
      return run.promise;
    },
    recordEnd: (job, end) => {
      this.ends.push([job.name, end]);
      if (end.kind === "again") this.queue.push({ ...job, attempts: job.attempts + 1 });
      if (end.kind === "interrupted") this.queue.push(job);
      return Promise.resolve();
    },
    ended: () => {},
    logFields: ({ name }) => ({ name }),
  };

  constructor(parts: Partial<JobLoopParts<Job>> = {}, parallelMax = 1) {
    this.loop = new JobLoop<Job>({
      clock: this.clock,
      log: pino({ level: "silent" }),
      limits: { parallelMax, attemptsMax: 3, retryDelayMs: 1_000 },
      work: this.work,
      ...parts,
    });
  }

  add(...names: string[]): void {
    this.queue.push(...names.map((name) => ({ name, attempts: 1 })));
    this.loop.wake();
  }

  end(name: string): void {
    this.#running.get(name)?.resolve();
  }

  fail(name: string, error: unknown): void {
    this.#running.get(name)?.reject(error);
  }

  async untilBegun(...names: string[]): Promise<void> {
    await until(() => Bun.deepEquals(this.begun, names) || undefined, {
      what: `${names.join(", ")} have begun`,
      timeoutMs: WAIT_MS,
    });
  }
}

test("no more jobs run at once than may, and the others follow in their order", async () => {
  const bed = new Bed({}, 2);
  bed.add("a", "b", "c", "d");
  await bed.untilBegun("a", "b");
  bed.end("b");
  await bed.untilBegun("a", "b", "c");
  bed.end("a");
  await bed.untilBegun("a", "b", "c", "d");
  await bed.loop.stop();
  expect(bed.ends.map(([name, { kind }]) => `${name} ${kind}`).toSorted()).toEqual([
    "a done",
    "b done",
    "c interrupted",
    "d interrupted",
  ]);
});

test("a failure that may pass is tried again after waits that double, and then fails the job", async () => {
  const bed = new Bed();
  bed.add("a");
  for (const [i, delayMs] of [1_000, 2_000].entries()) {
    await bed.untilBegun(...Array.from({ length: i + 1 }, () => "a"));
    bed.fail("a", new StorageFullError("No space is left."));
    await until(() => bed.clock.pendingTimers === 1 || undefined, {
      what: "the job waits for its next try",
      timeoutMs: WAIT_MS,
    });
    bed.clock.advance(delayMs - 1);
    expect(bed.begun).toHaveLength(i + 1);
    bed.clock.advance(1);
  }
  await bed.untilBegun("a", "a", "a");
  bed.fail("a", new StorageFullError("No space is left."));
  await until(() => bed.ends.length === 3 || undefined, { what: "it failed", timeoutMs: WAIT_MS });
  expect(bed.ends[2]).toEqual(["a", { kind: "failed", reason: "No space is left." }]);
});

test("what gives way to another loop begins only when nothing waits there", async () => {
  const first = new Bed({ whenRoomIsLeft: () => second.loop.wake() });
  const second: Bed = new Bed({ mayBegin: () => first.loop.leavesRoom() });
  first.add("a", "b");
  await first.untilBegun("a");
  second.add("x");
  first.end("a");
  await first.untilBegun("a", "b");
  expect(second.begun).toEqual([]);
  first.end("b");
  await second.untilBegun("x");
  await Promise.all([first.loop.stop(), second.loop.stop()]);
});

test("cancelling ends the runs that are meant, and waits for that", async () => {
  const bed = new Bed({}, 2);
  bed.add("a", "b");
  await bed.untilBegun("a", "b");
  await bed.loop.cancel(({ name }) => name === "a");
  expect(bed.ends).toEqual([["a", { kind: "interrupted" }]]);
  await bed.loop.stop();
});

test("cancelling ends also a run whose job is being taken at that moment", async () => {
  const taking = Promise.withResolvers<void>();
  const bed = new Bed();
  const loop = new JobLoop<Job>({
    clock: bed.clock,
    log: pino({ level: "silent" }),
    limits: { parallelMax: 1, attemptsMax: 3, retryDelayMs: 1_000 },
    work: {
      ...bed.work,
      take: async () => {
        const job = bed.queue.shift();
        await taking.promise;
        return job;
      },
    },
  });
  bed.queue.push({ name: "a", attempts: 1 });
  loop.wake();
  const cancelled = loop.cancel(() => true);
  taking.resolve();
  await cancelled;
  expect(bed.ends).toEqual([["a", { kind: "interrupted" }]]);
  await loop.stop();
});
