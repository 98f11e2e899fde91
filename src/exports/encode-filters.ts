import {
  type PictureDisplay,
  type PictureSize,
  isOnItsSide,
  turnedSize,
} from "../finalize/picture-display.ts";
import { fittedInto, turnFilters } from "../finalize/picture-filters.ts";
import type { SoundFacts } from "./track-facts.ts";
import { type Stretch, isSteady, placedMs } from "./track-place.ts";

/** Of all sound that is encoded for an export. */
export const SAMPLE_RATE = 48_000;

/**
 * Rates are whole numbers: at this one the nearest is within half a millionth, which makes 15 ms in
 * eight hours.
 */
const DRIFT_RATE = 20 * SAMPLE_RATE;

/** The pictures of an input on the recording's timeline. */
export interface PictureChain {
  /** Of the input among ffmpeg's. */
  readonly input: number;
  readonly stretches: readonly Stretch[];
  /** Of the output: what is shown is upright and has square pixels. */
  readonly size: PictureSize;
  readonly display: PictureDisplay;
  readonly frameRate: number;
  readonly durationMs: number;
}

/**
 * Pictures at a constant rate and size from the recording's zero to its end: black before the first,
 * each one until the next, the last one to the end, fitted with bars. Gives `[pictures]`.
 */
export function pictureFilters(chain: PictureChain): string[] {
  const { input, stretches, size, display, frameRate, durationMs } = chain;
  // They are turned last: filters that turn cannot follow a change of size.
  const canvas = isOnItsSide(display) ? turnedSize(size) : size;
  const frames = Math.max(1, Math.round((durationMs / 1_000) * frameRate));
  // The picture that is nearest to the middle of a frame's time, not the last one before its begin.
  const earlierMs = 500 / frameRate;
  return [
    `color=c=black:s=${canvas.width}x${canvas.height}:r=${frameRate}:d=${seconds((frames / frameRate) * 1_000)}[black]`,
    // The sizes of pictures may change: `scale` and `overlay` look at each one, `pad` does not in old
    // builds.
    `[${input}:v:0]setpts=${placedPts(stretches, -earlierMs)},` +
      `scale=${fittedInto(canvas)}:eval=frame,setsar=1[fitted]`,
    `[black][fitted]overlay=x=(W-w)/2:y=(H-h)/2:eval=frame:eof_action=repeat,` +
      [...turnFilters(display), "format=yuv420p", "setsar=1[pictures]"].join(","),
  ];
}

/** The sound of an input on the recording's timeline. */
export interface SoundChain {
  readonly input: number;
  readonly stretches: readonly Stretch[];
  readonly facts: SoundFacts;
  readonly isStereo: boolean;
  readonly durationMs: number;
  /** Of the output, such as `sound0`. */
  readonly label: string;
}

/**
 * Sound from the recording's zero to its end, to the sample, with silence wherever there is none. What
 * a device's clock ran fast or slow is resampled away. Gives `[label]`.
 */
export function soundFilters(chain: SoundChain): string[] {
  const { input, stretches, facts, isStereo, durationMs, label } = chain;
  const layout = isStereo ? "stereo" : "mono";
  const format = `aformat=sample_fmts=fltp:sample_rates=${SAMPLE_RATE}:channel_layouts=${layout}`;
  // swresample would take 3 dB from mono.
  const spread = isStereo && facts.channels === 1 ? ["pan=stereo|c0=c0|c1=c0"] : [];
  const firstMs = placedMs(stretches, facts.firstMs);
  const leadSamples = Math.max(0, samplesIn(firstMs));
  const lead = `${label}lead`;
  const own = `${label}own`;
  return [
    // Silence of its own, not of `aresample` or `adelay`, which would hold all of it in memory.
    ...(leadSamples === 0
      ? []
      : [
          `anullsrc=r=${SAMPLE_RATE}:cl=${layout},${format},atrim=end_sample=${leadSamples}[${lead}]`,
        ]),
    // The sound keeps to its times: holes become silence.
    `[${input}:a:0]${[...spread, `asetpts=PTS-(${seconds(facts.firstMs)})/TB`].join(",")},` +
      `aresample=${SAMPLE_RATE}:async=1:first_pts=0,${format}[${own}]`,
    ...driftFilters(stretches, facts.firstMs, own, `${own}even`),
    `${leadSamples === 0 ? "" : `[${lead}]`}[${own}even]` +
      (leadSamples === 0 ? "anull" : "concat=n=2:v=0:a=1") +
      (firstMs < 0 ? `,atrim=start=${seconds(-firstMs)},asetpts=PTS-STARTPTS` : "") +
      `,apad,atrim=end_sample=${samplesIn(durationMs)}[${label}]`,
  ];
}

