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

/** Pictures on either side of one that tell, with it, how far it is from its place. */
const NEIGHBOURS = 2;

/**
 * How far each new picture is from its place: the middle one of the errors of five pictures in a row.
 * On a busy machine a browser captures a picture now and then some time after it was drawn; that one
 * is not out of its place, as five in a row would be.
 *
 * @param zeroMs when the file's zero is, in milliseconds since the epoch
 */
export function placePictures(pictures: readonly ClockPicture[], zeroMs: number): PlacedMoment[] {
  const shown = firstShown(pictures);
  const errorsMs = shown.map(({ timeMs, drawnAtMs }) => zeroMs + timeMs - drawnAtMs);
  return shown.map(({ timeMs, drawnAtMs }, i) => {
    const near = errorsMs.slice(Math.max(0, i - NEIGHBOURS), i + NEIGHBOURS + 1);
    const errorMs = near.toSorted((x, y) => x - y)[Math.floor(near.length / 2)] ?? 0;
    return { timeMs, trueMs: drawnAtMs, errorMs };
  });
}

/**
 * How far each beep is from its place: it was at the full period of the clock that is nearest.
 *
 * @param by `timeMs` for the times in the file, `countedMs` for players that count samples
 */
export function placeBeeps(
  beeps: readonly Beep[],
  zeroMs: number,
  by: keyof Beep = "countedMs",
): PlacedMoment[] {
  return beeps.map((beep) => {
    const placedMs = zeroMs + beep[by];
    const trueMs = Math.round(placedMs / FLASH_PERIOD_MS) * FLASH_PERIOD_MS;
    return { timeMs: beep[by], trueMs, errorMs: placedMs - trueMs };
  });
}

/** How much later than its flash a beep is heard. */
export interface FlashAndBeep {
  /** Of the flash, in milliseconds from the file's zero. */
  readonly timeMs: number;
  readonly skewMs: number;
}

/**
 * Pairs each flash with its beep. A flash is first shown by a picture that is drawn up to a frame
 * after it began; by how much is in its code, and taken out. Flashes without a beep, and beeps
 * without a flash, are left out: the caller knows how many there must be.
 */
export function flashesAndBeeps(
  pictures: readonly ClockPicture[],
  beeps: readonly Beep[],
  by: keyof Beep = "countedMs",
): FlashAndBeep[] {
  const shown = firstShown(pictures);
  const places = placePictures(pictures, 0);
  return shown.flatMap(({ isFlash, drawnAtMs }, i) => {
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
