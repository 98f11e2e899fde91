import { BARCODE_BITS } from "../../support/media-judge.ts";
import { decode, judgeFfmpeg, passThroughOption } from "../../support/judge-ffmpeg.ts";
import type { Area } from "../../../src/exports/composite/tile-grid.ts";

/** A column is white above and black below these; anything between is no barcode. */
const WHITE_MIN = 160;
const BLACK_MAX = 96;

export const SAMPLES_PER_SECOND = 48_000;

/** The number that each picture of a composite shows in a tile; undefined where there is no barcode. */
export async function numbersIn(
  path: string,
  tile: Area,
  source: { readonly width: number; readonly height: number },
): Promise<(number | undefined)[]> {
  // The whole picture is fitted into the tile, in its middle.
  const scale = Math.min(tile.width / source.width, tile.height / source.height);
  const [width, height] = [source.width * scale, source.height * scale];
  const [x, y] = [tile.x + (tile.width - width) / 2, tile.y + (tile.height - height) / 2];
  const pixels = await grayPixels(path, { x, y, width, height: height / 3 }, BARCODE_BITS, 1);
  return Array.from({ length: pixels.length / BARCODE_BITS }, (_, i) =>
    numberOf(pixels.subarray(i * BARCODE_BITS, (i + 1) * BARCODE_BITS)),
  );
}

/** An area of every picture, as so many gray pixels; with zero columns as they are. */
export async function grayPixels(
  path: string,
  { x, y, width, height }: Area,
  columns: number,
  rows: number,
): Promise<Uint8Array> {
  const ffmpeg = await judgeFfmpeg();
  const crop = [width, height, x, y].map((length) => Math.round(length)).join(":");
  const filters = `crop=${crop}:exact=1,scale=${columns}:${rows}:flags=area,format=gray`;
  const options = ["-map", "0:v:0", "-vf", filters, ...passThroughOption(ffmpeg)];
  return (await decode(ffmpeg, path, [...options, "-f", "rawvideo"])).bytes;
}

function numberOf(columns: Uint8Array): number | undefined {
  let number = 0;
  for (const [bit, brightness] of columns.entries()) {
    if (brightness >= WHITE_MIN) number += 2 ** bit;
    else if (brightness > BLACK_MAX) return undefined;
  }
  return number;
}

/** The left channel of a file's sound. */
export async function samplesOf(path: string): Promise<Float32Array> {
  const options = ["-map", "0:a:0", "-af", "pan=mono|c0=c0", "-ar", String(SAMPLES_PER_SECOND)];
  const { bytes } = await decode(await judgeFfmpeg(), path, [...options, "-f", "f32le"]);
  return new Float32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 4));
}

/** Amplitude of one frequency in a stretch of sound (Goertzel's algorithm). */
export function amplitudeOf(
  samples: Float32Array,
  frequencyHz: number,
  fromMs: number,
  toMs: number,
): number {
  const [from, to] = [fromMs, toMs].map((ms) => Math.round((ms * SAMPLES_PER_SECOND) / 1_000));
  const stretch = samples.subarray(from, to);
  const turn = (2 * Math.PI * frequencyHz) / SAMPLES_PER_SECOND;
  const factor = 2 * Math.cos(turn);
  let [before, last] = [0, 0];
  for (const sample of stretch) [before, last] = [last, sample + factor * last - before];
  const power = last * last + before * before - factor * last * before;
  return (2 * Math.sqrt(Math.max(0, power))) / stretch.length;
}
