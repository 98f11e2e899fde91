import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { chromium, type BrowserContext } from "playwright-core";
import { QUIET_FLAGS, chromiumOfThisRun } from "./chromium.ts";
import { until } from "./until.ts";

/** How long the browser may take to say where it can be reached, and to end when it is killed. */
const BROWSER_TIMEOUT_MS = 60_000;

/** A browser as a user has it: with storage that outlives it, and with hidden tabs throttled. */
export interface PersistentChromium extends AsyncDisposable {
  /** The user's own: cookies, storage and locks are in the user data directory. */
  readonly context: BrowserContext;
  /**
   * Sends SIGKILL to every process of the browser at once: a crash of the machine's session. Gives
   * the time of the kill, in milliseconds since the epoch.
   */
  kill(): Promise<number>;
}

/**
 * Starts a headless Chromium on a user data directory, which is made when it is not there; one
 * browser at a time. Unlike `launchChromium` it takes none of Playwright's flags and overrides that
 * keep background tabs awake and each page looking as if it had the focus.
 */
export async function startPersistentChromium(
  userDataDirectory: string,
): Promise<PersistentChromium> {
  const { executablePath, env } = await chromiumOfThisRun();
  // Its sockets too, so that a killed browser leaves nothing outside the directory.
  const temporaryDirectory = `${userDataDirectory}.tmp`;
  await mkdir(temporaryDirectory, { recursive: true });
  const child = spawn(
    executablePath,
    [
      "--headless",
      ...QUIET_FLAGS,
      "--remote-debugging-port=0",
      `--user-data-dir=${userDataDirectory}`,
      "about:blank",
    ],
    {
      // A process group of its own, so that all of it can be killed and nothing else.
      detached: true,
      env: { ...process.env, ...env, TMPDIR: temporaryDirectory },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  try {
    const browser = await chromium.connectOverCDP(await debuggerUrl(child), { noDefaults: true });
    const [context] = browser.contexts();
    if (context === undefined) throw new Error("The browser has no context of its own");
    return {
      context,
      kill: async () => {
        const atMs = Date.now();
        await killGroup(child);
        return atMs;
      },
      [Symbol.asyncDispose]: async () => {
        await killGroup(child);
        await browser.close();
      },
    };
  } catch (error) {
    await killGroup(child);
    throw error;
  }
}

async function debuggerUrl(child: ChildProcess): Promise<string> {
  let words = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    words += bytes.toString();
  });
  return until(
    () => {
      if (child.exitCode !== null) throw new Error(`The browser ended at once:\n${words}`);
      return /DevTools listening on (ws:\S+)/.exec(words)?.[1];
    },
    { what: "the browser says where it can be reached", timeoutMs: BROWSER_TIMEOUT_MS },
  );
}

async function killGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  process.kill(-child.pid, "SIGKILL");
  await ended;
}
