import { until } from "../support/until.ts";

const ATTACH_TIMEOUT_MS = 20_000;

/** Why no process can be traced here; undefined when one can be. */
export async function noStraceReason(): Promise<string | undefined> {
  const path = Bun.which("strace");
  if (path === null) return "strace is not installed";
  const child = Bun.spawn([path, "-qq", "-o", "/dev/null", "true"], { stderr: "pipe" });
  const words = await new Response(child.stderr).text();
  return (await child.exited) === 0 ? undefined : `strace does not work here: ${words.trim()}`;
}

/** A strace that watches, or tampers with, a running process and all its threads and children. */
export interface AttachedStrace extends AsyncDisposable {
  /** Lets the process go on untouched. */
  detach(): Promise<void>;
}

/**
 * Attaches strace to a process; resolves when all its threads are traced.
 *
 * @param options such as `-e inject=rename:error=ENOSPC`
 */
export async function attachStrace(
  pid: number,
  options: readonly string[],
  logPath = "/dev/null",
): Promise<AttachedStrace> {
  const child = Bun.spawn(["strace", "-f", "-o", logPath, ...options, "-p", String(pid)], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  let words = "";
  let isOver = false;
  const reading = (async () => {
    for await (const bytes of child.stderr) words += new TextDecoder().decode(bytes);
    isOver = true;
  })();
  const detach = async (): Promise<void> => {
    child.kill("SIGINT");
    await child.exited;
    await reading;
  };
  await until(() => words.includes("attached") || isOver || undefined, {
    what: "strace is attached",
    timeoutMs: ATTACH_TIMEOUT_MS,
  });
  if (!words.includes("attached")) throw new Error(`strace did not attach: ${words}`);
  return { detach, [Symbol.asyncDispose]: detach };
}
