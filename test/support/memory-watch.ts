import { readdir, readFile } from "node:fs/promises";

const PERIOD_MS = 50;

/** Watches how much memory a process and all that it started have, together. */
export class MemoryWatch {
  #peakBytes = 0;
  #isStopped = false;
  readonly #ended: Promise<void>;

  /** Begins to watch; Linux only, since it reads `/proc`. */
  constructor(pid: number) {
    this.#ended = this.#watch(pid);
  }

  /** Ends the watch and gives the largest sum that was seen, in bytes of resident memory. */
  async stop(): Promise<number> {
    this.#isStopped = true;
    await this.#ended;
    return this.#peakBytes;
  }

  async #watch(pid: number): Promise<void> {
    while (!this.#isStopped) {
      this.#peakBytes = Math.max(this.#peakBytes, await residentBytes(pid));
      await Bun.sleep(PERIOD_MS);
    }
  }
}

/**
 * Of a process and its descendants; one that ended meanwhile counts as nothing (proc(5): VmRSS). A
 * child that has not become another program yet still shares all memory of its parent, and is left out.
 */
async function residentBytes(pid: number, parentCommand = ""): Promise<number> {
  let status: string;
  let command: string;
  let children: number[];
  try {
    status = await readFile(`/proc/${pid}/status`, "utf8");
    command = await readFile(`/proc/${pid}/cmdline`, "utf8");
    children = await childrenOf(pid);
  } catch {
    return 0;
  }
  if (command === parentCommand) return 0;
  const own = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  const theirs = await Promise.all(children.map((child) => residentBytes(child, command)));
  return theirs.reduce((sum, bytes) => sum + bytes, own);
}

async function childrenOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    // A thread may end while it is asked.
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, "utf8").catch(() => "")),
  );
  return lists.join(" ").split(/\s+/).filter(Boolean).map(Number);
}