/**
 * Gives `[evened]` with as many samples for each stretch as the timeline has. Sound that is steady
 * passes as it is.
 *
 * @param firstMs in the MP4, where the sound begins
 */
function driftFilters(
  stretches: readonly Stretch[],
  firstMs: number,
  label: string,
  evened: string,
): string[] {
  const own = stretches.filter((_, i) => (stretches[i + 1]?.fromMs ?? Infinity) > firstMs);
  if (isSteady(own)) return [`[${label}]anull[${evened}]`];
  const parts = own.map((_, i) => `${label}${i}`);
  return [
    `[${label}]asplit=${own.length}${brackets(parts)}`,
    ...own.map((stretch, i) => {
      const fromMs = Math.max(0, stretch.fromMs - firstMs);
      const next = own[i + 1];
      const trim = next === undefined ? "" : `:end=${seconds(next.fromMs - firstMs)}`;
      const length =
        next === undefined
          ? ""
          : `,apad,atrim=end_sample=${samplesIn(next.atMs - placedMs([stretch], fromMs + firstMs))}`;
      return (
        `[${label}${i}]atrim=start=${seconds(fromMs)}${trim},asetpts=PTS-STARTPTS,` +
        `aresample=${DRIFT_RATE},asetrate=${Math.round(DRIFT_RATE / stretch.rate)},` +
        `aresample=${SAMPLE_RATE}${length}[${label}${i}even]`
      );
    }),
    `${brackets(parts.map((name) => `${name}even`))}concat=n=${own.length}:v=0:a=1[${evened}]`,
  ];
}

function brackets(labels: readonly string[]): string {
  return labels.map((label) => `[${label}]`).join("");
}

/** Sums sounds of the same length without making them quieter; a limiter keeps peaks from clipping. */
export function mixFilters(labels: readonly string[], mixed: string): string[] {
  const [only, ...others] = labels;
  if (only !== undefined && others.length === 0) return [`[${only}]anull[${mixed}]`];
  return [
    // `amix` divides by their number, and old builds cannot be told not to.
    `${brackets(labels)}amix=inputs=${labels.length}:duration=longest:dropout_transition=0,` +
      `volume=${labels.length},alimiter=limit=0.98:attack=1:level=0[${mixed}]`,
  ];
}

/** Samples in a time, the nearest number. */
export function samplesIn(ms: number): number {
  return Math.round((ms / 1_000) * SAMPLE_RATE);
}

/** An expression for the timestamp of what stands at `T` seconds in the MP4, shifted by `shiftMs`. */
function placedPts(stretches: readonly Stretch[], shiftMs: number): string {
  if (isSteady(stretches)) {
    const deltaMs = placedMs(stretches, 0) + shiftMs;
    return `PTS+(${seconds(deltaMs)})/TB`;
  }
  const [first, ...others] = stretches.map(
    ({ fromMs, atMs, rate }) =>
      `(${seconds(atMs + shiftMs)}+(T-(${seconds(fromMs)}))*${rate.toFixed(9)})`,
  );
  // The last stretch that has begun counts.
  const expression = others.reduce(
    (before, later, i) => `if(gte(T,${seconds(stretches[i + 1]?.fromMs ?? 0)}),${later},${before})`,
    first ?? "T",
  );
  return `'(${expression})/TB'`;
}

/** To the microsecond. */
function seconds(ms: number): string {
  return (ms / 1_000).toFixed(6);
}
