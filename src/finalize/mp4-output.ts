import { type FileHandle, open } from "node:fs/promises";
import { writeFully } from "../storage/whole-transfer.ts";
import { SyncAhead } from "./sync-ahead.ts";

const BLOCK_BYTES = 1024 * 1024;

/** Who looks after what is written. */
export interface OutputOptions {
  /** Share of the bytes that is written, 0 to 1; 0 while it is not known how many are to come. */
  readonly onProgress: (share: number) => void;
  /** Nothing is written any more once it is aborted. */
  readonly signal: AbortSignal;
}

/** A new file; what is written into it is gathered into large writes. */
export class Mp4Output implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #options: OutputOptions;
  readonly #syncAhead: SyncAhead;
  readonly #block = Buffer.allocUnsafe(BLOCK_BYTES);
  #filled = 0;
  #written = 0;
  #expected = Infinity;

  private constructor(file: FileHandle, path: string, options: OutputOptions) {
    this.#file = file;
    this.#options = options;
    this.#syncAhead = new SyncAhead(path);
  }

  /** @throws EEXIST when there is such a file, and other file system errors */
  static async create(path: string, options: OutputOptions): Promise<Mp4Output> {
    return new Mp4Output(await open(path, "wx"), path, options);
  }

  /** From now on so many bytes are to come. */
  expect(bytes: number): void {
    this.#expected = this.#written + this.#filled + bytes;
  }

  /** The bytes may be used again once it resolves. */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > BLOCK_BYTES - this.#filled) await this.#flush();
    if (bytes.length > BLOCK_BYTES) {
      await this.#give(bytes);
      return;
    }
    this.#block.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  /**
   * @param to exclusive
   * @throws RangeError when the source ends before that
   */
  async copy(source: FileHandle, from: number, to: number): Promise<void> {
    for (let at = from; at < to;) {
      if (this.#filled === BLOCK_BYTES) await this.#flush();
      const wanted = Math.min(to - at, BLOCK_BYTES - this.#filled);
      const { bytesRead } = await source.read(this.#block, this.#filled, wanted, at);
      if (bytesRead === 0)
        throw new RangeError(`A file that is copied from ends at ${at}, not at ${to}`);
      this.#filled += bytesRead;
      at += bytesRead;
    }
  }

  /** Writes what is still gathered. Nothing is durable by that: publishing makes it so. */
  async end(): Promise<void> {
    await this.#flush();
  }

  /** Closes the file; what was not written by then is not. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#syncAhead.stop();
    } finally {
      await this.#file.close();
    }
  }

  async #flush(): Promise<void> {
    const bytes = this.#block.subarray(0, this.#filled);
    this.#filled = 0;
    await this.#give(bytes);
  }

  async #give(bytes: Uint8Array): Promise<void> {
    this.#options.signal.throwIfAborted();
    await writeFully(this.#file, [bytes], this.#written);
    this.#written += bytes.length;
    this.#syncAhead.wrote(bytes.length);
    this.#options.onProgress(Math.min(1, this.#written / this.#expected));
  }
}
