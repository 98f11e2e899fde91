import type { SourceCounts } from "./media-check.ts";
import type { SegmentNote } from "./segment-note.ts";

/** What people must know of pictures before the first keyframe, which were left out. */
export function leadingNotes({ video }: SourceCounts): readonly SegmentNote[] {
  if (video?.leading === undefined) return [];
  const { fromMs, toMs } = video.leading;
  const seconds = ((toMs - fromMs) / 1_000).toFixed(1);
  const text =
    `The first ${seconds} s of pictures cannot be shown, since the keyframe that they need is missing. ` +
    "They were left out; everything from the first keyframe on was kept.";
  return [{ text, isLoss: true }];
}
