import type { MediaAmount, RecorderProgress } from "./recorder.d.ts";

/** What a chunk counts. */
interface Countable {
  readonly payload: Blob;
  readonly durationMs: number;
}

interface Tally {
  chunks: number;
  bytes: number;
  ms: number;
}

/** Counts what is recorded and what of it is acknowledged. */
export class ProgressMeter {
  readonly #recorded: Tally = { chunks: 0, bytes: 0, ms: 0 };
  readonly #acknowledged: Tally = { chunks: 0, bytes: 0, ms: 0 };

  recorded(chunk: Countable): void {
    add(this.#recorded, chunk);
  }

  acknowledged(chunks: readonly Countable[]): void {
    for (const chunk of chunks) add(this.#acknowledged, chunk);
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
    };
  }
}

function add(tally: Tally, { payload, durationMs }: Countable): void {
  tally.chunks += 1;
  tally.bytes += payload.size;
  tally.ms += durationMs;
}

function amountOf({ chunks, bytes, ms }: Tally): MediaAmount {
  return { chunks, bytes, seconds: ms / 1_000 };
}
