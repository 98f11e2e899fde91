import { join } from "node:path";
import type { ExportContext } from "../export-maker.ts";
import { inputArguments, secondsOf } from "../../finalize/ffmpeg-arguments.ts";
import { runPass } from "../../finalize/ffmpeg-run.ts";
import type { Canvas } from "./layout-plan.ts";
import { trackTimescale } from "./scene-graph.ts";
import type { Slice } from "./slice-render.ts";
import { SAMPLES_PER_SECOND } from "./sound-mix.ts";
import { SOUND_FILE_NAME } from "./sound-render.ts";

/**
 * ffmpeg runs in the work directory and opens the list by its name alone: it takes the slices' names as
 * relative to the URL of the list, in which `?` and `#` end a path (RFC 3986, 3.4 and 3.5), and a list
 * has no way to write a path with a line's end.
 */
const LIST_FILE_NAME = "slices.ffconcat";
const OUTPUT_FILE_NAME = "composite.mp4";

const AAC_FRAME_SAMPLES = 1_024;

/** Most that an index needs for a picture or a packet of sound: its size, and a chunk of its own. */
const INDEX_BYTES_PER_SAMPLE = 24;
const INDEX_BYTES_BASE = 64 * 1024;

const MEBIBYTE = 1024 * 1024;

/**
 * Copies the slices' pictures behind each other, and the sound beside them. Gives the path of the MP4,
 * whose index stands before the media.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the
 * signal's reason
 */
export async function joinSlices(
  slices: readonly Slice[],
  { frameRate }: Canvas,
  durationMs: number,
  context: ExportContext,
): Promise<string> {
  const { workDirectory } = context;
  await Bun.write(join(workDirectory, LIST_FILE_NAME), concatList(slices, frameRate));
  const frames = slices.reduce((sum, { scene }) => sum + scene.frames, 0);
  const packets = frames + Math.ceil((durationMs / 1_000) * SAMPLES_PER_SECOND) / AAC_FRAME_SAMPLES;
  const indexBytes = Math.ceil(INDEX_BYTES_BASE + packets * INDEX_BYTES_PER_SAMPLE);
  let mediaBytes = Bun.file(join(workDirectory, SOUND_FILE_NAME)).size;
  for (const { fileName } of slices) mediaBytes += Bun.file(join(workDirectory, fileName)).size;
  const args = [
    "-protocol_whitelist",
    "file",
    "-format_whitelist",
    "concat,mov,mp4,m4a,3gp,3g2,mj2",
    "-f",
    "concat",
    "-i",
    `file:${LIST_FILE_NAME}`,
    ...inputArguments("mp4", { path: SOUND_FILE_NAME }),
    "-map",
    "0:v:0",
    "-map",
    "1:a:0",
    "-c",
    "copy",
    "-video_track_timescale",
    String(trackTimescale(frameRate)),
    "-map_metadata",
    "-1",
    "-moov_size",
    String(indexBytes),
    "-f",
    "mp4",
    "-y",
    `file:${OUTPUT_FILE_NAME}`,
  ];
  await runPass(
    {
      args,
      directory: workDirectory,
      mediaMs: durationMs,
      outputBytesMax: MEBIBYTE + indexBytes + 2 * mediaBytes,
    },
    context,
  );
  return join(workDirectory, OUTPUT_FILE_NAME);
}

/** Each slice with its length, so that no rounding of one moves the next (ffmpeg-formats, "concat"). */
function concatList(slices: readonly Slice[], frameRate: number): string {
  const entries = slices.map(
    ({ fileName, scene }) =>
      `file ${fileName}\nduration ${secondsOf((scene.frames * 1_000) / frameRate)}\n`,
  );
  return `ffconcat version 1.0\n${entries.join("")}`;
}
