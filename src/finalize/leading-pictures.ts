import { describeSpans } from "../timeline/describe-times.ts";
import type { SourceCounts } from "./media-check.ts";
import type { SegmentNote } from "./segment-note.ts";

/** Says that pictures before the first keyframe were left out; nothing where there were none. Pure. */
export function leadingNotes({ video, audio }: SourceCounts): SegmentNote[] {
  const { leading } = video ?? {};
  if (leading === undefined) return [];
  const startMs = Math.min(leading.fromMs, audio?.firstMs ?? Infinity);
  const span = { fromMs: leading.fromMs - startMs, toMs: leading.toMs - startMs };
  const sound = audio === undefined ? "" : " The sound of that time was kept.";
  return [
    {
      text:
        `The recording began without a keyframe, so its pictures cannot be shown until the first one ` +
        `(${describeSpans([span])} of the segment): they were left out.${sound} They can be downloaded ` +
        "as source.",
      isLoss: true,
    },
  ];
}
