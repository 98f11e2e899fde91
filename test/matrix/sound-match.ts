import { LISTEN_RATE, type HeardSound } from "./decoded.ts";
import { soundAt } from "./signals.ts";

/** Two sweeps: long enough to be like nothing else, short enough to tell when each is heard. */
export const WINDOW_MS = 250;

const WINDOW_SAMPLES = (WINDOW_MS * LISTEN_RATE) / 1_000;

/** Where a window of a source's sound was found. */
export interface SoundMatch {
  readonly ms: number;
  /** Normalised correlation: 1 for the same, about 0 for anything else. */
  readonly score: number;
  /** By how much it is louder than the source's first channel. */
  readonly gain: number;
}

const references = new Map<string, Float32Array>();

function referenceOf(seed: number, contentMs: number): Float32Array {
  const name = `${seed} ${contentMs}`;
  const known = references.get(name);
  if (known !== undefined) return known;
  const reference = Float32Array.from({ length: WINDOW_SAMPLES }, (_, i) =>
    soundAt(seed, contentMs + (i * 1_000) / LISTEN_RATE),
  );
  references.set(name, reference);
  return reference;
}

/** Finds the window of a source's sound that is most like what is heard around a moment. */
export function findWindow(
  { fromMs, samples }: HeardSound,
  window: { readonly seed: number; readonly contentMs: number },
  aroundMs: number,
  radiusMs: number,
): SoundMatch {
  const reference = referenceOf(window.seed, window.contentMs);
  let referenceEnergy = 0;
  for (const sample of reference) referenceEnergy += sample * sample;
  const middle = Math.round(((aroundMs - fromMs) * LISTEN_RATE) / 1_000);
  const radius = Math.round((radiusMs * LISTEN_RATE) / 1_000);
  let best: SoundMatch = { ms: aroundMs, score: 0, gain: 0 };
  for (let begin = middle - radius; begin <= middle + radius; begin += 1) {
    if (begin < -WINDOW_SAMPLES || begin > samples.length) continue;
    let dot = 0;
    let energy = 0;
    const from = Math.max(0, -begin);
    const to = Math.min(WINDOW_SAMPLES, samples.length - begin);
    for (let i = from; i < to; i += 1) {
      const sample = samples[begin + i] ?? 0;
      dot += sample * (reference[i] ?? 0);
      energy += sample * sample;
    }
    const score = energy === 0 ? 0 : dot / Math.sqrt(energy * referenceEnergy);
    if (score > best.score) {
      const ms = fromMs + (begin * 1_000) / LISTEN_RATE;
      best = { ms, score, gain: dot / referenceEnergy };
    }
  }
  return best;
}

/** Root of the mean square from one moment to another; 0 where there is no sound. */
export function levelBetween(sound: HeardSound, fromMs: number, toMs: number): number {
  const [from, to] = [fromMs, toMs].map((ms) =>
    Math.round(((ms - sound.fromMs) * LISTEN_RATE) / 1_000),
  );
  const stretch = sound.samples.subarray(Math.max(0, from ?? 0), Math.max(0, to ?? 0));
  if (stretch.length === 0) return 0;
  let sum = 0;
  for (const sample of stretch) sum += sample * sample;
  return Math.sqrt(sum / stretch.length);
}
