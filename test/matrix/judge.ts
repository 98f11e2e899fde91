import type { Outcome } from "./case-result.ts";
import type { Decoded, ShownPicture } from "./decoded.ts";
import { type ExpectedPicture, type ExpectedSound, SCORE_MIN, aspectOf } from "./expectation.ts";
import { type Area, WHOLE, numberIn } from "./signals.ts";
import { WINDOW_MS, findWindow, levelBetween } from "./sound-match.ts";

/** What an MP4 must show, at its own times. */
export interface Wanted {
  readonly pictures: readonly ExpectedPicture[];
  readonly sounds: readonly ExpectedSound[];
  /** When there must be silence, where there is sound at all. */
  readonly silences: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** Of a source of one segment; undefined where segments differ. */
  readonly channelLevels: readonly number[] | undefined;
  readonly durationMs: number | undefined;
  /** Whether decoders have nothing to complain about in the source. */
  readonly isClean: boolean;
}

/** What the server tells of a track, as far as the judge asks. */
export interface Claim {
  readonly verdict: "complete" | "degraded" | "lost" | null;
  readonly reason: string | null;
}

/** The judgement of one file. */
export interface Findings {
  /** What of the source is not in the file. */
  readonly missing: readonly string[];
  /** What is in it otherwise than in the source: out of time, turned, squeezed, twice, damaged. */
  readonly false: readonly string[];
  /** Largest distance of anything from its time. */
  readonly worstMs: number;
}

/** ITU-R BT.1359 puts the first notice of bad lip-sync at 45 ms; a picture at 25/s lasts 40 ms. */
const OUT_OF_TIME_MS = 40;
export const DURATION_MS = 250;
/** A picture is squeezed when its shape differs by more: odd sizes lose or gain a pixel. */
export const ASPECT_SHARE = 0.03;
/** It is smaller than it was when its height is below this share of the source's. */
const SMALLER_SHARE = 0.9;
/** 3 dB. */
const LEVEL_FACTOR = 1.42;
/** Above it there is no silence. */
const SILENT_LEVEL = 0.02;
const NEAR_MS = 30;
/** How far around its place a window of sound is searched, so that it can be told how late it is. */
const SEARCH_MS = 160;
/** A window may be found this much worse than in the source: encoding it again costs some. */
const SCORE_LOSS = 0.25;

/** Windows that are less apart than this and their length follow each other. */
const EDGE_MS = 60;

/** Holds a decoded file against what it must show. Pure. */
export function judgeFile(wanted: Wanted, decoded: Decoded): Findings {
  const missing: string[] = [];
  const faults: string[] = [];
  const lateMs = [
    ...judgePictures(wanted.pictures, decoded.pictures, missing, faults),
    ...judgeSounds(wanted, decoded, missing, faults),
  ];
  if (wanted.isClean && decoded.complaints.length > 0) {
    faults.push(`a decoder complains: ${decoded.complaints[0]}`);
  }
  const worstMs = Math.max(0, ...lateMs.map((ms) => Math.abs(ms)));
  return { missing, false: faults, worstMs };
}

/** What a case comes to. Pure. */
export function outcomeOf(
  claim: Claim,
  findings: Findings | undefined,
  { isLossy }: { readonly isLossy: boolean },
): Outcome {
  if (findings === undefined) return "failed";
  if (findings.false.length > 0) return "wrong";
  if (claim.verdict === "complete") {
    return findings.missing.length === 0 && !isLossy ? "right" : "wrong";
  }
  // What lost chunks did not take along must be there; of what is whole, something must be missing.
  const isTrue = isLossy ? findings.missing.length === 0 : findings.missing.length > 0;
  return isTrue && claim.reason !== null ? "degraded" : "wrong";
}

