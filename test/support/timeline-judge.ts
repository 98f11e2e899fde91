import { FLASH_PERIOD_MS } from "../fixtures/clock-code.ts";
import type { Beep } from "./beep-judge.ts";
import type { ClockPicture } from "./clock-judge.ts";

/** A picture whose clock can be read. */
export type ReadPicture = ClockPicture & { readonly drawnAtMs: number; readonly source: number };

/** Something of a file whose time on the common clock is known. */
export interface PlacedMoment {
  /** In milliseconds from the file's zero. */
  readonly timeMs: number;
  /** When it truly was, in milliseconds since the epoch. */
  readonly trueMs: number;
  /** How much later it stands in the file than it was; negative when earlier. */
  readonly errorMs: number;
}

/** Pictures with a readable clock; of those that are shown again and again only the first ones. */
export function firstShown(pictures: readonly ClockPicture[]): ReadPicture[] {
  let shownMs: number | null = null;
  return pictures.filter((picture): picture is ReadPicture => {
    const isNew = picture.drawnAtMs !== null && picture.drawnAtMs !== shownMs;
    shownMs = picture.drawnAtMs;
    return isNew;
  });
}

/** Pictures in a row that tell together how far the one in their middle is from its place. */
const PICTURES_IN_A_ROW = 5;

/** Likewise beeps. */
const BEEPS_IN_A_ROW = 3;

/** For each value the middle one of so many in a row, which at the ends are the first or last ones. */
function middleOnes(values: readonly number[], inARow: number): readonly number[] {
  // Of fewer, none can be told from the others.
  if (values.length < inARow) return values;
  return values.map((value, i) => {
    const from = Math.min(Math.max(0, i - Math.floor(inARow / 2)), values.length - inARow);
    const row = values.slice(from, from + inARow).toSorted((x, y) => x - y);
    return row[Math.floor(inARow / 2)] ?? value;
  });
}

/**
 * How far each new picture is from its place: the middle one of the errors of five pictures in a row.
 * On a busy machine a browser captures a picture now and then some time after it was drawn; that one
 * is not out of its place, as five in a row would be.
 *
 * @param zeroMs when the file's zero is, in milliseconds since the epoch
 */
export function placePictures(pictures: readonly ClockPicture[], zeroMs: number): PlacedMoment[] {
  const shown = firstShown(pictures);
  const ownMs = shown.map(({ timeMs, drawnAtMs }) => zeroMs + timeMs - drawnAtMs);
  const errorsMs = middleOnes(ownMs, PICTURES_IN_A_ROW);
  return shown.map(({ timeMs, drawnAtMs }, i) => ({
    timeMs,
    trueMs: drawnAtMs,
    errorMs: errorsMs[i] ?? 0,
  }));
}

/**
 * How far each beep is from its place: it was at the full period of the clock that is nearest. The
 * middle one of the errors of three beeps in a row: on a busy machine Chromium holds one up now and
 * then on its way to the recorder, by up to 60 ms, and drops as much sound behind it.
 *
 * @param by `timeMs` for the times in the file, `countedMs` for players that count samples
 */
export function placeBeeps(
  beeps: readonly Beep[],
  zeroMs: number,
  by: keyof Beep = "countedMs",
): PlacedMoment[] {
  const truesMs = beeps.map(
    (beep) => Math.round((zeroMs + beep[by]) / FLASH_PERIOD_MS) * FLASH_PERIOD_MS,
  );
  const ownMs = beeps.map((beep, i) => zeroMs + beep[by] - (truesMs[i] ?? 0));
  const errorsMs = middleOnes(ownMs, BEEPS_IN_A_ROW);
  return beeps.map((beep, i) => ({
    timeMs: beep[by],
    trueMs: truesMs[i] ?? 0,
    errorMs: errorsMs[i] ?? 0,
  }));
}

/** How much later than its flash a beep is heard. */
export interface FlashAndBeep {
  /** Of the flash, in milliseconds from the file's zero. */
  readonly timeMs: number;
  readonly skewMs: number;
}

/**
 * Pairs each flash with its beep. A flash is first shown by a picture that is drawn up to a frame
 * after it began; by how much is in its code, and taken out. As in `placeBeeps`, each is the middle one
 * of three in a row. Flashes without a beep, and beeps without a flash, are left out: the caller knows
 * how many there must be.
 */
export function flashesAndBeeps(
  pictures: readonly ClockPicture[],
  beeps: readonly Beep[],
  by: keyof Beep = "countedMs",
): FlashAndBeep[] {
  const shown = firstShown(pictures);
  const places = placePictures(pictures, 0);
  const pairs = shown.flatMap(({ isFlash, drawnAtMs }, i) => {
    const before = shown[i - 1];
    const isBegin =
      isFlash &&
      before?.isFlash === false &&
      // The picture before is of the last period: the flash's begin is not behind a hole.
      drawnAtMs - before.drawnAtMs < FLASH_PERIOD_MS / 4;
    if (!isBegin) return [];
    const trueMs = Math.floor(drawnAtMs / FLASH_PERIOD_MS) * FLASH_PERIOD_MS;
    const timeMs = trueMs + (places[i]?.errorMs ?? 0);
    const skews = beeps
      .map((beep) => beep[by] - timeMs)
      .filter((skewMs) => Math.abs(skewMs) < FLASH_PERIOD_MS / 2)
      .toSorted((x, y) => Math.abs(x) - Math.abs(y));
    return skews.slice(0, 1).map((skewMs) => ({ timeMs, skewMs }));
  });
  const skewsMs = middleOnes(
    pairs.map(({ skewMs }) => skewMs),
    BEEPS_IN_A_ROW,
  );
  return pairs.map(({ timeMs }, i) => ({ timeMs, skewMs: skewsMs[i] ?? 0 }));
}

/** A time in which a stream gives nothing new, in milliseconds since the epoch. */
export interface Hole {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where pictures were drawn further apart than `longerThanMs`. */
export function pictureHoles(pictures: readonly ClockPicture[], longerThanMs: number): Hole[] {
  const shown = firstShown(pictures);
  return shown.slice(1).flatMap(({ drawnAtMs }, i) => {
    const fromMs = shown[i]?.drawnAtMs ?? drawnAtMs;
    return drawnAtMs - fromMs > longerThanMs ? [{ fromMs, toMs: drawnAtMs }] : [];
  });
}

/** The largest distance from its place, either way; throws when nothing was measured. */
export function worstErrorMs(moments: readonly PlacedMoment[]): number {
  if (moments.length === 0) throw new Error("Nothing was measured");
  return moments.reduce(
    (worst, { errorMs }) => (Math.abs(errorMs) > Math.abs(worst) ? errorMs : worst),
    0,
  );
}
