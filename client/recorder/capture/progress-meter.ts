import type { MediaAmount, RecorderProgress } from "../recorder.d.ts";

/** What a chunk counts. */
interface Countable {
  readonly segmentId: string;
  readonly sequence: number;
  readonly bytes: number;
  readonly durationMs: number;
}

interface Tally {
  chunks: number;
  bytes: number;
  ms: number;
}

/** Counts what is recorded, what of it is acknowledged, and what of the rest a crash would take. */
export class ProgressMeter {
  readonly #recorded: Tally = { chunks: 0, bytes: 0, ms: 0 };
  readonly #acknowledged: Tally = { chunks: 0, bytes: 0, ms: 0 };
  /** Neither acknowledged nor known to be on the disk. */
  readonly #volatile = new Set<string>();

  recorded(chunk: Countable): void {
    add(this.#recorded, chunk);
    this.#volatile.add(keyOf(chunk));
  }

  /** It is on the disk. */
  durable(chunk: Pick<Countable, "segmentId" | "sequence">): void {
    this.#volatile.delete(keyOf(chunk));
  }

  acknowledged(chunks: readonly Countable[]): void {
    for (const chunk of chunks) {
      add(this.#acknowledged, chunk);
      this.durable(chunk);
    }
  }

  /** The figures now. */
  read(): RecorderProgress {
    const { chunks, bytes, ms } = this.#acknowledged;
    return {
      recorded: amountOf(this.#recorded),
      acknowledged: amountOf(this.#acknowledged),
      pending: amountOf({
        chunks: this.#recorded.chunks - chunks,
        bytes: this.#recorded.bytes - bytes,
        ms: this.#recorded.ms - ms,
      }),
      isDurable: this.#volatile.size === 0,
    };
  }
}

function keyOf({ segmentId, sequence }: Pick<Countable, "segmentId" | "sequence">): string {
  return `${segmentId}/${sequence}`;
}

function add(tally: Tally, { bytes, durationMs }: Countable): void {
  tally.chunks += 1;
  tally.bytes += bytes;
  tally.ms += durationMs;
}

function amountOf({ chunks, bytes, ms }: Tally): MediaAmount {
  return { chunks, bytes, seconds: ms / 1_000 };
}
