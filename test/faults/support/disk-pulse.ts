import { open } from "node:fs/promises";
import { join } from "node:path";

/** As much as a second of a recording. */
const WRITE_BYTES = 131_072;

/** Often enough to meet whatever keeps a disk busy for a quarter of a second. */
const PERIOD_MS = 50;

/** Syncs that are remembered: those of ten seconds and more. */
const SYNCS_MAX = 200;

/**
 * Writes and syncs again and again, to tell how slow this machine's disk was at a moment: a limit on
 * what a crash may lose is a limit on the product only where the disk itself keeps up.
 */
export class DiskPulse implements AsyncDisposable {
  readonly #syncs: { readonly beganAtMs: number; readonly endedAtMs: number }[] = [];
  readonly #ended: Promise<void>;
  #isStopping = false;
  /** Of the sync that is under way. */
  #beganAtMs: number | null = null;

  /** Begins, with a file in `directory`; disposing it ends it. */
  constructor(directory: string) {
    this.#ended = this.#beat(join(directory, "disk-pulse"));
  }

  /** Longest write with its sync that was under way at some time since then, in milliseconds. */
  worstMs(sinceMs: number): number {
    const nowMs = Date.now();
    const recent = this.#syncs.filter(({ endedAtMs }) => endedAtMs >= sinceMs);
    const underWayMs = this.#beganAtMs === null ? 0 : nowMs - this.#beganAtMs;
    return Math.max(underWayMs, ...recent.map(({ beganAtMs, endedAtMs }) => endedAtMs - beganAtMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    await this.#ended;
  }

  async #beat(path: string): Promise<void> {
    const handle = await open(path, "w");
    try {
      const bytes = crypto.getRandomValues(new Uint8Array(65_536));
      while (!this.#isStopping) {
        const beganAtMs = Date.now();
        this.#beganAtMs = beganAtMs;
        for (let at = 0; at < WRITE_BYTES; at += bytes.length) {
          await handle.write(bytes, 0, bytes.length, at);
        }
        await handle.datasync();
        this.#beganAtMs = null;
        this.#syncs.push({ beganAtMs, endedAtMs: Date.now() });
        if (this.#syncs.length > SYNCS_MAX) this.#syncs.shift();
        await Bun.sleep(PERIOD_MS);
      }
    } finally {
      await handle.close();
    }
  }
}
