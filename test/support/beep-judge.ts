import { BEEP_AMPLITUDE, BEEP_MS } from "../fixtures/clock-code.ts";
import { loggedFrames } from "./decoded-times.ts";
import { decode, judgeFfmpeg } from "./judge-ffmpeg.ts";

const SAMPLES_PER_SECOND = 48_000;
const SAMPLES_PER_MS = SAMPLES_PER_SECOND / 1000;

/** Tones whose frequencies are multiples of 100 Hz do not disturb each other in 10 ms. */
const WINDOW_MS = 10;
const WINDOW_SAMPLES = WINDOW_MS * SAMPLES_PER_MS;

/** A mix of several participants may be as much softer than what each of them gave. */
const SOFTEST_AMPLITUDE = BEEP_AMPLITUDE / 10;

/** Above this a sample is no silence: far more than what an encoder makes of silence. */
const SILENCE_AMPLITUDE = 0.01;

/** What came out of the decoder, in mono. */
export interface DecodedSound {
  readonly samples: Float32Array;
  /** In order: where in `samples` a frame begins, and its own time from the file's zero. */
  readonly frames: readonly { readonly beginSample: number; readonly timeMs: number }[];
}

/** The begin of a beep. */
export interface Beep {
  /** By the times that the file gives, in milliseconds from its zero. */
  readonly timeMs: number;
  /** By counting samples from the first one, as players do. */
  readonly countedMs: number;
}

/** Decodes the first sound stream to its end; throws when the decoder meets any error. */
export async function decodeSound(path: string): Promise<DecodedSound> {
  const { bytes, log } = await decode(await judgeFfmpeg(), path, [
    "-map",
    "0:a:0",
    "-af",
    `aresample=${SAMPLES_PER_SECOND},aformat=sample_fmts=flt:channel_layouts=mono,ashowinfo`,
    "-copyts",
    "-f",
    "f32le",
  ]);
  const samples = new Float32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 4));
  let beginSample = 0;
  const frames = loggedFrames(log, SAMPLES_PER_SECOND).map(({ timeMs, samples: count }) => {
    const frame = { beginSample, timeMs };
    beginSample += count;
    return frame;
  });
  if (beginSample !== samples.length) {
    throw new Error(`${path}: ${beginSample} samples have a time, ${samples.length} came out`);
  }
  return { samples, frames };
}

/** A beep that is shorter has lost its begin, as one that was heard while a recorder was started. */
const WHOLE_BEEP_MS_MIN = BEEP_MS - 15;

/** Finds all whole beeps of a frequency, a multiple of 100 Hz, in order of time. */
export function beepsIn(sound: DecodedSound, frequencyHz: number): Beep[] {
  const strengths = strengthsOf(sound.samples, frequencyHz);
  const beeps: Beep[] = [];
  for (let ms = 0; ms < strengths.length; ms += 1) {
    if ((strengths[ms] ?? 0) < SOFTEST_AMPLITUDE) continue;
    // The window's strength grows while it slides over the begin: half of all at its middle.
    const end = Math.min(ms + BEEP_MS, strengths.length);
    const half = Math.max(...strengths.subarray(ms, end)) / 2;
    const begin = crossingOf(strengths, half, Math.max(0, ms - WINDOW_MS), end);
    while (ms < end && (strengths[ms] ?? 0) < half) ms += 1;
    while (ms < strengths.length && (strengths[ms] ?? 0) >= half) ms += 1;
    if (begin !== undefined && ms - begin >= WHOLE_BEEP_MS_MIN) {
      beeps.push(beepAt(sound, (begin + WINDOW_MS / 2) * SAMPLES_PER_MS));
    }
    while (ms < strengths.length && (strengths[ms] ?? 0) >= SOFTEST_AMPLITUDE / 2) ms += 1;
  }
  return beeps;
}

/** Amplitude of a tone in windows that begin at each full millisecond. */
function strengthsOf(samples: Float32Array, frequencyHz: number): Float32Array {
  const waves = Array.from({ length: WINDOW_SAMPLES }, (_, i) => {
    const angle = (2 * Math.PI * frequencyHz * i) / SAMPLES_PER_SECOND;
    return { cosine: Math.cos(angle), sine: Math.sin(angle) };
  });
  const strengths = new Float32Array(
    Math.max(0, Math.floor((samples.length - WINDOW_SAMPLES) / SAMPLES_PER_MS)),
  );
  let [real, imaginary] = [0, 0];
  for (let i = 0; i < samples.length; i += 1) {
    // A window holds full periods, so the sample that leaves meets the wave of the one that comes.
    const { cosine, sine } = waves[i % WINDOW_SAMPLES] ?? { cosine: 0, sine: 0 };
    const change = (samples[i] ?? 0) - (samples[i - WINDOW_SAMPLES] ?? 0);
    real += change * cosine;
    imaginary += change * sine;
    const begin = i + 1 - WINDOW_SAMPLES;
    if (begin >= 0 && begin % SAMPLES_PER_MS === 0) {
      strengths[begin / SAMPLES_PER_MS] = (Math.hypot(real, imaginary) * 2) / WINDOW_SAMPLES;
    }
  }
  return strengths;
}

/** Where strength first passes `level`, between two full milliseconds. */
function crossingOf(
  strengths: Float32Array,
  level: number,
  from: number,
  to: number,
): number | undefined {
  for (let ms = from; ms < to; ms += 1) {
    const [before, after] = [strengths[ms] ?? 0, strengths[ms + 1] ?? 0];
    if (before < level && after >= level) return ms + (level - before) / (after - before);
  }
  return undefined;
}

function beepAt(sound: DecodedSound, sample: number): Beep {
  const first = sound.frames[0];
  const frame = sound.frames.findLast(({ beginSample }) => beginSample <= sample) ?? first;
  if (first === undefined || frame === undefined) throw new Error("There is no sound");
  return {
    timeMs: frame.timeMs + (sample - frame.beginSample) / SAMPLES_PER_MS,
    countedMs: first.timeMs + sample / SAMPLES_PER_MS,
  };
}

/** Stretches of at least `lengthMsMin` in which every sample is silent, by the counted time. */
export function silencesIn(
  { samples, frames }: DecodedSound,
  lengthMsMin: number,
): { readonly fromMs: number; readonly toMs: number }[] {
  const firstMs = frames[0]?.timeMs ?? 0;
  const silences: { fromMs: number; toMs: number }[] = [];
  let begin = 0;
  for (let i = 0; i <= samples.length; i += 1) {
    if (i < samples.length && Math.abs(samples[i] ?? 0) < SILENCE_AMPLITUDE) continue;
    if (i - begin >= lengthMsMin * SAMPLES_PER_MS) {
      silences.push({
        fromMs: firstMs + begin / SAMPLES_PER_MS,
        toMs: firstMs + i / SAMPLES_PER_MS,
      });
    }
    begin = i + 1;
  }
  return silences;
}
