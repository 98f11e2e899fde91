import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  STDERR_TAIL_BYTES_MAX,
  SubprocessNotStartedError,
  SubprocessTimeoutError,
  runSubprocess,
} from "../../src/process/subprocess.ts";
import { until } from "../support/until.ts";

const TIME_LIMIT_MS = 30_000;

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH";
  }
}

/** Whether a process has ended, waited for or not: not every container's init does. */
function hasEnded(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch (error) {
    if (isGone(pid)) return true;
    throw error;
  }
}

/** The sixth field (proc(5)); the second is the program's name, which may have spaces. */
function sessionOf(stat: string): number {
  const [, , , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const found = Number(session);
  if (!Number.isInteger(found)) throw new Error(`No session in ${stat}`);
  return found;
}

async function* blocks(count: number, bytes: number, onTaken?: (taken: number) => void) {
  for (let i = 0; i < count; i += 1) {
    yield new Uint8Array(bytes);
    onTaken?.(i + 1);
  }
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
  throw new Error("the disk is gone");
}

describe("runSubprocess", () => {
  test("gives stdout as bytes where bytes are asked for", async () => {
    const pieces: Uint8Array[] = [];
    await runSubprocess({
      argv: ["/usr/bin/printf", "a\\n\\000\\377"],
      onStdout: (bytes) => pieces.push(bytes.slice()),
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(Buffer.concat(pieces).toString("hex")).toBe("610a00ff");
  });

  test("hands arguments over as they are: no shell reads them", async () => {
    const lines: string[] = [];
    const outcome = await runSubprocess({
      argv: ["/bin/echo", "$HOME; `id` 'a b'"],
      onStdoutLine: (line) => lines.push(line),
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(outcome).toMatchObject({ exitCode: 0, signalName: null, inputCutShort: false });
    expect(lines).toEqual(["$HOME; `id` 'a b'"]);
  });

  test("a child is of this session: in one of its own, nice would count for nothing", async () => {
    const lines: string[] = [];
    await runSubprocess({
      argv: ["/bin/cat", "/proc/self/stat"],
      onStdoutLine: (line) => lines.push(line),
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(sessionOf(lines.join())).toBe(sessionOf(readFileSync("/proc/self/stat", "utf8")));
  });

  test("feeds the whole input and closes stdin", async () => {
    const lines: string[] = [];
    const outcome = await runSubprocess({
      argv: ["/bin/sh", "-c", "wc -c"],
      input: blocks(200, 65_536),
      onStdoutLine: (line) => lines.push(line.trim()),
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(outcome.inputCutShort).toBeFalse();
    expect(lines).toEqual([String(200 * 65_536)]);
  });

  test("a time limit of more than a timer can have does not end the child", async () => {
    const outcome = await runSubprocess({
      argv: ["/bin/sh", "-c", "sleep 0.1; exit 0"],
      timeLimitMs: 2 ** 31,
    });
    expect(outcome).toMatchObject({ exitCode: 0, signalName: null });
  });

  test("takes no more input than the child reads", async () => {
    let taken = 0;
    const running = runSubprocess({
      argv: ["/bin/sh", "-c", "echo ready; sleep 0.3; exit 0"],
      input: blocks(10_000, 65_536, (count) => {
        taken = count;
      }),
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(await running).toMatchObject({ exitCode: 0, inputCutShort: true });
    expect(taken).toBeLessThan(64);
  });

  test("a child that closes stdin early is an outcome, not an error", async () => {
    const outcome = await runSubprocess({
      argv: ["/bin/sh", "-c", "head -c 10 >/dev/null; echo why >&2; exit 7"],
      input: blocks(1_000, 65_536),
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(outcome).toMatchObject({ exitCode: 7, inputCutShort: true, stderrTail: "why\n" });
  });

  test("keeps the end of stderr and no more of it than is bounded", async () => {
    const outcome = await runSubprocess({
      argv: ["/bin/sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x >&2; echo the end >&2"],
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(outcome.stderrTail.length).toBe(STDERR_TAIL_BYTES_MAX);
    expect(outcome.stderrTail.endsWith("xthe end\n")).toBeTrue();
  });

  test("an abort ends the child, and rejects with the reason once it is gone", async () => {
    const cancel = new AbortController();
    let pid = 0;
    const running = runSubprocess({
      argv: ["/bin/sh", "-c", "echo $$; exec sleep 600"],
      onStdoutLine: (line) => {
        pid = Number(line);
        cancel.abort(new Error("not wanted any more"));
      },
      signal: cancel.signal,
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(running).rejects.toThrow("not wanted any more");
    await running.catch(() => undefined);
    expect(isGone(pid)).toBeTrue();
  });

  test("a child that ignores SIGTERM is killed", async () => {
    let pid = 0;
    const running = runSubprocess({
      argv: ["/bin/sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.05; done"],
      onStdoutLine: (line) => {
        pid = Number(line);
      },
      timeLimitMs: 300,
    });
    expect(running).rejects.toBeInstanceOf(SubprocessTimeoutError);
    await running.catch(() => undefined);
    expect(isGone(pid)).toBeTrue();
  }, 20_000);

  test.each([
    ["waits for it", "wait"],
    ["ignores SIGTERM", "trap '' TERM; wait; wait"],
    ["is gone before it", "true"],
  ])(
    "what a child started holds up nothing, and has nobody to write to, where the child %s",
    async (_name, script) => {
      const cancel = new AbortController();
      let pid = 0;
      const running = runSubprocess({
        argv: [
          "/bin/sh",
          "-c",
          `(trap - TERM; while echo on; do sleep 0.05; done) <&0 & echo $!; ${script}`,
        ],
        onStdoutLine: (line) => {
          pid ||= Number(line) || 0;
          if (line === "on" && pid > 0) cancel.abort(new Error("not wanted any more"));
        },
        input: blocks(1_000, 65_536),
        signal: cancel.signal,
        timeLimitMs: 2 * TIME_LIMIT_MS,
      });
      const outcome = await running.catch((error: unknown) => error);
      expect(String(outcome)).toContain("not wanted any more");
      await until(() => hasEnded(pid) || undefined, {
        what: "what the child started has ended",
        timeoutMs: TIME_LIMIT_MS,
      });
    },
  );

  test("what a child started and only holds the pipes holds up nothing", async () => {
    let pid = 0;
    const running = runSubprocess({
      argv: ["/bin/sh", "-c", "sleep 600 <&0 & echo $!; wait"],
      onStdoutLine: (line) => {
        pid = Number(line);
      },
      input: blocks(1_000, 65_536),
      timeLimitMs: TIME_LIMIT_MS,
      stallLimitMs: 200,
    });
    const outcome = await running.catch((error: unknown) => error);
    process.kill(pid, "SIGKILL");
    expect(outcome).toBeInstanceOf(SubprocessTimeoutError);
  });

  test("a child that neither reads nor writes is ended by the stall limit", async () => {
    const running = runSubprocess({
      argv: ["/bin/sleep", "600"],
      input: blocks(1_000, 65_536),
      timeLimitMs: TIME_LIMIT_MS,
      stallLimitMs: 200,
    });
    expect(running).rejects.toThrow("stood still for more than 200 ms");
    await running.catch(() => undefined);
  });

  test("an input that fails ends the child and is the reason", async () => {
    const running = runSubprocess({
      argv: ["/bin/cat"],
      input: broken(),
      timeLimitMs: TIME_LIMIT_MS,
    });
    expect(running).rejects.toThrow("the disk is gone");
    await running.catch(() => undefined);
  });

  test("a program that is not there cannot be started", async () => {
    const running = runSubprocess({ argv: ["/no/such/program"], timeLimitMs: TIME_LIMIT_MS });
    expect(running).rejects.toBeInstanceOf(SubprocessNotStartedError);
    await running.catch(() => undefined);
  });
});
