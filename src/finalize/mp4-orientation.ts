import { boxesIn } from "./mp4-boxes.ts";
import {
  type PictureDisplay,
  type PictureSize,
  axesOf,
  displayOf,
  squareSize,
} from "./picture-display.ts";

/** A transformation as a track's header has it (ISO/IEC 14496-12, 6.2.2 and 8.3.2). */
export type Matrix = readonly [
  a: number,
  b: number,
  u: number,
  c: number,
  d: number,
  v: number,
  x: number,
  y: number,
  w: number,
];

/** Numbers of a matrix and of a track's size are of 16.16 bits. */
export const FIXED_ONE = 0x10000;
const MATRIX_W = 0x40000000;
export const UNITY_MATRIX: Matrix = [FIXED_ONE, 0, 0, 0, FIXED_ONE, 0, 0, 0, MATRIX_W];

/** Fields of `tkhd` before its matrix, by version. */
const FIELDS_BYTES = [40, 52] as const;
export const MATRIX_BYTES = 36;

/** The matrix in the data of a `tkhd` box; undefined when it is cut off. */
export function matrixIn(tkhd: Buffer): Matrix | undefined {
  const at = matrixAt(tkhd);
  if (at === undefined) return undefined;
  const value = (i: number): number => tkhd.readInt32BE(at + 4 * i);
  return [value(0), value(1), value(2), value(3), value(4), value(5), value(6), value(7), value(8)];
}

/** What a matrix makes of pictures; without one they are as they are. */
export function displayOfMatrix(
  matrix: Matrix = UNITY_MATRIX,
): Required<Omit<PictureDisplay, "pixelAspect">> {
  const [a, b, , c, d] = matrix;
  return displayOf({ a, b, c, d });
}

/**
 * The matrix that shows pictures like that, with their top left corner where it was: some players take
 * what is moved out of the track's area for invisible.
 *
 * @param stored size of the pictures
 */
export function matrixOf(display: PictureDisplay, stored: PictureSize): Matrix {
  const { a, b, c, d } = axesOf(display);
  const { width, height } = squareSize(stored, display);
  const x = movedBy(-a * width - c * height);
  const y = movedBy(-b * width - d * height);
  return [
    a * FIXED_ONE,
    b * FIXED_ONE,
    0,
    c * FIXED_ONE,
    d * FIXED_ONE,
    0,
    x * FIXED_ONE,
    y * FIXED_ONE,
    MATRIX_W,
  ];
}

/** No further than 16 bits with a sign allow. */
function movedBy(pixels: number): number {
  return Math.min(Math.max(0, pixels), 0x7fff);
}

/** The shape of pixels that a sample entry's `pasp` says (12.1.4); undefined without a usable one. */
export function pixelAspectIn(entry: Buffer): PictureSize | undefined {
  const [pasp] = boxesIn(entry.subarray(VIDEO_ENTRY_BYTES)).get("pasp") ?? [];
  if (pasp === undefined || pasp.length < 8) return undefined;
  const [width, height] = [pasp.readUInt32BE(0), pasp.readUInt32BE(4)];
  return width === 0 || height === 0 ? undefined : { width, height };
}

/** Fields of a VisualSampleEntry before its boxes, with its header (12.1.3). */
const VIDEO_ENTRY_BYTES = 86;

/** Where the matrix stands in the data of a `tkhd` box; undefined when it is cut off. */
export function matrixAt(tkhd: Buffer): number | undefined {
  const at = FIELDS_BYTES[tkhd[0] === 1 ? 1 : 0];
  // Width and height follow it.
  return tkhd.length < at + MATRIX_BYTES + 8 ? undefined : at;
}