function judgePictures(
  expected: readonly ExpectedPicture[],
  shown: readonly ShownPicture[],
  missing: string[],
  faults: string[],
): number[] {
  const byNumber = new Map(expected.map((picture) => [picture.number, picture]));
  const seen = new Set<number>();
  const lateMs: number[] = [];
  const turned: string[] = [];
  const squeezed: string[] = [];
  const smaller: string[] = [];
  let foreign = 0;
  let twice = 0;
  let before: ExpectedPicture | undefined;
  for (const picture of shown) {
    const read = readUpright(picture, expected);
    const source = read === undefined ? undefined : byNumber.get(read.number);
    if (read === undefined) {
      turned.push(`at ${picture.ms.toFixed(0)} ms (${turnOf(picture) ?? "unreadable"})`);
    } else if (source === undefined) {
      foreign += 1;
    } else if (source === before && standsStill(picture.ms, source, expected)) {
      // It is what a player shows anyway while nothing else comes.
    } else {
      before = source;
      if (seen.has(source.number)) twice += 1;
      seen.add(source.number);
      if (source.isTimed) lateMs.push(picture.ms - source.ms);
      const aspect = aspectOf(picture) * (read.area.width / read.area.height);
      if (Math.abs(aspect / source.aspect - 1) > ASPECT_SHARE) {
        squeezed.push(`${aspect.toFixed(2)} instead of ${source.aspect.toFixed(2)}`);
      }
      if (picture.height * read.area.height < source.height * SMALLER_SHARE) {
        const height = (picture.height * read.area.height).toFixed(0);
        smaller.push(`${height} instead of ${source.height}`);
      }
    }
  }
  if (turned.length > 0) faults.push(`${turned.length} pictures are not upright: ${turned[0]}`);
  if (squeezed.length > 0) faults.push(`${squeezed.length} pictures are squeezed: ${squeezed[0]}`);
  if (smaller.length > 0) missing.push(`${smaller.length} pictures are smaller: ${smaller[0]}`);
  if (foreign > 0)
    faults.push(`${foreign} pictures show what the source does not show: damaged ones`);
  if (twice > 0) faults.push(`${twice} pictures are shown twice`);
  const absent = expected.filter(({ number, isRequired }) => isRequired && !seen.has(number));
  if (absent.length > 0) {
    const times = `${absent[0]?.ms.toFixed(0)} to ${absent.at(-1)?.ms.toFixed(0)} ms`;
    missing.push(`${absent.length} of ${expected.length} pictures are missing (${times})`);
  }
  pushLate("pictures", lateMs, faults);
  return lateMs;
}

/** Longer than pictures usually stand: in a pause, between segments, and where pictures were lost. */
const STANDS_MS = 100;

/** Whether a picture of the source is shown in a gap behind it, before the next one is due. */
function standsStill(
  ms: number,
  source: ExpectedPicture,
  expected: readonly ExpectedPicture[],
): boolean {
  const next = expected.find((other) => other.ms > source.ms && other.isRequired);
  const isLossy = expected.some(({ isRequired }) => !isRequired);
  const nextMs = next?.ms ?? (isLossy ? Infinity : source.ms);
  return nextMs - source.ms > STANDS_MS && ms < nextMs - 1;
}

/** The number of a picture that stands upright, and where it is: all of it, or between bars. */
function readUpright(
  picture: ShownPicture,
  expected: readonly ExpectedPicture[],
): { number: number; area: Area } | undefined {
  const number = numberIn(picture.look.pixels, picture.look);
  if (number !== undefined) return { number, area: WHOLE };
  const aspects = new Set(expected.map(({ aspect }) => aspect));
  for (const aspect of aspects) {
    const area = fitted(aspect, aspectOf(picture));
    const boxed = numberIn(picture.look.pixels, picture.look, area);
    if (boxed !== undefined) return { number: boxed, area };
  }
  return undefined;
}

/** Where a picture of one shape is when it is fitted into the middle of another. */
export function fitted(aspect: number, frameAspect: number): Area {
  const width = Math.min(1, aspect / frameAspect);
  const height = Math.min(1, frameAspect / aspect);
  return { x: (1 - width) / 2, y: (1 - height) / 2, width, height };
}

/** How a picture that is not upright is turned; undefined when it cannot be read in any way. */
function turnOf({ look }: ShownPicture): string | undefined {
  const { width, height, pixels } = look;
  const at = (x: number, y: number): number => pixels[y * width + x] ?? 0;
  const turns: [string, (x: number, y: number) => number][] = [
    ["upside down", (x, y) => at(width - 1 - x, height - 1 - y)],
    ["turned by 90", (x, y) => at(scaled(height - 1 - y, height, width), scaled(x, width, height))],
    ["turned by 270", (x, y) => at(scaled(y, height, width), scaled(width - 1 - x, width, height))],
    ["mirrored", (x, y) => at(width - 1 - x, y)],
  ];
  return turns.find(([, pick]) => {
    const turned = Uint8Array.from({ length: pixels.length }, (_, i) =>
      pick(i % width, Math.floor(i / width)),
    );
    return numberIn(turned, look) !== undefined;
  })?.[0];
}

