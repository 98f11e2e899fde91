import type { RemuxPlan } from "./remux-plan.ts";
import type { SegmentNote } from "./segment-note.ts";

/** What a person should know of tracks of which nothing is in the MP4. */
export function leftOutNotes({ leftOut = [] }: RemuxPlan): readonly SegmentNote[] {
  return leftOut.map(({ kind, codecName, width, height }) => {
    const size = width && height ? `, ${width} x ${height}` : "";
    const text =
      kind === "video"
        ? `The source has another track of pictures (${codecName}${size}): the MP4 shows the first one ` +
          "alone. The other one is kept in the source, which can be downloaded."
        : `The source has another track of sound (${codecName}) that could not be put into the MP4. It is ` +
          "kept in the source, which can be downloaded.";
    return { text, isLoss: true };
  });
}
