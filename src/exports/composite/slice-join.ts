import { join } from "node:path";
import type { ExportContext } from "../export-maker.ts";
import { secondsOf } from "../../finalize/ffmpeg-arguments.ts";
import { runPass } from "../../finalize/ffmpeg-run.ts";
import type { Canvas } from "./layout-plan.ts";
import { trackTimescale } from "./scene-graph.ts";
import type { RenderedSlice } from "./slice-render.ts";
import { SAMPLES_PER_SECOND, mixSound } from "./sound-mix.ts";

/** AAC bits in a second: transparent for many voices at once. */
const SOUND_BITS_PER_SECOND = 160_000;
const AAC_FRAME_SAMPLES = 1_024;

/** Most that an index needs for a picture or a packet of sound: its size, and a chunk of its own. */
const INDEX_BYTES_PER_SAMPLE = 24;
const INDEX_BYTES_BASE = 64 * 1024;

/** Pictures may come this far ahead of the mixing of their sound. */
const WAITING_PACKETS_MAX = 65_536;

const MEBIBYTE = 1024 * 1024;

/**
 * Copies the slices' pictures behind each other and mixes the sound of all tracks to them. Gives the
 * path of the MP4, whose index stands before the media.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the
 * signal's reason
 */
export async function joinSlices(
  slices: readonly RenderedSlice[],
  { frameRate }: Canvas,
  context: ExportContext,
): Promise<string> {
  const { tracks, durationMs, workDirectory } = context;
  const listPath = join(workDirectory, "slices.ffconcat");
  await Bun.write(listPath, concatList(slices, frameRate));
  const outputPath = join(workDirectory, "composite.mp4");
  const sound = mixSound(tracks, durationMs, 1);
  const frames = slices.reduce((sum, slice) => sum + slice.frames, 0);
  const packets = frames + Math.ceil((durationMs / 1_000) * SAMPLES_PER_SECOND) / AAC_FRAME_SAMPLES;
  const indexBytes = Math.ceil(INDEX_BYTES_BASE + packets * INDEX_BYTES_PER_SAMPLE);
  let slicesBytes = 0;
  for (const { fileName } of slices) slicesBytes += Bun.file(join(workDirectory, fileName)).size;
  const soundBytes = (durationMs / 1_000) * (SOUND_BITS_PER_SECOND / 8);
  const args = [
    "-protocol_whitelist",
    "file",
    "-format_whitelist",
    "concat,mov,mp4,m4a,3gp,3g2,mj2",
    "-f",
    "concat",
    "-i",
    `file:${listPath}`,
    ...sound.inputs,
    "-filter_complex",
    sound.graph,
    "-map",
    "0:v:0",
    "-map",
    "[sound]",
    "-c:v",
    "copy",
    "-c:a",
    "aac",
    "-b:a",
    String(SOUND_BITS_PER_SECOND),
    "-video_track_timescale",
    String(trackTimescale(frameRate)),
    "-max_muxing_queue_size",
    String(WAITING_PACKETS_MAX),
    "-map_metadata",
    "-1",
    "-moov_size",
    String(indexBytes),
    "-f",
    "mp4",
    "-y",
    `file:${outputPath}`,
  ];
  await runPass(
    {
      args,
      mediaMs: durationMs,
      outputBytesMax: MEBIBYTE + indexBytes + 2 * (slicesBytes + soundBytes),
      onMediaMs: (mediaMs) => context.onProgress(Math.min(1, mediaMs / Math.max(1, durationMs))),
    },
    context,
  );
  return outputPath;
}

/** Each slice with its length, so that no rounding of one moves the next (ffmpeg-formats, "concat"). */
function concatList(slices: readonly RenderedSlice[], frameRate: number): string {
  const entries = slices.map(
    ({ fileName, frames }) =>
      `file ${fileName}\nduration ${secondsOf((frames * 1_000) / frameRate)}\n`,
  );
  return `ffconcat version 1.0\n${entries.join("")}`;
}
