import { chromium, type Browser } from "playwright-core";
import { packagedChromium } from "./packaged-chromium.ts";

/**
 * Quiet offline, with a fake camera and microphone that need no permission, and with sound that
 * plays without a click. Not the packaged browser's own list, which turns web security off.
 */
export const QUIET_FLAGS: readonly string[] = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
];

/** Names under which distributions install Chromium or Chrome. */
const SYSTEM_NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** How long a candidate may take to tell its version: a start of the browser on a busy machine. */
const VERSION_TIMEOUT_MS = 20_000;

/** A browser that tests can start, and where it comes from. */
export interface ChromiumChoice {
  readonly executablePath: string;
  /** To be added to its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
  readonly origin: "CHROME_PATH" | "PATH" | "@sparticuz/chromium";
}

/**
 * Finds a browser: `CHROME_PATH`, one on PATH, the one in the npm package `@sparticuz/chromium`.
 * One on PATH that cannot even tell its version (such as a stub that wants to install the real one)
 * is passed over; a wrong CHROME_PATH is an error, since somebody meant it.
 */
export async function findChromium(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<ChromiumChoice> {
  const wanted = env["CHROME_PATH"];
  if (wanted !== undefined && wanted !== "") {
    const version = versionOf(wanted, {});
    if (version === undefined) throw new Error(`CHROME_PATH names no browser that runs: ${wanted}`);
    return { executablePath: wanted, env: {}, version, origin: "CHROME_PATH" };
  }
  for (const name of SYSTEM_NAMES) {
    const executablePath = Bun.which(name, { PATH: env["PATH"] ?? "" });
    const version = executablePath === null ? undefined : versionOf(executablePath, {});
    if (executablePath !== null && version !== undefined) {
      return { executablePath, env: {}, version, origin: "PATH" };
    }
  }
  const packaged = await packagedChromium();
  const version = versionOf(packaged.executablePath, packaged.env);
  if (version === undefined) {
    throw new Error(
      `There is no Chromium on PATH, and the packaged one does not run here (${packaged.executablePath}). Set CHROME_PATH.`,
    );
  }
  return { ...packaged, version, origin: "@sparticuz/chromium" };
}

function versionOf(
  executablePath: string,
  env: Readonly<Record<string, string>>,
): string | undefined {
  try {
    const { success, stdout } = Bun.spawnSync([executablePath, "--version"], {
      env: { ...process.env, ...env },
      stderr: "ignore",
      timeout: VERSION_TIMEOUT_MS,
    });
    return success ? /\d+(?:\.\d+)+/.exec(stdout.toString())?.[0] : undefined;
  } catch (error) {
    // What spawn says of a path that is no program; any other error is a bug of ours.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

let choice: Promise<ChromiumChoice> | undefined;

/** The browser that this run uses: searched for, and named on stderr, at the first call. */
export function chromiumOfThisRun(): Promise<ChromiumChoice> {
  choice ??= findChromium().then((found) => {
    process.stderr.write(
      `Browser: Chromium ${found.version} (${found.origin}: ${found.executablePath})\n`,
    );
    return found;
  });
  return choice;
}

/** How to start a browser. */
export interface LaunchOptions {
  /** Flags beside the usual ones. */
  readonly args?: readonly string[];
  /** Instead of the browser of this run. */
  readonly browser?: ChromiumChoice;
}

/** Starts a headless Chromium with a user data directory of its own; `await using` closes it. */
export async function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  const { executablePath, env } = options.browser ?? (await chromiumOfThisRun());
  return chromium.launch({
    executablePath,
    headless: true,
    env: { ...definedOnly(process.env), ...env },
    args: [...QUIET_FLAGS, ...(options.args ?? [])],
  });
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(env).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  return Object.fromEntries(entries);
}
