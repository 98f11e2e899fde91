import { MediaMismatchError } from "../../finalize/finalize-errors.ts";
import { displayOfFile, settleMp4Index } from "../../finalize/mp4-index.ts";
import { setOrientation } from "../../finalize/set-orientation.ts";
import type { ExportTrack, MadeFile, MakeExport } from "../export-maker.ts";
import { checkComposite } from "./composite-check.ts";
import type { CompositeOptions } from "./composite-options.ts";
import { TILES_MAX, type LayoutPlan, canvasOf, planLayout } from "./layout-plan.ts";
import type { NameInFont } from "./name-font.ts";
import { drawsText, fontsOfNames, writeNames } from "./name-texts.ts";
import { runPasses } from "./pass-pool.ts";
import { joinSlices } from "./slice-join.ts";
import { slicePasses, sliceScenes } from "./slice-render.ts";
import { soundPass } from "./sound-render.ts";

/** One alone cannot keep two cores busy: each has parts that are one thread. */
const PASSES_AT_ONCE = 2;

/** Of the whole progress; the rest is the joining. */
const PICTURES_SHARE = 0.9;
const SOUND_SHARE = 0.08;

/**
 * One H.264/AAC MP4 of the recording's length: all participants in a grid as they come and go, a
 * shared screen large beside them, their names, and the sound of all. Pictures are made scene by scene,
 * each of the tracks alone that are there, beside the mixing of the sound; all is joined by copying.
 *
 * @throws FinalizeError, SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the
 * signal's reason
 */
export const makeComposite: MakeExport<CompositeOptions> = async (options, context) => {
  const { workDirectory, signal, onProgress } = context;
  const canvas = canvasOf(options.height, options.frameRate);
  // There is a picture of a recording that was stopped at once, too.
  const durationMs = Math.max(context.durationMs, 1_000 / canvas.frameRate);
  const tracks: ExportTrack[] = [];
  for (const track of context.tracks) {
    tracks.push({ ...track, display: await displayOfFile(track.path) });
  }
  const plan = planLayout(tracks, durationMs, canvas);
  const inFonts = (await drawsText(context.ffmpeg, signal))
    ? await fontsOfNames(plan, context.namesFont, signal)
    : undefined;
  const names = inFonts && (await writeNames(inFonts, workDirectory));
  const slices = sliceScenes(plan, canvas);
  const shares = { pictures: 0, sound: 0 };
  const tell = (change: Partial<typeof shares>): void => {
    Object.assign(shares, change);
    onProgress(shares.pictures * PICTURES_SHARE + shares.sound * SOUND_SHARE);
  };
  const passes = [
    soundPass(durationMs, context, (sound) => tell({ sound })),
    ...slicePasses(slices, {
      canvas,
      names,
      context,
      onProgress: (pictures) => tell({ pictures }),
    }),
  ];
  await runPasses(passes, PASSES_AT_ONCE, signal);
  const path = await joinSlices(slices, canvas, durationMs, context);
  await setOrientation(path, {});
  const findings = checkComposite(await settleMp4Index(path), canvas, durationMs);
  if (findings.length > 0) throw new MediaMismatchError(findings);
  const made: MadeFile = {
    path,
    name: "composite.mp4",
    mediaType: "video/mp4",
    participantId: null,
    trackId: null,
    durationMs,
    notes: notesOf(plan, inFonts),
  };
  return [made];
};

function notesOf(plan: LayoutPlan, inFonts: ReadonlyMap<string, NameInFont> | undefined): string[] {
  const { unseen } = plan;
  const notes: string[] = [];
  if (inFonts === undefined) {
    notes.push("It shows no names, since this ffmpeg cannot draw text.");
  } else {
    const names = Array.from(inFonts, ([name, { drawn }]) => ({ name, drawn }));
    const letters = names.filter(({ drawn }) => drawn.lacksLetters).map(({ name }) => name);
    if (letters.length > 0) {
      notes.push(
        `No font of the server has all letters of these names: ${letters.join(", ")}. Its operator ` +
          "can install one, or choose one with NAMES_FONT_PATH.",
      );
    }
    const emoji = names.filter(({ drawn }) => drawn.lacksEmoji).map(({ name }) => name);
    if (emoji.length > 0) {
      notes.push(
        `Emoji of these names are left out or drawn in a simpler way: ${emoji.join(", ")}.`,
      );
    }
  }
  if (unseen.length > 0) {
    notes.push(
      `At times there are more than ${TILES_MAX} pictures, and some participants are heard only: ` +
        `${unseen.join(", ")}.`,
    );
  }
  return notes;
}
