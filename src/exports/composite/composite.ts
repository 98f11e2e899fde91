import { MediaMismatchError } from "../../finalize/finalize-errors.ts";
import { settleMp4Index } from "../../finalize/mp4-index.ts";
import type { MadeFile, MakeExport } from "../export-maker.ts";
import { checkComposite } from "./composite-check.ts";
import type { CompositeOptions } from "./composite-options.ts";
import { TILES_MAX, type LayoutPlan, canvasOf, planLayout } from "./layout-plan.ts";
import { drawsText, writeNames } from "./name-texts.ts";
import { joinSlices } from "./slice-join.ts";
import { renderSlices } from "./slice-render.ts";

/** Of the whole progress; the rest is the sound. */
const PICTURES_SHARE = 0.9;

/**
 * One H.264/AAC MP4 of the recording's length: all participants in a grid as they come and go, a
 * shared screen large beside them, their names, and the sound of all. Pictures are made scene by scene,
 * each of the tracks alone that are there; the scenes are joined by copying while the sound is mixed.
 *
 * @throws FinalizeError, SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the
 * signal's reason
 */
export const makeComposite: MakeExport<CompositeOptions> = async (options, context) => {
  const { tracks, workDirectory, signal, onProgress } = context;
  const canvas = canvasOf(options.height, options.frameRate);
  // There is a picture of a recording that was stopped at once, too.
  const durationMs = Math.max(context.durationMs, 1_000 / canvas.frameRate);
  const plan = planLayout(tracks, durationMs, canvas);
  const hasNames = await drawsText(context.ffmpeg, signal);
  const names = hasNames ? await writeNames(plan, workDirectory) : undefined;
  const slices = await renderSlices(plan, canvas, names, {
    ...context,
    onProgress: (share) => onProgress(share * PICTURES_SHARE),
  });
  const path = await joinSlices(slices, canvas, {
    ...context,
    durationMs,
    onProgress: (share) => onProgress(PICTURES_SHARE + share * (1 - PICTURES_SHARE)),
  });
  const findings = checkComposite(await settleMp4Index(path), canvas, durationMs);
  if (findings.length > 0) throw new MediaMismatchError(findings);
  const made: MadeFile = {
    path,
    name: "composite.mp4",
    mediaType: "video/mp4",
    participantId: null,
    trackId: null,
    durationMs,
    notes: notesOf(plan, hasNames),
  };
  return [made];
};

function notesOf({ unseen }: LayoutPlan, hasNames: boolean): string[] {
  const notes: string[] = [];
  if (!hasNames) notes.push("It shows no names, since this ffmpeg cannot draw text.");
  if (unseen.length > 0) {
    notes.push(
      `At times there are more than ${TILES_MAX} pictures, and some participants are heard only: ` +
        `${unseen.join(", ")}.`,
    );
  }
  return notes;
}
