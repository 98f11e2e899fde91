import { decode, judgeFfmpeg, passThroughOption } from "./judge-ffmpeg.ts";

/** Pictures are compared as squares of so many pixels, whatever shape they are shown in. */
const SIDE = 160;

/** Points in each direction at which two pictures are compared. */
const POINTS = 24;

/** In pixels, as a person sees them: turned upright, with square pixels. */
export interface ShownSize {
  readonly width: number;
  readonly height: number;
}

/** A picture as a player shows it. */
export interface ShownPicture extends ShownSize {
  readonly timeMs: number;
  /** Brightness, in rows from the top left, stretched to a square. */
  readonly gray: Uint8Array;
}

/**
 * Decodes every picture of the first video stream, turned as the file asks for. Throws when the decoder
 * meets any error.
 */
export async function shownPictures(
  path: string,
  inputOptions: readonly string[] = [],
): Promise<ShownPicture[]> {
  const ffmpeg = await judgeFfmpeg();
  const filters = `showinfo,scale=${SIDE}:${SIDE}:flags=area,setsar=1,format=gray`;
  const output = ["-map", "0:v:0", "-vf", filters, ...passThroughOption(ffmpeg), "-f", "rawvideo"];
  const { bytes, log } = await decode(ffmpeg, path, output, inputOptions);
  const pattern = /pts_time:(-?[\d.e+-]+) .*? sar:(\d+)\/(\d+) s:(\d+)x(\d+)/g;
  const pictures = Array.from(log.matchAll(pattern), ([, time, num, den, width, height], i) => {
    const aspect = Number(num) > 0 ? Number(num) / Number(den) : 1;
    return {
      timeMs: Number(time) * 1_000,
      width: Math.round(Number(width) * aspect),
      height: Number(height),
      gray: bytes.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE),
    };
  });
  if (pictures.length * SIDE * SIDE !== bytes.length) {
    throw new Error(`${path}: ${pictures.length} pictures have a time, others came out`);
  }
  return pictures;
}

/** The picture that is shown at a time; throws when there is none. */
export function shownAt(pictures: readonly ShownPicture[], timeMs: number): ShownPicture {
  const picture = pictures.findLast((candidate) => candidate.timeMs <= timeMs + 1);
  if (picture === undefined) throw new Error(`No picture is shown at ${timeMs} ms`);
  return picture;
}

/**
 * How alike two pictures are, from -1 to 1, when `wanted` is fitted whole into the middle of `picture`
 * in its own shape: what is turned or squeezed is not.
 */
export function likeness(picture: ShownPicture, wanted: ShownPicture): number {
  return correlation(sampled(picture, fitted(wanted, picture)), sampled(wanted, WHOLE));
}

interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const WHOLE: Region = { left: 0, top: 0, width: 1, height: 1 };

/** As shares of the outer size. */
function fitted(inner: ShownSize, outer: ShownSize): Region {
  const scale = Math.min(outer.width / inner.width, outer.height / inner.height);
  const width = (inner.width * scale) / outer.width;
  const height = (inner.height * scale) / outer.height;
  return { left: (1 - width) / 2, top: (1 - height) / 2, width, height };
}

function pixelAt(share: number): number {
  return Math.min(SIDE - 1, Math.floor(share * SIDE));
}

function sampled({ gray }: ShownPicture, { left, top, width, height }: Region): number[] {
  return Array.from({ length: POINTS * POINTS }, (_, i) => {
    const x = pixelAt(left + (((i % POINTS) + 0.5) / POINTS) * width);
    const y = pixelAt(top + ((Math.floor(i / POINTS) + 0.5) / POINTS) * height);
    return gray[y * SIDE + x] ?? 0;
  });
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  let [product, squaresA, squaresB] = [0, 0, 0];
  for (const [i, value] of a.entries()) {
    const [offA, offB] = [value - meanA, (b[i] ?? 0) - meanB];
    product += offA * offB;
    squaresA += offA * offA;
    squaresB += offB * offB;
  }
  return product / Math.sqrt(squaresA * squaresB || 1);
}
