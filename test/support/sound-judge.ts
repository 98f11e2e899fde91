import { decode, judgeFfmpeg } from "./judge-ffmpeg.ts";

const SAMPLES_PER_SECOND = 48_000;

/** Stretches of 10 ms: shorter than any packet, longer than a period of a tone above 100 Hz. */
const STRETCH_SAMPLES = SAMPLES_PER_SECOND / 100;

/** Far below the tests' tones, far above what an encoder makes of silence. */
const LOUD_AMPLITUDE = 0.05;

/** What a file's first sound stream sounds like. */
export interface Sound {
  /** Of the tone where there is one: crossings of zero in loud stretches; 0 in silence. */
  readonly frequencyHz: number;
  /** How long it is loud, in all. */
  readonly loudMs: number;
  /** How long it is, loud or not, for a player that counts samples. */
  readonly countedMs: number;
}

/** Decodes the first sound stream to the end; throws when the decoder meets any error. */
export async function soundOf(path: string): Promise<Sound> {
  const options = ["-map", "0:a:0", "-ac", "1", "-ar", String(SAMPLES_PER_SECOND), "-f", "f32le"];
  const { bytes } = await decode(await judgeFfmpeg(), path, options);
  const samples = new Float32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 4));
  let loudStretches = 0;
  let crossings = 0;
  for (let begin = 0; begin + STRETCH_SAMPLES <= samples.length; begin += STRETCH_SAMPLES) {
    const stretch = samples.subarray(begin, begin + STRETCH_SAMPLES);
    if (!stretch.some((sample) => Math.abs(sample) > LOUD_AMPLITUDE)) continue;
    loudStretches += 1;
    // Each with the sample before it, so that no crossing falls between two stretches.
    stretch.forEach((sample, i) => {
      const previous = samples[begin + i - 1] ?? sample;
      if (previous < 0 !== sample < 0) crossings += 1;
    });
  }
  const loudSeconds = (loudStretches * STRETCH_SAMPLES) / SAMPLES_PER_SECOND;
  return {
    frequencyHz: loudSeconds === 0 ? 0 : crossings / 2 / loudSeconds,
    loudMs: loudSeconds * 1000,
    countedMs: (samples.length / SAMPLES_PER_SECOND) * 1000,
  };
}

/** Decodes the first channel of a file's first sound to 48 kHz, each sample at its time from zero on. */
export async function soundInTime(path: string): Promise<Float32Array> {
  return firstChannel(path, `aresample=${SAMPLES_PER_SECOND}:async=1:first_pts=0`, ["-copyts"]);
}

/** Decodes it as players do that count samples. */
export async function soundCounted(path: string): Promise<Float32Array> {
  return firstChannel(path, `aresample=${SAMPLES_PER_SECOND}`, []);
}

async function firstChannel(
  path: string,
  filter: string,
  options: readonly string[],
): Promise<Float32Array> {
  const filters = ["-map", "0:a:0", "-af", `pan=mono|c0=c0,${filter}`, "-f", "f32le"];
  const { bytes } = await decode(await judgeFfmpeg(), path, [...options, ...filters]);
  return new Float32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 4));
}

/** Amplitude of a tone in a span of a sound at 48 kHz, by Goertzel's algorithm; 0 behind its end. */
export function toneIn(
  sound: Float32Array,
  frequencyHz: number,
  fromMs: number,
  toMs: number,
): number {
  const samples = sound.subarray(
    Math.round((fromMs * SAMPLES_PER_SECOND) / 1_000),
    Math.round((toMs * SAMPLES_PER_SECOND) / 1_000),
  );
  const step = 2 * Math.cos((2 * Math.PI * frequencyHz) / SAMPLES_PER_SECOND);
  let [last, before] = [0, 0];
  for (const sample of samples) [last, before] = [sample + step * last - before, last];
  const power = last * last + before * before - step * last * before;
  return samples.length === 0 ? 0 : (2 * Math.sqrt(Math.max(0, power))) / samples.length;
}
