import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "./temporary-directory.ts";

/** How long a start may take: the database, the recovery and ffmpeg's version on a busy machine. */
const START_TIMEOUT_MS = 30_000;

/** More than the server gives itself to end (`SHUTDOWN_TIMEOUT_MS`) by default. */
const STOP_TIMEOUT_MS = 15_000;

const projectRoot = fileURLToPath(new URL("../..", import.meta.url));

/** How to start the server. */
export interface ServerOptions {
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** By default a temporary one that is removed with the server. */
  readonly recordingsDirectory?: string;
  /** A program that becomes the server by `exec`, with its arguments, such as `prlimit --nofile=64`. */
  readonly launcher?: readonly string[];
}

/** The real server, in a process of its own. */
export interface TrackCaptureServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
  readonly pid: number;
  readonly recordingsDirectory: string;
  /** Sends SIGTERM, waits for the end and gives the exit code. */
  stop(): Promise<number>;
  /** Sends SIGKILL and waits for the end: a crash. */
  kill(): Promise<void>;
  /** All that the process has written to stderr up to now. */
  stderr(): string;
  /** All that the process has written to stdout up to now. */
  stdout(): string;
}

/**
 * Starts `bun src/main.ts` on a free port of the loopback and resolves when it says that it serves.
 * Throws with the server's own words when it ends, or says nothing, before that. Disposing it ends
 * the process, by force if it must, and removes the temporary directory.
 */
export async function startServer(options: ServerOptions = {}): Promise<TrackCaptureServer> {
  const directory =
    options.recordingsDirectory === undefined ? await temporaryDirectory() : undefined;
  const recordingsDirectory = options.recordingsDirectory ?? `${directory?.path}/recordings`;

  const child = Bun.spawn([...(options.launcher ?? []), process.execPath, "src/main.ts"], {
    cwd: projectRoot,
    env: {
      ...process.env,
      NODE_ENV: undefined, // `bun test` sets it; an operator's start does not
      PORT: "0",
      RECORDINGS_DIR: recordingsDirectory,
      ...options.env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const stdout = collectText(child.stdout);
  const stderr = collectText(child.stderr);

  const dispose = async () => {
    // Asked first: a server that is killed leaves its temporary files behind.
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await child.exited;
    clearTimeout(timer);
    await Promise.all([stdout.ended, stderr.ended]);
    await directory?.[Symbol.asyncDispose]();
  };

  try {
    const url = await Promise.race([
      // Only from a line that has its end: a read can stop within the port.
      stdout.firstMatch(/http:\/\/[^\s"]+:\d+(?=[^\n]*\n)/),
      rejectAfter(START_TIMEOUT_MS, `The server said no URL within ${START_TIMEOUT_MS} ms`),
    ]);
    if (url === undefined) {
      const exitCode = await child.exited;
      await stderr.ended;
      throw new Error(`The server ended with ${exitCode} before it said its URL`);
    }
    return {
      url,
      pid: child.pid,
      recordingsDirectory,
      stop: async () => {
        child.kill("SIGTERM");
        return child.exited;
      },
      kill: async () => {
        child.kill("SIGKILL");
        await child.exited;
      },
      stderr: () => stderr.text(),
      stdout: () => stdout.text(),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    const words = `--- stdout ---\n${stdout.text()}\n--- stderr ---\n${stderr.text()}`;
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${words}`, {
      cause: error,
    });
  }
}

interface CollectedText {
  text(): string;
  /** The first match in the text so far or to come; undefined when the stream ends without one. */
  firstMatch(pattern: RegExp): Promise<string | undefined>;
  readonly ended: Promise<void>;
}

/** Reads a stream to its end, so that the process never blocks on a full pipe. */
function collectText(stream: ReadableStream<Uint8Array>): CollectedText {
  let text = "";
  let isEnded = false;
  const changed = new EventTarget();
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      text += decoder.decode(bytes, { stream: true });
      changed.dispatchEvent(new Event("change"));
    }
    isEnded = true;
    changed.dispatchEvent(new Event("change"));
  };
  return {
    text: () => text,
    ended: read(),
    firstMatch: (pattern) =>
      new Promise((resolve) => {
        const check = () => {
          const match = pattern.exec(text)?.[0];
          if (match === undefined && !isEnded) return;
          changed.removeEventListener("change", check);
          resolve(match);
        };
        changed.addEventListener("change", check);
        check();
      }),
  };
}

async function rejectAfter(delayMs: number, message: string): Promise<never> {
  await new Promise((resolve) => {
    setTimeout(resolve, delayMs).unref();
  });
  throw new Error(message);
}
