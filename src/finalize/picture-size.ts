import { type PictureSize, shownSize } from "./picture-display.ts";
import type { RemuxPlan } from "./remux-plan.ts";
import type { SegmentNote } from "./segment-note.ts";

/**
 * Most pixels of a picture that is encoded anew when only a later keyframe is of that size: 4096x2304,
 * what level 5.2 of H.264 has room for (A.3.1). A header of ten bytes can claim 16383x16383.
 */
const GROWN_PIXELS_MAX = 4_096 * 2_304;

/** In which size pictures are encoded, and what is to be told of those that do not have it. */
export interface PlannedPicture {
  /** Undefined when it is copied, and when nobody knows its size. */
  readonly picture: PictureSize | undefined;
  readonly notes: readonly SegmentNote[];
}

/**
 * The size of a transcoded picture: that which its header tells, or what holds the largest one that its
 * keyframes are coded in too, so that no picture becomes smaller. Pure.
 *
 * @param coded the largest width and the largest height of its keyframes; undefined when not known
 */
export function planPicture({ video }: RemuxPlan, coded: PictureSize | undefined): PlannedPicture {
  const { width, height } = video?.source ?? {};
  if (video?.action !== "transcode" || !width || !height) return { picture: undefined, notes: [] };
  const told = evenSize(shownSize({ width, height }, video.source));
  const largest = {
    width: Math.max(width, coded?.width ?? 0),
    height: Math.max(height, coded?.height ?? 0),
  };
  const grown = evenSize(shownSize(largest, video.source));
  if (grown.width * grown.height <= Math.max(GROWN_PIXELS_MAX, told.width * told.height)) {
    return { picture: grown, notes: [] };
  }
  const text =
    `Pictures of up to ${grown.width}x${grown.height} pixels were made smaller, to ` +
    `${told.width}x${told.height}. The source, which can be downloaded, has them as they came.`;
  return { picture: told, notes: [{ text, isLoss: true }] };
}

/** yuv420p has a colour sample for every second pixel, so both sides are made even. */
function evenSize({ width, height }: PictureSize): PictureSize {
  return { width: width + (width % 2), height: height + (height % 2) };
}