const scaled = (place: number, from: number, to: number): number =>
  Math.min(to - 1, Math.floor(((place + 0.5) * to) / from));

function judgeSounds(
  { sounds, silences, channelLevels }: Wanted,
  { sound }: Decoded,
  missing: string[],
  faults: string[],
): number[] {
  const required = sounds.filter(({ isRequired }) => isRequired);
  if (sound === undefined) {
    if (required.length > 0) missing.push("the sound is missing");
    return [];
  }
  const lateMs: number[] = [];
  const absent: ExpectedSound[] = [];
  const levels: number[] = [];
  for (const window of sounds) {
    // Where sound begins or ends beside silence, encoders blur some of it.
    const isAtEdge = !isAmid(window, sounds);
    const scoreMin = isAtEdge ? SCORE_MIN : Math.max(SCORE_MIN, window.score - SCORE_LOSS);
    const near = findWindow(sound, window, window.ms, NEAR_MS);
    // Most are where they belong; the others are searched further away.
    const match = near.score >= scoreMin ? near : findWindow(sound, window, window.ms, SEARCH_MS);
    if (match.score < scoreMin) {
      if (window.isRequired) absent.push(window);
    } else {
      lateMs.push(match.ms - window.ms);
      levels.push(match.gain / window.gain);
    }
  }
  if (absent.length > 0) {
    const times = absent.map(({ ms }) => ms.toFixed(0)).join(", ");
    missing.push(`${absent.length} of ${sounds.length} times ${WINDOW_MS} ms of sound (${times})`);
  }
  pushLate("sound", lateMs, faults);
  for (const { fromMs, toMs } of silences) {
    const level = levelBetween(sound, fromMs, toMs);
    if (level > SILENT_LEVEL) faults.push(`there is sound in the silence from ${fromMs} ms`);
  }
  if (channelLevels !== undefined) {
    faults.push(...judgeChannels(channelLevels, sound.channelLevels, levels));
  }
  return lateMs;
}

/** How loud a channel is beside the loudest: silence that is longer lowers all of them alike. */
function levelShare(all: readonly number[], channel: number): number {
  return (all[channel] ?? 0) / Math.max(1e-6, ...all);
}

/** Whether the windows before and behind one of the same source are heard right beside it. */
function isAmid({ ms, seed }: ExpectedSound, sounds: readonly ExpectedSound[]): boolean {
  return [ms - WINDOW_MS, ms + WINDOW_MS].every((besideMs) =>
    sounds.some((other) => other.seed === seed && Math.abs(other.ms - besideMs) < EDGE_MS),
  );
}

function judgeChannels(
  expected: readonly number[],
  heard: readonly number[],
  levels: readonly number[],
): string[] {
  if (heard.length !== expected.length) {
    return [`the sound has ${heard.length} channels instead of ${expected.length}`];
  }
  const level = levels.toSorted((a, b) => a - b)[Math.floor(levels.length / 2)] ?? 1;
  if (level > LEVEL_FACTOR || level < 1 / LEVEL_FACTOR) {
    return [`the sound is ${level.toFixed(2)} times as loud`];
  }
  const wrong = expected.findIndex((_, channel) => {
    const difference = levelShare(expected, channel) - levelShare(heard, channel);
    return Math.abs(difference) > 0.15;
  });
  return wrong < 0 ? [] : [`channel ${wrong} is not as loud beside the others as it was`];
}

function pushLate(name: string, lateMs: readonly number[], faults: string[]): void {
  const worst = lateMs.toSorted((a, b) => Math.abs(b) - Math.abs(a))[0] ?? 0;
  if (Math.abs(worst) > OUT_OF_TIME_MS) {
    const many = lateMs.filter((ms) => Math.abs(ms) > OUT_OF_TIME_MS).length;
    faults.push(`${many} of ${lateMs.length} ${name} are out of time, by ${worst.toFixed(0)} ms`);
  }
}
