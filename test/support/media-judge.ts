import { decode, judgeFfmpeg, passThroughOption } from "./judge-ffmpeg.ts";

/** Columns of the barcode, each a bit of the frame's number, the lowest at the left. */
export const BARCODE_BITS = 20;

/** A column is white above `WHITE_MIN` and black below `BLACK_MAX`; anything between is no barcode. */
const WHITE_MIN = 160;
const BLACK_MAX = 96;

/** A picture as it comes out of the decoder. */
export interface DecodedFrame {
  /** Read from the picture's barcode. */
  readonly number: number;
  /** When it is to be presented, in milliseconds from the file's zero. */
  readonly timeMs: number;
}

/** Of a file that is too long to be decoded as a whole. */
export interface DecodedPart {
  /** About so much at the begin. */
  readonly firstMs?: number;
  /** About so much at the end; times are then counted from where it begins. */
  readonly lastMs?: number;
}

/**
 * Decodes every picture of the first video stream, in order of presentation, none dropped and none
 * doubled, and reads the number in its barcode: the upper third of the picture, in 20 columns of
 * equal width, column i white where bit i is set (`media/README.md`). Sizes may change mid-stream.
 * Throws when the decoder meets any error, and when a picture carries no readable barcode.
 */
export async function decodeFrameNumbers(
  path: string,
  { firstMs, lastMs }: DecodedPart = {},
): Promise<DecodedFrame[]> {
  const ffmpeg = await judgeFfmpeg();
  const filters = `showinfo,crop=iw:ih/3:0:0,scale=${BARCODE_BITS}:1:flags=area,format=gray`;
  const { bytes: pixels, log } = await decode(
    ffmpeg,
    path,
    ["-map", "0:v:0", "-vf", filters, ...passThroughOption(ffmpeg), "-f", "rawvideo"],
    [
      ...(firstMs === undefined ? [] : ["-t", String(firstMs / 1000)]),
      ...(lastMs === undefined ? [] : ["-sseof", String(-lastMs / 1000)]),
    ],
  );
  // A time close to zero is printed as 6.25e-05.
  const timesMs = [...log.matchAll(/pts_time:(-?[\d.]+(?:e[+-]\d+)?)/g)].map(
    ([, time]) => Number(time) * 1000,
  );
  if (timesMs.length * BARCODE_BITS !== pixels.length) {
    throw new Error(
      `${path}: ${timesMs.length} pictures have a time, ${pixels.length / BARCODE_BITS} came out`,
    );
  }
  return timesMs.map((timeMs, i) => {
    const columns = pixels.subarray(i * BARCODE_BITS, (i + 1) * BARCODE_BITS);
    const number = numberOf(columns);
    if (number === undefined) {
      throw new Error(`${path}: picture ${i} carries no barcode: ${columns.join(" ")}`);
    }
    return { number, timeMs };
  });
}

function numberOf(columns: Uint8Array): number | undefined {
  let number = 0;
  for (const [bit, brightness] of columns.entries()) {
    if (brightness >= WHITE_MIN) number += 2 ** bit;
    else if (brightness > BLACK_MAX) return undefined;
  }
  return number;
}

/** Times of frames in a file and of those on a screen differ by their rounding. */
const SAME_TIME_MS = 2;

/**
 * Numbers of the frames that a player may show for a time. Usually one: a busy recorder gives frames a
 * millisecond apart, too.
 */
export function numbersShownAt(frames: readonly DecodedFrame[], timeMs: number): number[] {
  const last = frames.findLast((frame) => frame.timeMs <= timeMs + 1);
  if (last === undefined) return [];
  return frames
    .filter((frame) => Math.abs(frame.timeMs - last.timeMs) <= SAME_TIME_MS)
    .map(({ number }) => number);
}
