import { decodeFile, type Decoded, type ShownPicture } from "./decoded.ts";
import { atIndexedTimes, fragmentTimesOf } from "./fragment-times.ts";
import { NUMBERS_PER_SEED, numberIn } from "./signals.ts";
import { WINDOW_MS, findWindow } from "./sound-match.ts";
import { SOURCE_MS, STEP_MS, hiddenMs, type MadeSource } from "./sources.ts";

/** A picture that a source shows, at its time after the source's begin. */
export interface ExpectedPicture {
  readonly number: number;
  readonly ms: number;
  /** Displayed width to height, upright. */
  readonly aspect: number;
  /** Upright, in pixels. */
  readonly height: number;
  /** False where what was lost may have taken it along. */
  readonly isRequired: boolean;
  /** False where a cut may have moved it or not. */
  readonly isTimed: boolean;
}

/** A stretch of a source's sound, at its time after the source's begin. */
export interface ExpectedSound {
  readonly seed: number;
  readonly contentMs: number;
  readonly ms: number;
  /** How well it is found in the source itself, and how loud. */
  readonly score: number;
  readonly gain: number;
  readonly isRequired: boolean;
}

/** What a file lets a decoder show. */
export interface Expectation {
  readonly pictures: readonly ExpectedPicture[];
  readonly sounds: readonly ExpectedSound[];
  readonly channelLevels: readonly number[];
  /** From the begin of what is first to the end of what is last. */
  readonly durationMs: number;
  /** In the file's own time, when its begin is. */
  readonly beginMs: number;
  /** What decoders complain about in the source itself. */
  readonly complaints: readonly string[];
  /** What the generator did otherwise than it should; a fault of this matrix, or of ffmpeg's reading. */
  readonly doubts: readonly string[];
}

/** Below it a window is not taken for the one that is searched. */
export const SCORE_MIN = 0.5;

/** Around the first window: priming of 8 kHz sound is 128 ms. */
const FIRST_RADIUS_MS = 300;
const RADIUS_MS = 45;

/** The first picture of a fragmented file lasts longer by what ffmpeg puts before the sound. */
const STARTING_MS = 150;

/** Decodes a whole source and reads which pictures and which sound it shows when, as its index says. */
export async function expectationOf(source: MadeSource): Promise<Expectation> {
  const times = fragmentTimesOf(Buffer.from(await Bun.file(source.path).arrayBuffer()));
  const decoded = atIndexedTimes(await decodeFile(source.path), times);
  const doubts: string[] = [];
  const pictures = readPictures(source, decoded, doubts);
  const sounds = readSounds(source, decoded, doubts);
  const shown = pictures.filter(({ isRequired }) => isRequired);
  const begins = [shown[0]?.ms, decoded.sound?.fromMs].filter((ms) => ms !== undefined);
  const beginMs = Math.min(...begins);
  const afterBegin = <Moment extends { readonly ms: number }>(moment: Moment): Moment => ({
    ...moment,
    ms: moment.ms - beginMs,
  });
  const soundEndMs =
    decoded.sound === undefined
      ? 0
      : decoded.sound.fromMs + decoded.sound.samples.length / 8 - beginMs;
  const pictureEndMs = (shown.at(-1)?.ms ?? beginMs) + STEP_MS - beginMs;
  return {
    pictures: pictures.map(afterBegin),
    sounds: sounds.map(afterBegin),
    channelLevels: decoded.sound?.channelLevels ?? [],
    durationMs: Math.max(soundEndMs, shown.length === 0 ? 0 : pictureEndMs),
    beginMs,
    complaints: decoded.complaints,
    doubts,
  };
}

/** Displayed width to height. */
export function aspectOf({ width, height, pixelAspect }: ShownPicture): number {
  return (width * pixelAspect) / height;
}

const NO_PICTURE = { number: 0, ms: 0, aspect: 1, height: 0, isRequired: false, isTimed: true };

function readPictures(
  { spec, seed }: MadeSource,
  { pictures }: Decoded,
  doubts: string[],
): ExpectedPicture[] {
  if (spec.video === "none") return [];
  const firstShown = seed * NUMBERS_PER_SEED + hiddenMs(spec) / STEP_MS;
  const read = pictures.flatMap((picture) => {
    const number = numberIn(picture.look.pixels, picture.look);
    if (number === undefined) return [];
    return [
      {
        number,
        ms: picture.ms,
        aspect: aspectOf(picture),
        height: picture.height,
        // What an edit list hides libdav1d shows all the same.
        isRequired: number >= firstShown,
        isTimed: true,
      },
    ];
  });
  if (read.length < pictures.length)
    doubts.push(`${pictures.length - read.length} unreadable pictures`);
  const made = madeNumbers(spec.shape === "vfr", seed);
  const shown = made.filter((number) => number >= firstShown);
  const missing = shown.filter((number) => !read.some((picture) => picture.number === number));
  if (missing.length > 0) doubts.push(`${missing.length} pictures of the source are not shown`);
  const first = read[0];
  const worstMs = Math.max(
    0,
    ...read.map(({ number, ms }) =>
      Math.abs(ms - (first?.ms ?? 0) - (number - (first?.number ?? 0)) * STEP_MS),
    ),
  );
  if (worstMs > STARTING_MS) doubts.push(`pictures are ${worstMs.toFixed(0)} ms out of their time`);
  // ffmpeg does not show every picture of each file that it writes; to show them is no fault.
  const unshown = missing.map((number) =>
    Object.assign({}, first ?? NO_PICTURE, {
      number,
      ms: (first?.ms ?? 0) + (number - (first?.number ?? 0)) * STEP_MS,
      isRequired: false,
      isTimed: false,
    }),
  );
  return [...read, ...unshown].toSorted((a, b) => a.ms - b.ms);
}

/** Numbers of the pictures that are made, with or without those that a variable rate leaves out. */
function madeNumbers(isVariable: boolean, seed: number): number[] {
  return Array.from({ length: SOURCE_MS / STEP_MS }, (_, i) => i)
    .filter((i) => !isVariable || (i * 7 + 4) % 11 > 3)
    .map((i) => seed * NUMBERS_PER_SEED + i);
}

function readSounds(
  { spec, seed }: MadeSource,
  { sound }: Decoded,
  doubts: string[],
): ExpectedSound[] {
  if (spec.sound === "none") return [];
  if (sound === undefined) {
    doubts.push("no sound is heard");
    return [];
  }
  const trimMs = hiddenMs(spec);
  const found: ExpectedSound[] = [];
  const begin = Math.ceil(trimMs / WINDOW_MS) * WINDOW_MS;
  for (let contentMs = begin; contentMs + WINDOW_MS <= SOURCE_MS; contentMs += WINDOW_MS) {
    const last = found.at(-1);
    const match =
      last === undefined
        ? findWindow(sound, { seed, contentMs }, sound.fromMs + contentMs - trimMs, FIRST_RADIUS_MS)
        : findWindow(sound, { seed, contentMs }, last.ms + contentMs - last.contentMs, RADIUS_MS);
    if (match.score < SCORE_MIN) {
      doubts.push(`sound at ${contentMs} ms is not found (${match.score.toFixed(2)})`);
      continue;
    }
    found.push({ seed, contentMs, ...match, isRequired: true });
  }
  return found;
}
