/**
 * Players play sound by counting its packets. When they are ahead of the packets' times by more than this,
 * picture and sound part: half of what can be seen. Chromium on a busy machine loses 30 to 60 ms at a time.
 */
export const SOUND_DEFICIT_MS_MAX = 20;

/**
 * Times of packets are noisy, by more than that on a busy machine: what this many in a row tell alike, a
 * second of Chromium's, is no noise.
 */
export const STEADY_PACKETS = 20;

/**
 * By how much the packets of a sound are together too short for the time that they take. Only of packets
 * that are all as long as each other, as those of recorders are.
 */
export class SoundDeficit {
  #steadyMs = 0;
  #packetMs: number | undefined;
  #isEven = true;
  #countedEndMs: number | undefined;
  /** Of the last packets, in a ring. */
  readonly #recentMs = new Float64Array(STEADY_PACKETS);
  #packets = 0;

  /** How long each packet is; undefined when that is not one length, or not known. */
  get packetMs(): number | undefined {
    return this.#isEven ? this.#packetMs : undefined;
  }

  /** The most that was told steadily; 0 before. */
  get steadyMs(): number {
    return this.#isEven ? this.#steadyMs : 0;
  }

  add(atMs: number, durationMs: number | undefined): void {
    this.#packetMs ??= durationMs;
    if (durationMs === undefined || durationMs !== this.#packetMs) this.#isEven = false;
    if (!this.#isEven || durationMs === undefined) return;
    this.#countedEndMs ??= atMs;
    this.#recentMs[this.#packets % STEADY_PACKETS] = atMs - this.#countedEndMs;
    this.#packets += 1;
    this.#countedEndMs += durationMs;
    if (this.#packets < STEADY_PACKETS) return;
    this.#steadyMs = Math.max(this.#steadyMs, Math.min(...this.#recentMs));
  }
}
