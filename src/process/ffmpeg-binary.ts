import { createRequire } from "node:module";
import { z } from "zod";
import { AppError } from "../recording/errors.ts";
import { runSubprocess } from "./subprocess.ts";

/** Where an ffmpeg binary was found, in the order in which they are tried. */
export type FfmpegSource = "FFMPEG_PATH" | "ffmpeg-static" | "PATH" | "@ffmpeg-installer/ffmpeg";

/** The ffmpeg that serves. It was run and answered with its version. */
export interface FfmpegBinary {
  readonly path: string;
  readonly source: FfmpegSource;
  /** As it calls itself, such as `5.1.9-0+deb12u1` or `N-47683-g0e8eb07980-static`. */
  readonly version: string;
  /** What builds can differ in, read off the version of libavformat, which every build tells. */
  readonly abilities: FfmpegAbilities;
}

/** What some builds can and others cannot. */
export interface FfmpegAbilities {
  /** `-fps_mode` (since 5.1) instead of `-vsync`, which newer versions no longer know. */
  readonly fpsMode: boolean;
  /** Writes the `av1C` box, without which no player finds the codec's parameters (since 4.2). */
  readonly av1InMp4: boolean;
}

/** A binary that was tried, and why it cannot serve. */
export interface FfmpegAttempt {
  readonly source: FfmpegSource;
  /** Undefined when the source has none. */
  readonly path: string | undefined;
  readonly failure: string;
}

/** No ffmpeg serves; the message names all that was tried and why each failed. */
export class FfmpegNotFoundError extends AppError {
  readonly code = "internal";
  readonly attempts: readonly FfmpegAttempt[];
  constructor(attempts: readonly FfmpegAttempt[]) {
    const tried = attempts.map(
      ({ source, path, failure }) =>
        `${source}${path === undefined || path === source ? "" : ` (${path})`}: ${failure}`,
    );
    super(
      `No ffmpeg was found. Install one, or set FFMPEG_PATH to its path. Tried: ${tried.join("; ")}`,
    );
    this.attempts = attempts;
  }
}

/** FFMPEG_PATH is set, but no working ffmpeg is there: nothing else is tried in its place. */
export class FfmpegPathUnusableError extends AppError {
  readonly code = "internal";
  readonly path: string;
  constructor(path: string, failure: string) {
    super(
      `FFMPEG_PATH is ${JSON.stringify(path)}, but that is no working ffmpeg: ${failure}. ` +
        "Set it to the path of an ffmpeg binary, or unset it.",
    );
    this.path = path;
  }
}

/** Where to look for binaries; tests give their own. */
export interface FfmpegLookup {
  /** Value of FFMPEG_PATH; undefined when it is not set. */
  readonly ffmpegPath: string | undefined;
  /** Path of the binary in an npm package; undefined when the package is not installed. */
  readonly packagedPath: (name: "ffmpeg-static" | "@ffmpeg-installer/ffmpeg") => string | undefined;
  /** Path of `ffmpeg` on PATH; undefined when there is none. */
  readonly onPath: () => string | undefined;
}

/** How long a binary may take to tell its version; a cold 70 MB binary on a slow disk takes some. */
const VERSION_TIME_LIMIT_MS = 20_000;

/** 5.1 (libavformat 59.27) brought `-fps_mode`; FFmpeg's APIchanges and Changelog. */
const FPS_MODE_SINCE = [59, 27] as const;
/** 4.2 (libavformat 58.29) was the first release that writes `av1C`; tried with a 2018 build. */
const AV1_IN_MP4_SINCE = [58, 29] as const;

/** What is installed on this machine. */
export function systemFfmpegLookup(environment: {
  readonly FFMPEG_PATH?: string | undefined;
  readonly PATH?: string | undefined;
}): FfmpegLookup {
  return {
    ffmpegPath: environment.FFMPEG_PATH === "" ? undefined : environment.FFMPEG_PATH,
    packagedPath,
    onPath: () => Bun.which("ffmpeg", { PATH: environment.PATH ?? "" }) ?? undefined,
  };
}

