import {
  CODE_COLUMNS,
  CODE_PERIOD_MS,
  CODE_ROWS,
  codeOf,
  type ClockCode,
} from "../fixtures/clock-code.ts";
import { loggedFrames } from "./decoded-times.ts";
import { decode, judgeFfmpeg, passThroughOption } from "./judge-ffmpeg.ts";

/** Each block of the code is read at the middle one of so many by so many samples. */
const SAMPLES_PER_BLOCK = 3;
const SAMPLE_COLUMNS = CODE_COLUMNS * SAMPLES_PER_BLOCK;
/** The code takes two thirds of the height, the flash the rest. */
const CODE_SAMPLE_ROWS = CODE_ROWS * SAMPLES_PER_BLOCK;
const SAMPLE_ROWS = (CODE_SAMPLE_ROWS * 3) / 2;

/** A block is white above `WHITE_MIN` and black below `BLACK_MAX`; anything between is no code. */
const WHITE_MIN = 160;
const BLACK_MAX = 96;

/** A picture as it comes out of the decoder. */
export interface ClockPicture {
  /** When it is to be presented, in milliseconds from the file's zero. */
  readonly timeMs: number;
  /** When it was drawn, in milliseconds since the epoch; null when it shows no readable code. */
  readonly drawnAtMs: number | null;
  /** Who drew it; null as above. */
  readonly source: number | null;
  readonly isFlash: boolean;
}

/** Part of a picture, in pixels. */
export interface PictureRegion {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Which pictures to read. */
export interface ClockPicturesOptions {
  /** A time near the drawn ones, in milliseconds since the epoch: a code tells its hours only. */
  readonly nearMs: number;
  /** The whole picture by default; its size may change in the middle then. */
  readonly region?: PictureRegion;
}

/**
 * Decodes every picture of the first video stream, in order of presentation, none dropped and none
 * doubled, at its own time from the file's zero, and reads its clock. Throws when the decoder meets
 * any error.
 */
export async function decodeClockPictures(
  path: string,
  { nearMs, region }: ClockPicturesOptions,
): Promise<ClockPicture[]> {
  const ffmpeg = await judgeFfmpeg();
  const crop =
    region === undefined
      ? ""
      : `crop=${region.width}:${region.height}:${region.x}:${region.y}:exact=1,`;
  const { bytes, log } = await decode(ffmpeg, path, [
    "-map",
    "0:v:0",
    "-vf",
    `showinfo,${crop}scale=${SAMPLE_COLUMNS}:${SAMPLE_ROWS}:flags=area,format=gray`,
    ...passThroughOption(ffmpeg),
    // Without it the first packet of all streams would be at 0.
    "-copyts",
    "-f",
    "rawvideo",
  ]);
  const frames = loggedFrames(log);
  const frameBytes = SAMPLE_COLUMNS * SAMPLE_ROWS;
  if (frames.length * frameBytes !== bytes.length) {
    throw new Error(
      `${path}: ${frames.length} pictures have a time, ${bytes.length / frameBytes} came out`,
    );
  }
  return frames.map(({ timeMs }, i) => {
    const samples = bytes.subarray(i * frameBytes, (i + 1) * frameBytes);
    const code = readCode(samples);
    return {
      timeMs,
      drawnAtMs: code === undefined ? null : nearestTimeMs(code, nearMs),
      source: code?.source ?? null,
      isFlash: isFlash(samples),
    };
  });
}

function readCode(samples: Uint8Array): ClockCode | undefined {
  const blocks: boolean[] = [];
  const middle = Math.floor(SAMPLES_PER_BLOCK / 2);
  for (let row = 0; row < CODE_ROWS; row += 1) {
    for (let column = 0; column < CODE_COLUMNS; column += 1) {
      const y = row * SAMPLES_PER_BLOCK + middle;
      const x = column * SAMPLES_PER_BLOCK + middle;
      const brightness = samples[y * SAMPLE_COLUMNS + x] ?? 0;
      if (brightness < WHITE_MIN && brightness > BLACK_MAX) return undefined;
      blocks.push(brightness >= WHITE_MIN);
    }
  }
  return codeOf(blocks);
}

/** A flash fills the lower third; names and numbers may stand at its left and bottom. */
function isFlash(samples: Uint8Array): boolean {
  const y = CODE_SAMPLE_ROWS + 1;
  const right = samples.subarray(
    y * SAMPLE_COLUMNS + SAMPLE_COLUMNS * 0.6,
    (y + 1) * SAMPLE_COLUMNS,
  );
  return right.reduce((sum, brightness) => sum + brightness, 0) / right.length >= WHITE_MIN;
}

/** The time of a code that is nearest to `nearMs`, in milliseconds since the epoch. */
export function nearestTimeMs({ timeMs }: ClockCode, nearMs: number): number {
  const periods = Math.round((nearMs - timeMs) / CODE_PERIOD_MS);
  return periods * CODE_PERIOD_MS + timeMs;
}
