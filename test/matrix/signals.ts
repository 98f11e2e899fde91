/** Pictures and sound that tell, once decoded, which they are and whether they are whole. */

/** Columns of the barcode, each a bit of the picture's number, the lowest at the left. */
export const COLUMNS = 10;
/** Two rows of barcode, then two of a pattern that is the same in every picture. */
export const ROWS = 4;

/** A picture's number is that of its source, in steps of this, plus its own, from 0. */
export const NUMBERS_PER_SEED = 128;

const WHITE = 225;
const BLACK = 30;

/** Brightness that the pattern has in a cell of row 2: it rises from left to right. */
export function rampAt(column: number): number {
  return 45 + 18 * column;
}

/** The cells of one picture, row by row. */
export function cellsOf(number: number): Uint8Array {
  const cells = new Uint8Array(COLUMNS * ROWS);
  for (let column = 0; column < COLUMNS; column += 1) {
    const isSet = Math.floor(number / 2 ** column) % 2 === 1;
    cells[column] = isSet ? WHITE : BLACK;
    cells[COLUMNS + column] = isSet ? WHITE : BLACK;
    cells[2 * COLUMNS + column] = rampAt(column);
    cells[3 * COLUMNS + column] = 128;
  }
  return cells;
}

/** How far a cell may be from its brightness: encoders are lossy and scale odd sizes. */
const CELL_TOLERANCE = 62;
const RAMP_TOLERANCE = 30;

/** A part of a picture, in shares of its width and height. */
export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export const WHOLE: Area = { x: 0, y: 0, width: 1, height: 1 };

/**
 * The number that a picture shows upright in an area; undefined where it shows none: turned, mirrored,
 * with bars, or too damaged to be read.
 */
export function numberIn(
  pixels: Uint8Array,
  size: { readonly width: number; readonly height: number },
  area: Area = WHOLE,
): number | undefined {
  let number = 0;
  for (let column = 0; column < COLUMNS; column += 1) {
    const [upper, lower, ramp] = [0, 1, 2].map((row) => cellMean(pixels, size, area, column, row));
    if (upper === undefined || lower === undefined || ramp === undefined) return undefined;
    const isSet = upper > 128;
    const expected = isSet ? WHITE : BLACK;
    if (Math.abs(upper - expected) > CELL_TOLERANCE) return undefined;
    if (Math.abs(lower - expected) > CELL_TOLERANCE) return undefined;
    if (Math.abs(ramp - rampAt(column)) > RAMP_TOLERANCE) return undefined;
    if (isSet) number += 2 ** column;
  }
  return number;
}

/** Mean brightness of the middle of a cell: its edges are blurred. */
function cellMean(
  pixels: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
  area: Area,
  column: number,
  row: number,
): number | undefined {
  const cellWidth = (area.width * width) / COLUMNS;
  const cellHeight = (area.height * height) / ROWS;
  const [left, top] = [area.x * width + column * cellWidth, area.y * height + row * cellHeight];
  let sum = 0;
  let count = 0;
  for (let y = Math.round(top + cellHeight * 0.25); y < top + cellHeight * 0.75; y += 1) {
    for (let x = Math.round(left + cellWidth * 0.25); x < left + cellWidth * 0.75; x += 1) {
      sum += pixels[y * width + x] ?? 0;
      count += 1;
    }
  }
  return count === 0 ? undefined : sum / count;
}

/** Each sweep of the sound: no two of a source are alike, so that every moment is told from others. */
const SWEEP_MS = 125;
const SWEEP_LOW_HZ = 200;
const SWEEP_HIGH_HZ = 2_800;
const AMPLITUDE = 0.3;

/** The sound of a source at a moment, in milliseconds from its begin; 0 before it. */
export function soundAt(seed: number, atMs: number): number {
  if (atMs < 0) return 0;
  const sweep = Math.floor(atMs / SWEEP_MS);
  const random = seededRandom(seed * 1_000 + sweep);
  const [fromHz, toHz] = [random(), random()].map(
    (share) => SWEEP_LOW_HZ + share * (SWEEP_HIGH_HZ - SWEEP_LOW_HZ),
  );
  const seconds = (atMs - sweep * SWEEP_MS) / 1_000;
  const slope = ((toHz ?? 0) - (fromHz ?? 0)) / (SWEEP_MS / 1_000);
  // Sweeps begin and end in silence: a step would be heard as all frequencies.
  const fade = Math.min(1, Math.sin((Math.PI * seconds * 1_000) / SWEEP_MS) * 4);
  const phase = 2 * Math.PI * ((fromHz ?? 0) * seconds + (slope * seconds * seconds) / 2);
  return AMPLITUDE * fade * Math.sin(phase);
}

/** How loud each channel is, in the order of WAVE; the low-frequency one is silent. */
export function channelGains(channels: number): readonly number[] {
  return channels === 6 ? [1, 0.7, 0.5, 0, 0.6, 0.4] : [1, 0.6].slice(0, channels);
}

/** The same numbers for the same seed (mulberry32), each from 0 to below 1. */
export function seededRandom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
