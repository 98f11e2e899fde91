import { AppError } from "../recording/errors.ts";

/** Bytes of stderr that are kept: the last ones, since the reason for a failure stands at the end. */
export const STDERR_TAIL_BYTES_MAX = 64 * 1024;

/** Longest line of stdout that is handed on; a longer one is cut into pieces of this length. */
export const STDOUT_LINE_CHARACTERS_MAX = 16 * 1024;

/** How long a child may take to end after SIGTERM before it gets SIGKILL. */
const KILL_AFTER_MS = 3_000;

/** 24.8 days: a `setTimeout` of more milliseconds than this fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A child process to run. */
export interface SubprocessRequest {
  /** Program and arguments, handed over as they are: no shell reads them. */
  readonly argv: readonly [string, ...string[]];
  /** Working directory; that of this process without it. */
  readonly directory?: string;
  /** Fed to stdin, no faster than the child reads; without it stdin is empty. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Told each line of stdout, without its end. Without it stdout is thrown away. */
  readonly onStdoutLine?: (line: string) => void;
  /** Told stdout as it comes, as bytes and in place of lines; the child waits until it returns. */
  readonly onStdout?: (bytes: Uint8Array) => void;
  /** Ends the child when aborted. */
  readonly signal?: AbortSignal;
  /** Ends the child when it has run this long. */
  readonly timeLimitMs: number;
  /**
   * Ends the child when for this long it neither took input nor wrote a line. Without it only
   * `timeLimitMs` holds.
   */
  readonly stallLimitMs?: number;
}

/** How a child ended by itself. */
export interface SubprocessOutcome {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  /** Null when it exited. */
  readonly signalName: string | null;
  /** The last `STDERR_TAIL_BYTES_MAX` bytes of its stderr. */
  readonly stderrTail: string;
  /** Whether it closed its stdin before all of the input was written. */
  readonly inputCutShort: boolean;
}

/** The program could not be started. */
export class SubprocessNotStartedError extends AppError {
  readonly code = "internal";
  constructor(program: string, cause: unknown) {
    super(`Could not start ${program}.`, { cause });
  }
}

/** The child was ended because it ran or stood still for too long. */
export class SubprocessTimeoutError extends AppError {
  readonly code = "internal";
  readonly limitMs: number;
  readonly stderrTail: string;
  constructor(program: string, what: "ran" | "stood still", limitMs: number, stderrTail: string) {
    super(`${program} ${what} for more than ${limitMs} ms and was ended.`);
    this.limitMs = limitMs;
    this.stderrTail = stderrTail;
  }
}

/**
 * Runs a program to its end, which is when its pipes are closed too. Any exit, also one with a failure
 * or by a signal of its own, is an outcome; the child is gone when the promise settles, however it
 * settles. What the child started may hold the pipes longer: when the child has to be ended, they are
 * closed on this side once it is gone. A wrapper script's ffmpeg then ends at its next progress line.
 *
 * @throws SubprocessNotStartedError, SubprocessTimeoutError; the signal's reason when aborted; what
 * `input` throws
 */
export async function runSubprocess(request: SubprocessRequest): Promise<SubprocessOutcome> {
  request.signal?.throwIfAborted();
  const child = spawn(request);
  const guard = new Guard(child, request);
  try {
    const [inputCutShort, , stderrTail] = await Promise.all([
      feed(child, request.input, guard),
      readStdout(child.stdout, request, guard),
      readTail(child.stderr, guard),
      child.exited,
    ]);
    guard.throwIfEnded(stderrTail);
    return {
      exitCode: child.exitCode,
      signalName: child.signalCode === null ? null : String(child.signalCode),
      stderrTail,
      inputCutShort,
    };
  } finally {
    guard.stop();
  }
}

type Child = Bun.Subprocess<"pipe", "pipe", "pipe">;

function spawn({ argv, directory }: SubprocessRequest): Child {
  try {
    return Bun.spawn([...argv], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      ...(directory === undefined ? {} : { cwd: directory }),
    });
  } catch (error) {
    throw new SubprocessNotStartedError(argv[0], error);
  }
}

type EndReason = "aborted" | "ran" | "stood still" | "input failed";

/** Ends the child by SIGTERM, then SIGKILL, when it is aborted or its time is over. */
class Guard {
  readonly #child: Child;
  readonly #request: SubprocessRequest;
  readonly #onAbort = (): void => this.#end("aborted");
  /** A child must not outlive this process: where that ends at once, so does the child. */
  readonly #onExit = (): void => this.#child.kill("SIGKILL");
  readonly #timeLimit: ReturnType<typeof setTimeout>;
  #stallLimit: ReturnType<typeof setTimeout> | undefined;
  #kill: ReturnType<typeof setTimeout> | undefined;
  #endedFor: EndReason | undefined;
  #inputError: unknown;
  readonly #over = new AbortController();

