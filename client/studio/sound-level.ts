/** Quieter than this reads as no sound at all, in decibels relative to full scale. */
const FLOOR_DBFS = -60;

/**
 * How loud a run of samples is, as a meter shows it: 0 at -60 dBFS and below, 1 at full scale,
 * even steps per decibel between.
 *
 * @param samples - of one channel, -1 to 1.
 */
export function soundLevel(samples: ArrayLike<number>): number {
  let squares = 0;
  for (let index = 0; index < samples.length; index++) squares += (samples[index] ?? 0) ** 2;
  if (squares === 0) return 0;
  const dbfs = 10 * Math.log10(squares / samples.length);
  return Math.min(1, Math.max(0, 1 - dbfs / FLOOR_DBFS));
}

/** How long a microphone stays silent before the page asks whether it is muted. */
export const SILENCE_HINT_AFTER_MS = 5_000;

/** Notices that a microphone gives no sound. */
export class SilenceWatch {
  #lastSoundMs: number;

  /** @param nowMs - when the microphone was opened, on any steady clock. */
  constructor(nowMs: number) {
    this.#lastSoundMs = nowMs;
  }

  /** Whether nothing was heard for {@link SILENCE_HINT_AFTER_MS}. */
  isSilent(level: number, nowMs: number): boolean {
    if (level > 0) this.#lastSoundMs = nowMs;
    return nowMs - this.#lastSoundMs >= SILENCE_HINT_AFTER_MS;
  }
}
