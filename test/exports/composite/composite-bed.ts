import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { readConfig } from "../../../src/config.ts";
import { finalizeLimits } from "../../../src/configured-limits.ts";
import type { ExportContext, ExportTrack, MadeFile } from "../../../src/exports/export-maker.ts";
import {
  type CompositeOptions,
  compositeOptionsSchema,
} from "../../../src/exports/composite/composite-options.ts";
import { makeComposite } from "../../../src/exports/composite/composite.ts";
import { findNamesFont } from "../../../src/exports/composite/names-font.ts";
import { SystemFonts } from "../../../src/exports/composite/system-fonts.ts";
import { findFfmpegConfinement } from "../../../src/finalize/ffmpeg-confinement.ts";
import { type FfmpegBinary, resolveFfmpeg } from "../../../src/process/ffmpeg-binary.ts";
import { judgeFfmpeg } from "../../support/judge-ffmpeg.ts";

/** A composite to make. */
export interface CompositeRequest {
  /** In which a work directory is made. */
  readonly directory: string;
  readonly tracks: readonly ExportTrack[];
  readonly durationMs: number;
  readonly options?: Partial<CompositeOptions>;
  readonly ffmpeg?: FfmpegBinary;
  readonly namesFontPath?: string;
  /** Fonts for names whose letters that one lacks; none by default, so that machines do not differ. */
  readonly otherFonts?: SystemFonts;
  readonly signal?: AbortSignal;
  readonly onProgress?: (share: number) => void;
}

/** Makes a composite as the server would, and gives the one file that comes out. */
export async function compositeOf(request: CompositeRequest): Promise<MadeFile> {
  const workDirectory = join(request.directory, `work-${crypto.randomUUID()}`);
  await mkdir(workDirectory);
  const context: ExportContext = {
    durationMs: request.durationMs,
    tracks: request.tracks,
    workDirectory,
    ffmpeg: request.ffmpeg ?? (await judgeFfmpeg()),
    confinement: await findFfmpegConfinement(),
    limits: finalizeLimits(readConfig({})),
    namesFont: await findNamesFont(
      request.namesFontPath ?? "",
      request.otherFonts ?? new SystemFonts(null),
    ),
    signal: request.signal ?? new AbortController().signal,
    onProgress: request.onProgress ?? (() => {}),
  };
  const options = compositeOptionsSchema.parse(request.options ?? {});
  const [file, ...others] = await makeComposite(options, context);
  if (file === undefined || others.length > 0) throw new Error("A composite is one file");
  return file;
}

/** The ffmpeg in the npm package, a build of 2018; undefined on machines that it is not made for. */
export async function oldFfmpeg(): Promise<FfmpegBinary | undefined> {
  try {
    const packaged: unknown = createRequire(import.meta.url)("@ffmpeg-installer/ffmpeg");
    if (typeof packaged !== "object" || packaged === null || !("path" in packaged))
      return undefined;
    return await resolveFfmpeg({
      ffmpegPath: String(packaged.path),
      packagedPath: () => undefined,
      onPath: () => undefined,
    });
  } catch (error) {
    process.stderr.write(`There is no packaged ffmpeg: ${String(error)}\n`);
    return undefined;
  }
}
