/**
 * Decides whose turn it is among owners of waiting work, such as recordings: each gets one piece of
 * work done before any gets a second one. An owner that comes new goes behind those that wait already,
 * so that nobody can be held up for ever by others that come.
 */
export class FairTurns<Owner> {
  /** When each had its last turn, or came; only of those that wait. */
  readonly #since = new Map<Owner, number>();
  #turn = 0;

  /**
   * The owner whose turn it is; undefined when none waits.
   *
   * @param waiting all that have work now, each once or more, the one that waits longest first
   */
  next(waiting: Iterable<Owner>): Owner | undefined {
    const owners = new Set(waiting);
    for (const owner of this.#since.keys()) {
      if (!owners.has(owner)) this.#since.delete(owner);
    }
    let first: Owner | undefined;
    let firstSince = Infinity;
    for (const owner of owners) {
      const since = this.#since.get(owner) ?? this.#take(owner);
      if (since >= firstSince) continue;
      first = owner;
      firstSince = since;
    }
    if (first !== undefined) this.#take(first);
    return first;
  }

  #take(owner: Owner): number {
    this.#turn += 1;
    this.#since.set(owner, this.#turn);
    return this.#turn;
  }
}
