import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { type ExportRequest, exportRequestSchema } from "../../src/contract/exports.ts";
import type { ExportContext, ExportTrack, MadeFile } from "../../src/exports/export-maker.ts";
import { makeExport } from "../../src/exports/make-export.ts";
import { findNamesFont } from "../../src/exports/composite/names-font.ts";
import { findFfmpegConfinement } from "../../src/finalize/ffmpeg-confinement.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { decode, judgeFfmpeg } from "../support/judge-ffmpeg.ts";

/** An export to make, without a server. */
export interface WantedExport {
  /** In which a work directory is made. */
  readonly directory: string;
  /** As a client would ask. */
  readonly request: { readonly kind: ExportRequest["kind"] } & Record<string, unknown>;
  readonly tracks: readonly ExportTrack[];
  readonly durationMs: number;
  readonly ffmpeg?: FfmpegBinary;
}

/** Makes an export as the server would and gives its files. */
export async function filesOf(wanted: WantedExport): Promise<readonly MadeFile[]> {
  const workDirectory = join(wanted.directory, `work-${crypto.randomUUID()}`);
  await mkdir(workDirectory);
  const context: ExportContext = {
    durationMs: wanted.durationMs,
    tracks: wanted.tracks,
    workDirectory,
    ffmpeg: wanted.ffmpeg ?? (await judgeFfmpeg()),
    confinement: await findFfmpegConfinement(),
    limits: finalizeLimits(readConfig({})),
    namesFont: await findNamesFont(""),
    signal: new AbortController().signal,
    onProgress: () => {},
  };
  return makeExport(exportRequestSchema.parse(wanted.request), context);
}

/** The left channel of a file's sound at 48 kHz from the file's zero on, silence where there is none. */
export async function soundFromZero(path: string): Promise<Float32Array> {
  const filters = "pan=mono|c0=c0,aresample=48000:async=1:first_pts=0";
  const options = ["-copyts", "-map", "0:a:0", "-af", filters, "-f", "f32le"];
  const { bytes } = await decode(await judgeFfmpeg(), path, options);
  return new Float32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 4));
}

/** How long ffmpeg, and so most tools, take a file to be. */
export async function shownDurationMs(path: string): Promise<number> {
  const ffmpeg = await judgeFfmpeg();
  const child = Bun.spawn([ffmpeg.path, "-hide_banner", "-i", path], { stderr: "pipe" });
  const text = await new Response(child.stderr).text();
  await child.exited;
  const [, hours, minutes, seconds] = /Duration: (\d+):(\d+):([\d.]+)/.exec(text) ?? [];
  return (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000;
}

/** Joins the H.264 of MP4s, parameter sets and all, into one and gives its path. */
export async function inOneFile(directory: string, paths: readonly string[]): Promise<string> {
  const { path: ffmpeg } = await judgeFfmpeg();
  const streams = await Promise.all(
    paths.map(async (path) => {
      const args = ["-v", "error", "-i", path, "-c", "copy", "-f", "h264", "pipe:1"];
      const child = Bun.spawn([ffmpeg, ...args], { stdout: "pipe" });
      return new Response(child.stdout).bytes();
    }),
  );
  const joined = join(directory, `joined-${crypto.randomUUID()}.mp4`);
  const args = ["-v", "error", "-r", "0.5", "-f", "h264", "-i", "pipe:0", "-c", "copy", joined];
  const child = Bun.spawn([ffmpeg, ...args], { stdin: new Blob(streams), stderr: "inherit" });
  if ((await child.exited) !== 0) throw new Error("The files do not join");
  return joined;
}
