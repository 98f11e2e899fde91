import { OverloadedError } from "./errors.ts";
import { isFairShare } from "./fair-share.ts";

const BUSY_RETRY_MS = 5_000;

/** What one viewer holds. */
export interface ViewerHolding extends Disposable {
  /**
   * Holds so many bytes in place of what it held; false when that is more than its share, and then it
   * holds what it held. Also false once it is disposed.
   */
  hold(byteLength: number): boolean;
  /**
   * The same before anything has been answered.
   *
   * @throws OverloadedError in place of false
   */
  require(byteLength: number): void;
}

/**
 * Counts the bytes of chunks that are read for viewers and that their connections have not taken yet. All
 * of them together have a limit, of which each viewer gets a fair share (`isFairShare`): slow viewers of
 * large chunks are refused long before the others are. One viewer alone may hold any chunk.
 */
export class ViewerBytes {
  readonly #max: number;
  #total = 0;

  constructor(bytesMax: number) {
    this.#max = bytesMax;
  }

  /** Bytes that all viewers hold now. */
  get total(): number {
    return this.#total;
  }

  /** Begins to count for one viewer; disposing it releases what it holds. */
  open(): ViewerHolding {
    let held = 0;
    let isOpen = true;
    const hold = (byteLength: number): boolean => {
      if (!isOpen) return false;
      const others = this.#total - held;
      if (others > 0 && !isFairShare(byteLength, others, this.#max)) return false;
      this.#total = others + byteLength;
      held = byteLength;
      return true;
    };
    return {
      hold,
      require: (byteLength) => {
        if (hold(byteLength)) return;
        throw new OverloadedError(
          `${this.#total} bytes wait for those who read them; the limit is ${this.#max}.`,
          BUSY_RETRY_MS,
        );
      },
      [Symbol.dispose]: () => {
        this.#total -= held;
        held = 0;
        isOpen = false;
      },
    };
  }
}
