import { decode, judgeFfmpeg } from "./judge-ffmpeg.ts";

const SAMPLES_PER_SECOND = 48_000;

/** A multiple of the period of all tones that are multiples of 10 Hz. */
const STRETCH_SAMPLES = SAMPLES_PER_SECOND / 10;

/** How loud tones are in the first sound stream of a file. */
export interface Tones {
  /** The amplitude of each tone asked for, in stretches of 100 ms, in order of time. */
  readonly amplitudes: readonly (readonly number[])[];
}

/**
 * Decodes the first sound stream of a file, in mono; throws when the decoder meets any error.
 *
 * @param frequenciesHz multiples of 10
 */
export async function tonesIn(path: string, frequenciesHz: readonly number[]): Promise<Tones> {
  // Of floating samples ffmpeg makes mono that is louder than both channels.
  const options = ["-map", "0:a:0", "-ac", "1", "-ar", String(SAMPLES_PER_SECOND), "-f", "s16le"];
  const { bytes } = await decode(await judgeFfmpeg(), path, options);
  const integers = new Int16Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 2));
  const samples = Float32Array.from(integers, (integer) => integer / 32_768);
  const stretches = Math.floor(samples.length / STRETCH_SAMPLES);
  return {
    amplitudes: frequenciesHz.map((frequencyHz) =>
      Array.from({ length: stretches }, (_, i) =>
        amplitudeOf(samples.subarray(i * STRETCH_SAMPLES, (i + 1) * STRETCH_SAMPLES), frequencyHz),
      ),
    ),
  };
}

function amplitudeOf(samples: Float32Array, frequencyHz: number): number {
  let [real, imaginary] = [0, 0];
  for (const [i, sample] of samples.entries()) {
    const angle = (2 * Math.PI * frequencyHz * i) / SAMPLES_PER_SECOND;
    real += sample * Math.cos(angle);
    imaginary += sample * Math.sin(angle);
  }
  return (Math.hypot(real, imaginary) * 2) / samples.length;
}