  constructor(child: Child, request: SubprocessRequest) {
    this.#child = child;
    this.#request = request;
    // Limits grow with the media: that of an MP4 of 30 hours is longer than a timer can be.
    const timeLimitMs = Math.min(request.timeLimitMs, TIMER_MS_MAX);
    this.#timeLimit = setTimeout(() => this.#end("ran"), timeLimitMs);
    request.signal?.addEventListener("abort", this.#onAbort, { once: true });
    process.on("exit", this.#onExit);
    this.progressed();
  }

  /** Aborted once the child was ended and is gone: nothing is to be waited for any more. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** The child took input or wrote something: the stall limit begins anew. */
  progressed(): void {
    const { stallLimitMs } = this.#request;
    if (stallLimitMs === undefined || this.#endedFor !== undefined) return;
    if (this.#stallLimit !== undefined) this.#stallLimit.refresh();
    else this.#stallLimit = setTimeout(() => this.#end("stood still"), stallLimitMs);
  }

  /** The input cannot be read to its end: what the child would make of a part is of no use. */
  inputFailed(error: unknown): void {
    this.#inputError = error;
    this.#end("input failed");
  }

  throwIfEnded(stderrTail: string): void {
    const program = this.#request.argv[0];
    // It took the child with it: that is the reason, not the child's exit.
    if (this.#endedFor === "input failed") throw this.#inputError;
    if (this.#endedFor === "aborted") this.#request.signal?.throwIfAborted();
    if (this.#endedFor === "ran") {
      throw new SubprocessTimeoutError(program, "ran", this.#request.timeLimitMs, stderrTail);
    }
    if (this.#endedFor === "stood still") {
      const limitMs = this.#request.stallLimitMs ?? 0;
      throw new SubprocessTimeoutError(program, "stood still", limitMs, stderrTail);
    }
  }

  stop(): void {
    clearTimeout(this.#timeLimit);
    clearTimeout(this.#stallLimit);
    clearTimeout(this.#kill);
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
    process.off("exit", this.#onExit);
  }

  #end(reason: EndReason): void {
    if (this.#endedFor !== undefined) return;
    this.#endedFor = reason;
    // Not a group of its own: a session comes with it, and then `nice` counts for nothing beside this
    // process (sched(7), "The autogroup feature").
    this.#child.kill("SIGTERM");
    this.#kill = setTimeout(() => this.#child.kill("SIGKILL"), KILL_AFTER_MS);
    void this.#child.exited.then(() => this.#over.abort());
  }
}

/** Gives whether the child closed its stdin before the end of the input, or was ended. */
async function feed(
  child: Child,
  input: AsyncIterable<Uint8Array> | undefined,
  guard: Guard,
): Promise<boolean> {
  let isWhole = true;
  try {
    if (input !== undefined) isWhole = await feedAll(child, input, guard);
  } catch (error) {
    isWhole = false;
    guard.inputFailed(error);
  }
  await unlessOver(ignoreBrokenPipe(Promise.resolve(child.stdin.end())), guard.over);
  return !isWhole;
}

/** Gives false when the child closed its stdin before the end of the input, or is gone. */
async function feedAll(
  child: Child,
  input: AsyncIterable<Uint8Array>,
  guard: Guard,
): Promise<boolean> {
  for await (const bytes of input) {
    const written = await unlessOver(ignoreBrokenPipe(writeAndFlush(child, bytes)), guard.over);
    if (written !== true) return false;
    guard.progressed();
  }
  return true;
}

/** What `waiting` gives; undefined when all is over before: a full pipe may never be read again. */
async function unlessOver<T>(waiting: Promise<T>, over: AbortSignal): Promise<T | undefined> {
  const ended = Promise.withResolvers<undefined>();
  const giveUp = (): void => ended.resolve(undefined);
  over.addEventListener("abort", giveUp, { once: true });
  if (over.aborted) giveUp();
  try {
    return await Promise.race([waiting, ended.promise]);
  } finally {
    over.removeEventListener("abort", giveUp);
  }
}

async function writeAndFlush(child: Child, bytes: Uint8Array): Promise<void> {
  // Resolves only when the pipe has taken everything: that is the backpressure.
  await child.stdin.write(bytes);
  await child.stdin.flush();
}

/**
 * A child may end before it has read all (EPIPE): its exit tells the rest. Gives whether the pipe
 * was whole.
 */
async function ignoreBrokenPipe(writing: Promise<unknown>): Promise<boolean> {
  try {
    await writing;
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EPIPE") return false;
    throw error;
  }
}

async function readStdout(
  stream: ReadableStream<Uint8Array>,
  { onStdout, onStdoutLine }: SubprocessRequest,
  guard: Guard,
): Promise<void> {
  if (onStdout === undefined) {
    await readLines(piecesOf(stream, guard), (line) => {
      guard.progressed();
      onStdoutLine?.(line);
    });
    return;
  }
  for await (const bytes of piecesOf(stream, guard)) {
    guard.progressed();
    onStdout(bytes);
  }
}

/** What comes through a pipe, up to its end or until the guard says that all is over. */
async function* piecesOf(
  stream: ReadableStream<Uint8Array>,
  guard: Guard,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  guard.over.addEventListener("abort", () => void reader.cancel(), { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}

async function readLines(
  pieces: AsyncIterable<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of pieces) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line.trimEnd());
    if (rest.length > STDOUT_LINE_CHARACTERS_MAX) {
      onLine(rest);
      rest = "";
    }
  }
  if (rest !== "") onLine(rest);
}

async function readTail(stream: ReadableStream<Uint8Array>, guard: Guard): Promise<string> {
  let tail: Uint8Array = new Uint8Array();
  for await (const bytes of piecesOf(stream, guard)) {
    const joined = Buffer.concat([tail, bytes]);
    tail = joined.subarray(Math.max(0, joined.length - STDERR_TAIL_BYTES_MAX));
  }
  return new TextDecoder().decode(tail);
}
