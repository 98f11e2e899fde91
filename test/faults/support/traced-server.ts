import { join } from "node:path";
import {
  type ServerOptions,
  startServer,
  type TrackCaptureServer,
} from "../../support/track-capture-server.ts";
import { until } from "../../support/until.ts";
import { parseStraceLog, type SystemCall } from "./strace-log.ts";

/** All by which a server changes files, makes them durable, or answers. */
const TRACED_CALLS =
  "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,syncfs," +
  "rename,renameat,renameat2,mkdir,mkdirat,ftruncate,truncate,unlink,unlinkat,rmdir";

/** Longer than any chunk or answer of these tests. */
const STRING_BYTES_MAX = 1024 * 1024;

/** strace writes its last lines after the server's end. */
const TRACE_END_TIMEOUT_MS = 20_000;

/** On a busy machine. */
const ATTACH_TIMEOUT_MS = 20_000;

/** A server whose system calls are logged from its first one on. */
export interface TracedServer extends AsyncDisposable {
  readonly server: TrackCaptureServer;
  /** All that it did. Call it after the server's end. */
  calls(): Promise<SystemCall[]>;
}

/**
 * Starts the server under strace.
 *
 * @param logDirectory where the log goes
 * @param faults calls that fail now and then, as strace takes them: `syncfs:error=EIO:when=2+3`. Each
 * thread counts its own calls
 */
export async function startTracedServer(
  logDirectory: string,
  options: ServerOptions,
  faults: readonly string[] = [],
): Promise<TracedServer> {
  const logPath = join(logDirectory, `${Bun.randomUUIDv7()}.strace`);
  const strace = [
    // As a grandchild, so that the process that was started is the server itself.
    "strace",
    "-D",
    "--seccomp-bpf",
    ...traceOptions(logPath),
    ...faults.flatMap((fault) => ["-e", `inject=${fault}`]),
  ];
  const server = await startServer({ ...options, launcher: strace });
  return {
    server,
    calls: async () => {
      const log = await until(
        async () => {
          const text = await Bun.file(logPath).text();
          const hasEnded = new RegExp(`^${server.pid} +\\+\\+\\+ `, "m").test(text);
          return hasEnded ? text : undefined;
        },
        { what: "strace has written its log", timeoutMs: TRACE_END_TIMEOUT_MS },
      );
      return parseStraceLog(log);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** strace at work on a running server. */
export interface AttachedStrace {
  /** Lets the server go on alone, and gives what was traced. */
  detach(): Promise<SystemCall[]>;
}

/** Logs all that a running server does, from when this resolves until it is detached. */
export function attachTrace(pid: number, logDirectory: string): Promise<AttachedStrace> {
  const logPath = join(logDirectory, `${Bun.randomUUIDv7()}.strace`);
  return attach(pid, logPath, traceOptions(logPath));
}

/** System calls that fail without being carried out. */
export interface InjectedFault {
  /** As strace takes them: `pwritev,fdatasync`. */
  readonly calls: string;
  /** What becomes of them: `error=EIO`, `signal=KILL`, with `when=` where not every one is meant. */
  readonly outcome: string;
  /** Only calls on these files and directories; all calls when there is none. */
  readonly paths: readonly string[];
}

/** Has system calls of a running server fail, from when this resolves until it is detached. */
export function attachFault(
  pid: number,
  logDirectory: string,
  { calls, outcome, paths }: InjectedFault,
): Promise<AttachedStrace> {
  const logPath = join(logDirectory, `${Bun.randomUUIDv7()}.strace`);
  return attach(pid, logPath, [
    "-f",
    "-y",
    "-e",
    `trace=${calls}`,
    "-e",
    `inject=${calls}:${outcome}`,
    "-o",
    logPath,
    ...paths.flatMap((path) => ["-P", path]),
  ]);
}

async function attach(
  pid: number,
  logPath: string,
  options: readonly string[],
): Promise<AttachedStrace> {
  const wordsPath = `${logPath}.words`;
  const strace = Bun.spawn(["strace", ...options, "-p", String(pid)], {
    stdio: ["ignore", "ignore", Bun.file(wordsPath)],
  });
  await until(
    async () => {
      const words = await Bun.file(wordsPath).text();
      if (strace.exitCode !== null) throw new Error(`strace did not attach: ${words}`);
      return words.includes(" attached") ? words : undefined;
    },
    { what: "strace is attached to the server", timeoutMs: ATTACH_TIMEOUT_MS },
  );
  return {
    detach: async () => {
      strace.kill("SIGTERM");
      await strace.exited;
      return parseStraceLog(await Bun.file(logPath).text());
    },
  };
}

function traceOptions(logPath: string): string[] {
  const texts = ["-s", String(STRING_BYTES_MAX), "-v", "-y"];
  return ["-f", ...texts, "-e", `trace=${TRACED_CALLS}`, "-o", logPath];
}
