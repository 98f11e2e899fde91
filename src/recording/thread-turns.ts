/**
 * From one turn to the next while an upload is on its way: a turn takes a fraction of a millisecond, so
 * uploads have nearly all of the thread, and viewers still get some 100 MB/s.
 */
const ROUND_BESIDE_UPLOADS_MS = 2;

/** Whom a piece of work is for: a reader of media, or a job that makes an MP4. */
export type TurnKind = "reader" | "job";

/**
 * Lets pieces of work on media take turns on the process's one JavaScript thread.
 *
 * Hashing, parsing, checking and sending what viewers and jobs read takes the thread for a fraction of
 * a millisecond per piece. When fifty such pieces are ready at once, an upload that needs the thread ten
 * times on its way waits for all of them ten times. With turns it waits for one piece each time.
 */
export class ThreadTurns {
  readonly #waiting: Readonly<Record<TurnKind, (() => void)[]>> = { reader: [], job: [] };
  #last: TurnKind = "reader";
  #isScheduled = false;
  #uploads = 0;
  readonly #after: (delayMs: number, callback: () => void) => unknown;

  /** @param after calls back when so much time has passed */
  constructor(
    after: (delayMs: number, callback: () => void) => unknown = (delayMs, callback) =>
      setTimeout(callback, delayMs),
  ) {
    this.#after = after;
  }

  /**
   * Resolves when it is the caller's turn, in the order of the calls, one in each round of the event
   * loop: whatever else is ready, such as an upload's bytes, is served between two turns. The turn lasts
   * until the caller awaits something that is not ready; it should be a piece of about 256 KiB. While
   * both kinds wait, every second turn is a job's: there are few jobs, and any number of readers.
   */
  next(kind: TurnKind = "reader"): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting[kind].push(resolve);
    this.#schedule();
    return promise;
  }

  /** An upload is on its way until this is disposed: turns are rarer meanwhile. */
  upload(): Disposable {
    this.#uploads += 1;
    return {
      [Symbol.dispose]: () => {
        this.#uploads -= 1;
      },
    };
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const grant = (): void => {
      this.#isScheduled = false;
      const { reader, job } = this.#waiting;
      this.#last =
        job.length > 0 && (this.#last === "reader" || reader.length === 0) ? "job" : "reader";
      this.#waiting[this.#last].shift()?.();
      if (reader.length + job.length > 0) this.#schedule();
    };
    // An immediate runs once in each round, after that round's I/O. Microtasks would not let I/O in.
    if (this.#uploads > 0) this.#after(ROUND_BESIDE_UPLOADS_MS, grant);
    else setImmediate(grant);
  }
}

/** The turns of this process. There is one thread, so everything that works on media shares them. */
export const threadTurns = new ThreadTurns();
