/** A block's time counts from its Cluster's, in 16 bits with a sign (RFC 9559, section 10.1). */
export const RELATIVE_TICKS = { min: -0x8000, max: 0x7fff, span: 0x10000 } as const;

/**
 * Times of a Cluster's blocks as they are meant, also where their 16 bits have run over since the
 * Cluster is too long for them: each is the nearest to that of the block before, its track's own unless
 * that is long ago.
 */
export class ClusterTimes {
  /** Of the last block of each track, by its number, in the present Cluster. */
  readonly #lastTicks = new Map<number, number>();
  /** Of the last block of all. */
  #anyTicks: number | undefined;

  /** Another Cluster begins. */
  begin(): void {
    this.#lastTicks.clear();
    this.#anyTicks = undefined;
  }

  /** From the Cluster's time, as `relativeTicks` is meant. */
  unwrapped(track: number, relativeTicks: number): number {
    const own = this.#lastTicks.get(track);
    const any = this.#anyTicks;
    const isLongAgo = own !== undefined && any !== undefined && any - own > RELATIVE_TICKS.max;
    const before = isLongAgo ? any : (own ?? any ?? relativeTicks);
    const turns = Math.max(0, Math.round((before - relativeTicks) / RELATIVE_TICKS.span));
    const ticks = relativeTicks + turns * RELATIVE_TICKS.span;
    this.#lastTicks.set(track, ticks);
    this.#anyTicks = ticks;
    return ticks;
  }
}
