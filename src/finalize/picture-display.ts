/** In pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** How the pictures of a stream are to be shown, as its container says. Without a word: as they are. */
export interface PictureDisplay {
  /** Degrees by which they are turned clockwise, after the mirroring. */
  readonly rotation?: 0 | 90 | 180 | 270;
  /** Left and right change places. */
  readonly isMirrored?: boolean;
  /** Shape of a pixel: 2:1 is twice as wide as it is high. Square when it is undefined. */
  readonly pixelAspect?: PictureSize;
}

/** Pixels of a recorder are never more than so many times as wide as high, or as high as wide. */
export const PIXEL_RATIO_MAX = 4;

/** Sizes that containers tell are whole numbers of pixels: shapes differ by their rounding. */
const SAME_RATIO_DIFFERENCE_MAX = 0.01;

/** The first two columns of a transformation (ISO/IEC 14496-12, 6.2.2): where x and y point to. */
export interface Axes {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** What a transformation makes of a picture; an angle between is rounded to the next right one. */
export function displayOf({ a, b, c, d }: Axes): Required<Omit<PictureDisplay, "pixelAspect">> {
  const isMirrored = a * d - b * c < 0;
  // Mirroring leaves the vertical axis, which points down, where it is.
  if (Math.abs(d) >= Math.abs(c)) return { rotation: d < 0 ? 180 : 0, isMirrored };
  return { rotation: c < 0 ? 90 : 270, isMirrored };
}

/** The transformation that shows pictures like that. */
export function axesOf({ rotation = 0, isMirrored = false }: PictureDisplay): Axes {
  const x = isMirrored ? -1 : 1;
  switch (rotation) {
    case 0:
      return { a: x, b: 0, c: 0, d: 1 };
    case 90:
      return { a: 0, b: x, c: -1, d: 0 };
    case 180:
      return { a: -x, b: 0, c: 0, d: -1 };
    case 270:
      return { a: 0, b: -x, c: 1, d: 0 };
  }
}

/** Whether pictures are shown neither turned nor mirrored. */
export function isUpright({ rotation = 0, isMirrored = false }: PictureDisplay): boolean {
  return rotation === 0 && !isMirrored;
}

/** Whether pictures are shown as they are stored, pixel by pixel. */
export function isPlain(display: PictureDisplay): boolean {
  return isUpright(display) && isSameRatio(pixelRatio(display), 1);
}

/** Whether one track of an MP4 can show both, since it has one transformation and one shape. */
export function isSameDisplay(one: PictureDisplay, other: PictureDisplay): boolean {
  return (
    (one.rotation ?? 0) === (other.rotation ?? 0) &&
    (one.isMirrored ?? false) === (other.isMirrored ?? false) &&
    isSameRatio(pixelRatio(one), pixelRatio(other))
  );
}

/** Whether width and height of a stored picture change places. */
export function isOnItsSide({ rotation = 0 }: PictureDisplay): boolean {
  return rotation === 90 || rotation === 270;
}

/** Width of a stored pixel for its height; what no camera has is held for square. */
export function pixelRatio({ pixelAspect }: PictureDisplay): number {
  const ratio = pixelAspect === undefined ? 1 : pixelAspect.width / pixelAspect.height;
  return ratio >= 1 / PIXEL_RATIO_MAX && ratio <= PIXEL_RATIO_MAX ? ratio : 1;
}

/** Size of a stored picture in square pixels, not yet turned: no side is made smaller. */
export function squareSize({ width, height }: PictureSize, display: PictureDisplay): PictureSize {
  const ratio = pixelRatio(display);
  return ratio >= 1
    ? { width: Math.round(width * ratio), height }
    : { width, height: Math.round(height / ratio) };
}

/** Size of a stored picture as it is seen: upright, with square pixels. */
export function shownSize(stored: PictureSize, display: PictureDisplay): PictureSize {
  const square = squareSize(stored, display);
  return isOnItsSide(display) ? turnedSize(square) : square;
}

/** Width and height in each other's place. */
export function turnedSize({ width, height }: PictureSize): PictureSize {
  return { width: height, height: width };
}

function isSameRatio(one: number, other: number): boolean {
  return Math.abs(one / other - 1) <= SAME_RATIO_DIFFERENCE_MAX;
}
