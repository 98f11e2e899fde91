import { FilePathSource, Input, MP4 } from "mediabunny";
import { MediaUnreadableError } from "../finalize/finalize-errors.ts";
import { inputArguments } from "../finalize/ffmpeg-arguments.ts";
import { runPass } from "../finalize/ffmpeg-run.ts";
import { displayOfFile } from "../finalize/mp4-index.ts";
import { type PictureDisplay, type PictureSize, shownSize } from "../finalize/picture-display.ts";
import type { ExportContext, ExportTrack } from "./export-maker.ts";

/** What must be known of a track's sound before it is encoded. */
export interface SoundFacts {
  readonly channels: number;
  /** When it begins, in milliseconds of the MP4; what an encoder put before it is not counted. */
  readonly firstMs: number;
}

/**
 * Reads the facts of a track's sound; undefined when it has none.
 *
 * @throws MediaUnreadableError, file system errors
 */
export async function soundFacts({ path, media }: ExportTrack): Promise<SoundFacts | undefined> {
  if (media.audioCodec === null) return undefined;
  using input = new Input({ source: new FilePathSource(path), formats: [MP4] });
  const track = await input.getPrimaryAudioTrack();
  if (track === null) throw new MediaUnreadableError("The sound of the MP4 cannot be read.");
  return {
    channels: track.numberOfChannels,
    firstMs: Math.max(0, (await track.getFirstTimestamp()) * 1_000),
  };
}

/** What must be known of a track's pictures before they are encoded. */
export interface PictureFacts {
  /** As they are seen, upright and with square pixels; even numbers. */
  readonly size: PictureSize;
  readonly display: PictureDisplay;
}

/** A picture of a recorder never has a side beyond this (H.264, level 6.2). */
const SIDE_MAX = 16_384;

/** Only stills are decoded, so a fraction of what decoding all takes; no output is written. */
const PROBE_OUTPUT_BYTES_MAX = 1024 * 1024;

/**
 * How the pictures of a track are shown, and the width of the widest and the height of the highest, since
 * they can change their size at each keyframe.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, MediaUnreadableError, the signal's reason
 */
export async function pictureFacts(
  { path, media }: ExportTrack,
  context: ExportContext,
): Promise<PictureFacts> {
  const args = [
    // The filter tells of pictures at this level.
    "-loglevel",
    "info",
    "-skip_frame",
    "nokey",
    ...inputArguments("mp4", { path }),
    "-map",
    "0:v:0",
    // A change of size makes the filters anew, so that each size is told of once.
    "-vf",
    "select=eq(n\\,0),showinfo",
    "-f",
    "null",
    "-",
  ];
  const stderr = await runPass(
    { args, mediaMs: media.durationMs, outputBytesMax: PROBE_OUTPUT_BYTES_MAX },
    context,
  );
  const display = await displayOfFile(path);
  let [width, height] = [0, 0];
  for (const [, x, y, w, h] of stderr.matchAll(/ sar:(\d+)\/(\d+) s:(\d{1,5})x(\d{1,5}) /g)) {
    const pixelAspect = { width: Number(x) || 1, height: Number(x) === 0 ? 1 : Number(y) };
    const own = shownSize({ width: Number(w), height: Number(h) }, { ...display, pixelAspect });
    width = Math.max(width, own.width);
    height = Math.max(height, own.height);
  }
  if (width === 0) [width, height] = [media.width ?? 0, media.height ?? 0];
  if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX) {
    throw new MediaUnreadableError("The size of the pictures cannot be read.");
  }
  return { size: { width: even(width), height: even(height) }, display };
}

function even(pixels: number): number {
  return pixels + (pixels % 2);
}