/**
 * Finds an ffmpeg that works: FFMPEG_PATH, ffmpeg-static, `ffmpeg` on PATH, @ffmpeg-installer.
 *
 * @throws FfmpegPathUnusableError when FFMPEG_PATH is set and does not work, FfmpegNotFoundError
 */
export async function resolveFfmpeg(lookup: FfmpegLookup): Promise<FfmpegBinary> {
  if (lookup.ffmpegPath !== undefined) {
    const found = await tryBinary(lookup.ffmpegPath, "FFMPEG_PATH");
    if ("failure" in found) throw new FfmpegPathUnusableError(lookup.ffmpegPath, found.failure);
    return found;
  }
  const attempts: FfmpegAttempt[] = [
    { source: "FFMPEG_PATH", path: undefined, failure: "it is not set" },
  ];
  const candidates = [
    { source: "ffmpeg-static", find: () => lookup.packagedPath("ffmpeg-static") },
    { source: "PATH", find: lookup.onPath },
    {
      source: "@ffmpeg-installer/ffmpeg",
      find: () => lookup.packagedPath("@ffmpeg-installer/ffmpeg"),
    },
  ] as const;
  for (const { source, find } of candidates) {
    const path = find();
    if (path === undefined) {
      attempts.push({ source, path, failure: "there is none" });
      continue;
    }
    const found = await tryBinary(path, source);
    if (!("failure" in found)) return found;
    attempts.push(found);
  }
  throw new FfmpegNotFoundError(attempts);
}

/** What a build can do, from the text that `ffmpeg -version` prints. */
export function abilitiesOf(versionText: string): FfmpegAbilities {
  const [, major, minor] = /^libavformat\s+(\d+)\.\s*(\d+)/m.exec(versionText) ?? [];
  const has = ([sinceMajor, sinceMinor]: readonly [number, number]): boolean =>
    Number(major) > sinceMajor || (Number(major) === sinceMajor && Number(minor) >= sinceMinor);
  return { fpsMode: has(FPS_MODE_SINCE), av1InMp4: has(AV1_IN_MP4_SINCE) };
}

async function tryBinary(
  path: string,
  source: FfmpegSource,
): Promise<FfmpegBinary | (FfmpegAttempt & { failure: string })> {
  const lines: string[] = [];
  try {
    const outcome = await runSubprocess({
      argv: [path, "-hide_banner", "-version"],
      onStdoutLine: (line) => lines.push(line),
      timeLimitMs: VERSION_TIME_LIMIT_MS,
    });
    const version = /^ffmpeg version (\S+)/.exec(lines[0] ?? "")?.[1];
    if (outcome.exitCode === 0 && version !== undefined) {
      return { path, source, version, abilities: abilitiesOf(lines.join("\n")) };
    }
    const how = outcome.signalName ?? `code ${outcome.exitCode}`;
    const failure =
      version === undefined && outcome.exitCode === 0
        ? "it does not answer -version as an ffmpeg does"
        : `it ended with ${how} when asked for its version`;
    return { source, path, failure };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const cause = error.cause instanceof Error ? ` ${error.cause.message}` : "";
    return { source, path, failure: `${error.message}${cause}` };
  }
}

const packageExportSchema = z.union([z.string(), z.object({ path: z.string() })]);

/** Both packages are optional and CommonJS: what is not installed can only be asked for at run time. */
function packagedPath(name: "ffmpeg-static" | "@ffmpeg-installer/ffmpeg"): string | undefined {
  const require = createRequire(import.meta.url);
  let exported: unknown;
  try {
    exported = require(name);
  } catch {
    // Not installed, or installed without a binary for this platform, which it tells by throwing.
    return undefined;
  }
  const parsed = packageExportSchema.safeParse(exported);
  if (!parsed.success) return undefined;
  return typeof parsed.data === "string" ? parsed.data : parsed.data.path;
}
