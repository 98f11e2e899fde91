import { CODE_COLUMNS, CODE_HEIGHT_SHARE, CODE_ROWS, codeOf } from "../fixtures/clock-code.ts";
import { type PictureRegion, nearestTimeMs } from "./clock-judge.ts";
import { decode, judgeFfmpeg } from "./judge-ffmpeg.ts";

/** The picture is searched in this size; regions are given in its own. */
const SEARCH_WIDTH = 640;
/** Regions are tried at every so many pixels of it. */
const STEP = 4;
/** The smallest clock that is found. */
const SMALLEST_WIDTH = 120;

/** Shape of everybody's picture. */
const WIDTH_TO_HEIGHT = 16 / 9;

const WHITE_MIN = 170;
const BLACK_MAX = 86;

/** A clock somewhere in a picture. */
export interface FoundClock {
  readonly source: number;
  readonly drawnAtMs: number;
  readonly region: PictureRegion;
}

/** Which picture to search. */
export interface FindOptions {
  /** In milliseconds from the file's zero. */
  readonly atMs: number;
  /** Size of the file's picture. */
  readonly width: number;
  readonly height: number;
  /** A time near the drawn ones, in milliseconds since the epoch. */
  readonly nearMs: number;
}

/**
 * Finds every clock of 16:9 in one picture of a file, wherever it stands and however large it is: by
 * trying all places, without knowing how the picture was composed. In order of source.
 */
export async function findClocks(path: string, options: FindOptions): Promise<FoundClock[]> {
  const scale = options.width / SEARCH_WIDTH;
  const height = Math.round(options.height / scale);
  const { bytes } = await decode(
    await judgeFfmpeg(),
    path,
    [
      ..."-map 0:v:0 -frames:v 1 -f rawvideo".split(" "),
      "-vf",
      `scale=${SEARCH_WIDTH}:${height}:flags=area,format=gray`,
    ],
    ["-ss", (options.atMs / 1000).toFixed(3)],
  );
  const found = new Map<number, FoundClock & { readonly contrast: number }>();
  for (let width = SMALLEST_WIDTH; width <= SEARCH_WIDTH; width += STEP) {
    const regionHeight = width / WIDTH_TO_HEIGHT;
    for (let y = 0; y + regionHeight <= height + STEP; y += STEP) {
      for (let x = 0; x + width <= SEARCH_WIDTH + STEP; x += STEP) {
        const read = readAt(bytes, height, { x, y, width, height: regionHeight });
        if (read === undefined) continue;
        const { source, timeMs, contrast } = read;
        if ((found.get(source)?.contrast ?? 0) >= contrast) continue;
        const region = {
          x: Math.round(x * scale),
          y: Math.round(y * scale),
          width: Math.min(options.width - Math.round(x * scale), Math.round(width * scale)),
          height: Math.min(
            options.height - Math.round(y * scale),
            Math.round(regionHeight * scale),
          ),
        };
        const drawnAtMs = nearestTimeMs({ timeMs, source }, options.nearMs);
        found.set(source, { source, drawnAtMs, region, contrast });
      }
    }
  }
  return [...found.values()]
    .map(({ source, drawnAtMs, region }) => ({ source, drawnAtMs, region }))
    .toSorted((a, b) => a.source - b.source);
}

/** The contrast is best where the region fits the clock. */
function readAt(
  pixels: Uint8Array,
  height: number,
  region: PictureRegion,
): { source: number; timeMs: number; contrast: number } | undefined {
  const blockWidth = region.width / CODE_COLUMNS;
  const blockHeight = (region.height * CODE_HEIGHT_SHARE) / CODE_ROWS;
  const blocks: boolean[] = [];
  let contrast = 255;
  for (let row = 0; row < CODE_ROWS; row += 1) {
    for (let column = 0; column < CODE_COLUMNS; column += 1) {
      // Near opposite corners: a region that fits badly meets the neighbours there.
      const values = [0.25, 0.75].map((share) => {
        const x = Math.floor(region.x + (column + share) * blockWidth);
        const y = Math.floor(region.y + (row + share) * blockHeight);
        return x < SEARCH_WIDTH && y < height ? (pixels[y * SEARCH_WIDTH + x] ?? 128) : 128;
      });
      const [least, most] = [Math.min(...values), Math.max(...values)];
      if (least < WHITE_MIN && most > BLACK_MAX) return undefined;
      const isWhite = least >= WHITE_MIN;
      if (blocks.length === 0 && !isWhite) return undefined;
      contrast = Math.min(contrast, isWhite ? least - 128 : 128 - most);
      blocks.push(isWhite);
    }
  }
  const code = codeOf(blocks);
  return code === undefined ? undefined : { ...code, contrast };
}
