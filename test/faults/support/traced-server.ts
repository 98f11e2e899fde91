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

/** A server whose system calls are logged from its first one on. */
export interface TracedServer extends AsyncDisposable {
  readonly server: TrackCaptureServer;
  /** All that it did. Call it after the server's end. */
  calls(): Promise<SystemCall[]>;
}

/**
 * Starts the server under strace.
 *
 * @param logDirectory where the log goes, which one server uses
 * @param tampering further options of strace, such as `-e inject=...`
 */
export async function startTracedServer(
  logDirectory: string,
  options: ServerOptions,
  tampering: readonly string[] = [],
): Promise<TracedServer> {
  const logPath = join(logDirectory, `${Bun.randomUUIDv7()}.strace`);
  const strace = [
    // As a grandchild, so that the process that was started is the server itself.
    ...["strace", "-D", "-f", "-y", "-v", "--seccomp-bpf"],
    ...["-s", String(STRING_BYTES_MAX), "-e", `trace=${TRACED_CALLS}`, "-o", logPath],
    ...tampering,
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
