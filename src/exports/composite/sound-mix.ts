import type { ExportTrack } from "../export-maker.ts";
import { inputArguments, secondsOf } from "../../finalize/ffmpeg-arguments.ts";
import { type ClockedStretch, clockedStretches } from "./media-clock.ts";

/** Samples in a second of a composite's sound. */
export const SAMPLES_PER_SECOND = 48_000;

/** Builds of 2018 mix no more at once. */
const MIXED_AT_ONCE_MAX = 32;

/** Of full scale: what an encoder and a decoder make of a peak stays below full scale. */
const PEAK = 0.891;

/** Longer holes in a track's sound are filled with silence; shorter ones are rounding of times. */
const HOLE_SECONDS_MIN = 0.04;

/** Samples in a second that sound whose clock is off is stretched by, at most. */
const STRETCH_SAMPLES_MAX = 1_000;

/**
 * Nearer to the begin all is decoded: ffmpeg seeks to a keyframe of the picture, and what is heard before the
 * first one would be missing.
 */
const SOUGHT_MS_MIN = 60_000;

/** Inputs and filters for the sound of all tracks. */
export interface SoundMix {
  readonly inputs: readonly string[];
  /** Ends in `[sound]`. */
  readonly graph: string;
}

/**
 * Mixes all tracks' sound, each at its place, into exactly `durationMs` of stereo. Pure. Every voice
 * keeps its own level whoever else speaks: they are added up, and only peaks beyond full scale are
 * taken down.
 */
export function mixSound(tracks: readonly ExportTrack[], durationMs: number): SoundMix {
  const samples = samplesOf(durationMs);
  const parts = tracks
    .filter(({ media }) => media.audioCodec !== null)
    .flatMap(({ path, timeline }) =>
      clockedStretches(timeline)
        .filter(({ toMs }) => toMs > 0)
        .map((stretch) => ({ path, stretch: sinceZero(stretch) })),
    );
  const inputs: string[] = [];
  const chains: string[] = [];
  const lanes: string[] = [];
  for (const [i, { path, stretch }] of parts.entries()) {
    const { fromMs, toMs, mediaFromMs, rate } = stretch;
    const isSought = mediaFromMs >= SOUGHT_MS_MIN;
    const skippedMs = isSought ? 0 : mediaFromMs;
    inputs.push(
      "-threads",
      "1",
      ...(isSought ? ["-seek_timestamp", "1", "-ss", secondsOf(mediaFromMs)] : []),
      "-t",
      secondsOf(skippedMs + (toMs - fromMs) / rate),
      ...inputArguments("mp4", { path }),
    );
    // Without frames the filters would keep all silence before a late begin in memory.
    const silence = samplesOf(fromMs);
    const source = `[${i}:a:0]${without(skippedMs)}${placing(rate)},${FORMAT}`;
    if (silence > 0) {
      chains.push(
        `anullsrc=r=${SAMPLES_PER_SECOND}:cl=stereo,atrim=end_sample=${silence},${FORMAT}[before${i}]`,
        `${source}[voice${i}]`,
        `[before${i}][voice${i}]concat=n=2:v=0:a=1,apad[lane${i}]`,
      );
    } else {
      chains.push(`${source},apad[lane${i}]`);
    }
    lanes.push(`[lane${i}]`);
  }
  if (lanes.length === 0) {
    chains.push(`anullsrc=r=${SAMPLES_PER_SECOND}:cl=stereo,${FORMAT}[lane]`);
    lanes.push("[lane]");
  }
  const sum = addUp(lanes, chains);
  chains.push(
    `${sum}alimiter=limit=${PEAK}:attack=5:release=50:level=0,atrim=end_sample=${samples},` +
      `asetpts=N/SR/TB[sound]`,
  );
  return { inputs, graph: chains.join(";") };
}

/** A stretch without what was recorded before the recording's zero. */
function sinceZero(stretch: ClockedStretch): ClockedStretch {
  const { fromMs, mediaFromMs, rate } = stretch;
  if (fromMs >= 0) return stretch;
  return { ...stretch, fromMs: 0, mediaFromMs: mediaFromMs - fromMs / rate };
}

const FORMAT = "aformat=sample_fmts=fltp:channel_layouts=stereo";

function samplesOf(ms: number): number {
  return Math.round((ms * SAMPLES_PER_SECOND) / 1_000);
}

/**
 * What each side gets of channels that are there; those that are not are passed over. One channel goes to
 * both sides as it is: ffmpeg's own way would have it 3 dB softer than the same voice in two channels. Those
 * behind the listener are 3 dB softer (ITU-R BS.775, annex 4).
 */
const SIDES = "FL=FL+FC+0.707*BL+0.707*SL+0.5*BC+0.5*LFE|FR=FR+FC+0.707*BR+0.707*SR+0.5*BC+0.5*LFE";

/** Leaves out what comes before, and counts from there. */
function without(skippedMs: number): string {
  if (skippedMs === 0) return "";
  const seconds = secondsOf(skippedMs);
  return `atrim=start=${seconds},asetpts=PTS-${seconds}/TB,`;
}

/** Puts samples where their times are: a stream may begin late, and have holes. */
function placing(rate: number): string {
  const resample =
    `pan=stereo|${SIDES},aresample=${SAMPLES_PER_SECOND}:first_pts=0:min_hard_comp=${HOLE_SECONDS_MIN}` +
    `:async=${rate === 1 ? 1 : STRETCH_SAMPLES_MAX}`;
  return rate === 1 ? resample : `asetpts=PTS*${rate.toFixed(9)},${resample}`;
}

/**
 * `amix` divides by the number of its inputs, and by that of those which go on: as all go on for ever
 * here, multiplying gives the plain sum. (`normalize=0` is not known to older builds.)
 */
function addUp(lanes: readonly string[], chains: string[]): string {
  let sums = lanes;
  for (let level = 0; sums.length > 1; level += 1) {
    const next: string[] = [];
    for (let at = 0; at < sums.length; at += MIXED_AT_ONCE_MAX) {
      const group = sums.slice(at, at + MIXED_AT_ONCE_MAX);
      const sum = `[sum${level}_${at}]`;
      chains.push(
        `${group.join("")}amix=inputs=${group.length}:duration=longest,volume=${group.length}:precision=float${sum}`,
      );
      next.push(sum);
    }
    sums = next;
  }
  return sums[0] ?? "";
}
