import {
  PIXEL_RATIO_MAX,
  type PictureDisplay,
  type PictureSize,
  isUpright,
} from "./picture-display.ts";

/**
 * ffmpeg's filters that turn stored pictures upright. Its own turning is off (`inputArguments`): builds
 * before 5 do not mirror, and after it a change of size in the middle cannot be followed. Newer builds
 * would write the transformation of the source into the output, so it is taken off the pictures.
 */
export function turnFilters(display: PictureDisplay): string[] {
  if (isUpright(display)) return [];
  const { rotation = 0, isMirrored = false } = display;
  const turns = {
    0: [],
    90: ["transpose=clock"],
    180: ["hflip", "vflip"],
    270: ["transpose=cclock"],
  } as const;
  return [
    "sidedata=mode=delete:type=DISPLAYMATRIX",
    ...(isMirrored ? ["hflip"] : []),
    ...turns[rotation],
  ];
}

/** Width of a pixel for its height, for expressions of `scale`, as `pixelRatio` has it. */
export const PIXEL_RATIO = `if(between(sar\\,1/${PIXEL_RATIO_MAX}\\,${PIXEL_RATIO_MAX})\\,sar\\,1)`;

/**
 * Options of `scale` for square pixels, as large as the size and the picture's shape let it be. What
 * `force_original_aspect_ratio` gives, but that knows no shape of pixels, and of a very wide or tall
 * picture it rounds one side to zero, and ffmpeg fails.
 */
export function fittedInto({ width, height }: PictureSize): string {
  const w = `max(2\\,min(${width}\\,round(${height}*iw*${PIXEL_RATIO}/ih)))`;
  const h = `max(2\\,min(${height}\\,round(${width}*ih/(iw*${PIXEL_RATIO}))))`;
  return `w=${w}:h=${h}`;
}
