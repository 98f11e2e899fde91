import { rename, rm } from "node:fs/promises";
import { inputArguments, secondsOf } from "./ffmpeg-arguments.ts";
import { type FfmpegContext, runPass } from "./ffmpeg-run.ts";
import { displayOfFile } from "./mp4-index.ts";
import { PIXEL_RATIO, turnFilters } from "./picture-filters.ts";

/** Widest poster, in pixels; a smaller picture stays as it is. */
export const POSTER_WIDTH_MAX = 640;

/**
 * Moments to look at, from the track's begin, the likeliest first: cameras begin dark and find their
 * exposure within a second, and a shared screen may show one plain colour for a while.
 */
const MOMENTS_MS = [1_000, 0, 3_000, 6_000, 12_000];

/** A moment is looked at as so many pixels: enough to tell a picture from a plain colour. */
const PROBE_WIDTH = 32;
const PROBE_HEIGHT = 18;

/** Standard deviation of the brightness, of 255: noise of a dark camera is below, a face far above. */
const DEVIATION_MIN = 12;

const POSTER_BYTES_MAX = 8 * 1024 * 1024;
/** A single picture: only the base of the time limit counts. */
const POSTER_MEDIA_MS = 0;

/**
 * Makes a JPEG of the first moment of an MP4 that shows something; of the one that shows most when all
 * are nearly plain. Few pictures are decoded, whatever the length.
 *
 * @param outputPath beside which two files are made that are gone again when it settles
 * @returns false when there is no picture; then there is no file
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the
 * signal's reason
 */
export async function makePoster(
  mediaPath: string,
  durationMs: number,
  outputPath: string,
  context: FfmpegContext,
): Promise<boolean> {
  const picturePath = `${outputPath}.picture`;
  const probePath = `${outputPath}.probe`;
  const turns = turnFilters(await displayOfFile(mediaPath));
  let most = -1;
  try {
    for (const momentMs of MOMENTS_MS) {
      if (momentMs > 0 && momentMs >= durationMs) continue;
      await Promise.all([rm(picturePath, { force: true }), rm(probePath, { force: true })]);
      await takePicture(mediaPath, momentMs, turns, picturePath, probePath, context);
      const deviation = deviationOf(await pixelsIn(probePath));
      if (deviation > most) {
        await rename(picturePath, outputPath);
        most = deviation;
      }
      if (most >= DEVIATION_MIN) break;
    }
    return most >= 0;
  } finally {
    await Promise.all([rm(picturePath, { force: true }), rm(probePath, { force: true })]);
  }
}

async function takePicture(
  mediaPath: string,
  momentMs: number,
  turns: readonly string[],
  picturePath: string,
  probePath: string,
  context: FfmpegContext,
): Promise<void> {
  // In square pixels, none of whose sides is smaller than the stored one, with an even height.
  const width = `min(${POSTER_WIDTH_MAX}\\,round(iw*max(1\\,${PIXEL_RATIO})))`;
  const scale = `scale=w=${width}:h=max(2\\,2*round(ow*ih/(iw*${PIXEL_RATIO})/2))`;
  const args = [
    "-seek_timestamp",
    "1",
    "-ss",
    secondsOf(momentMs),
    ...inputArguments("mp4", { path: mediaPath }),
    "-filter_complex",
    `[0:v:0]${[...turns, "split"].join(",")}[one][other];[one]${scale},format=yuvj420p[picture];` +
      `[other]scale=${PROBE_WIDTH}:${PROBE_HEIGHT}:flags=area,format=gray[probe]`,
    "-map",
    "[picture]",
    "-frames:v",
    "1",
    "-c:v",
    "mjpeg",
    "-q:v",
    "4",
    "-f",
    "mjpeg",
    "-y",
    `file:${picturePath}`,
    "-map",
    "[probe]",
    "-frames:v",
    "1",
    "-f",
    "rawvideo",
    "-y",
    `file:${probePath}`,
  ];
  await runPass({ args, mediaMs: POSTER_MEDIA_MS, outputBytesMax: POSTER_BYTES_MAX }, context);
}

/** None when the track had ended before the moment. */
async function pixelsIn(path: string): Promise<Uint8Array> {
  const file = Bun.file(path);
  return (await file.exists()) ? await file.bytes() : new Uint8Array();
}

/** Standard deviation; -1 of no picture at all. */
function deviationOf(pixels: Uint8Array): number {
  if (pixels.length === 0) return -1;
  let sum = 0;
  let squares = 0;
  for (const pixel of pixels) {
    sum += pixel;
    squares += pixel * pixel;
  }
  const mean = sum / pixels.length;
  return Math.sqrt(Math.max(0, squares / pixels.length - mean * mean));
}
