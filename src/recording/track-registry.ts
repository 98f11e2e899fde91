import type { Catalog, TrackKey } from "./ports.ts";

/** A track that the catalogue is being told of. */
interface Registration {
  readonly key: TrackKey;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Tells the catalogue of tracks, many by one transaction: when a meeting begins, all of its tracks
 * appear within a second, and each transaction costs a sync.
 */
export class TrackRegistry {
  readonly #catalog: Pick<Catalog, "addTracks">;
  #waiting: Registration[] = [];
  #isWriting = false;

  constructor(catalog: Pick<Catalog, "addTracks">) {
    this.#catalog = catalog;
  }

  /** Resolves when the track is durable in the catalogue, whether it was there or not. */
  register(key: TrackKey): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ key, resolve, reject });
    if (!this.#isWriting) void this.#writeAll();
    return promise;
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      // Requests that have arrived already have their turn first: their tracks join.
      await new Promise((resolve) => setImmediate(resolve));
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#catalog.addTracks(group.map(({ key }) => key));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#isWriting = false;
  }
}
