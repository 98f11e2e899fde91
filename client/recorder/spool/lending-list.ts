import type { ChunkKey, TakeLimits } from "./chunk-spool.ts";

/** What a list can lend. */
interface Lendable extends ChunkKey {
  readonly bytes: number;
  readonly mimeType: string;
  readonly marks: unknown;
}

/** The chunks of a spool in order of `put`, and which of them are lent. Holds no bytes itself. */
export class LendingList<Entry extends Lendable> {
  // A Map keeps the order of insertion, which `giveBack` therefore need not restore.
  readonly #entries = new Map<string, { entry: Entry; isLent: boolean }>();

  add(entry: Entry): void {
    this.#entries.set(keyOf(entry), { entry, isLent: false });
  }

  get(key: ChunkKey): Entry | undefined {
    return this.#entries.get(keyOf(key))?.entry;
  }

  /** Lends as `ChunkSpool.take` says. */
  lend({ bytesMax, chunksMax, besidesOf = () => 0 }: TakeLimits): readonly Entry[] {
    const taken: Entry[] = [];
    let bytes = 0;
    for (const item of this.#entries.values()) {
      const { entry, isLent } = item;
      const previous = taken.at(-1);
      const countedBytes = entry.bytes + besidesOf(entry);
      if (previous === undefined) {
        if (isLent) continue;
      } else if (
        isLent ||
        entry.segmentId !== previous.segmentId ||
        entry.sequence !== previous.sequence + 1 ||
        bytes + countedBytes > bytesMax ||
        taken.length >= chunksMax
      ) {
        break;
      }
      item.isLent = true;
      bytes += countedBytes;
      taken.push(entry);
    }
    return taken;
  }

  giveBack(keys: readonly ChunkKey[]): void {
    for (const key of keys) {
      const item = this.#entries.get(keyOf(key));
      if (item !== undefined) item.isLent = false;
    }
  }

  /** Gives what was removed; nothing for a key that is not in it. */
  remove(keys: readonly ChunkKey[]): readonly Entry[] {
    return keys.flatMap((key) => {
      const item = this.#entries.get(keyOf(key));
      this.#entries.delete(keyOf(key));
      return item === undefined ? [] : [item.entry];
    });
  }

  entries(): readonly Entry[] {
    return Array.from(this.#entries.values(), ({ entry }) => entry);
  }
}

function keyOf({ segmentId, sequence }: ChunkKey): string {
  return `${segmentId}/${sequence}`;
}
