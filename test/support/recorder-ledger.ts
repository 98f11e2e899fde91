import { fileURLToPath } from "node:url";
import type { BrowserContext } from "playwright-core";
import { TELL_SIGHTING, type RecorderSighting } from "../fixtures/recorder-watch-api.ts";
import { until } from "./until.ts";

/** How long a page may take to hash what it was given last. */
const HASH_TIMEOUT_MS = 30_000;

/** A blob that a browser's recorder handed over; empty ones in front of the first byte are none. */
export interface LedgerChunk {
  readonly bytes: number;
  /** When it was handed over, in milliseconds since the epoch. */
  readonly atMs: number;
  /** Hexadecimal; null while, or when, the page did not live to tell it. */
  readonly sha256: string | null;
}

/** One run of one MediaRecorder: what the product calls a segment. */
export interface LedgerRun {
  readonly runId: string;
  readonly startedAtMs: number;
  /** In order of sequence, from 0. */
  readonly chunks: readonly LedgerChunk[];
}

interface OpenRun {
  readonly runId: string;
  startedAtMs: number;
  readonly chunks: { bytes: number; atMs: number; sha256: string | null }[];
}

/**
 * What the recorders of some pages gave, kept in the test's own process: it survives every reload
 * and crash, and knows nothing of the library under test.
 */
export class RecorderLedger {
  readonly #runs = new Map<string, OpenRun>();

  /** Watches every page that `context` opens from now on. */
  async watch(context: BrowserContext): Promise<void> {
    await context.exposeFunction(TELL_SIGHTING, (sighting: RecorderSighting) => {
      this.#note(sighting);
    });
    await context.addInitScript({ content: await watchScript() });
  }

  /** Forgets all runs; no page may record. */
  clear(): void {
    this.#runs.clear();
  }

  /** All runs that gave something, in the order in which they were first told of. */
  get runs(): LedgerRun[] {
    return [...this.#runs.values()]
      .map(({ runId, startedAtMs, chunks }) => ({
        runId,
        startedAtMs,
        chunks: withoutEmptyBegin(chunks),
      }))
      .filter(({ chunks }) => chunks.length > 0);
  }

  /**
   * Waits until every chunk has its hash, except the last one of each run of which the page did not
   * live to tell it.
   */
  async hashed(runsOfDeadPages: readonly LedgerRun[] = []): Promise<void> {
    const dead = new Set(runsOfDeadPages.map(({ runId }) => runId));
    const isHashed = ({ runId, chunks }: LedgerRun): boolean =>
      (dead.has(runId) ? chunks.slice(0, -1) : chunks).every(({ sha256 }) => sha256 !== null);
    await until(() => this.runs.every(isHashed) || undefined, {
      what: "every chunk is hashed",
      timeoutMs: HASH_TIMEOUT_MS,
    });
  }

  #note(sighting: RecorderSighting): void {
    const { runId } = sighting;
    const run = this.#runs.get(runId) ?? { runId, startedAtMs: 0, chunks: [] };
    this.#runs.set(runId, run);
    switch (sighting.kind) {
      case "started":
        run.startedAtMs = sighting.atMs;
        break;
      case "recorded":
        run.chunks[sighting.index] = {
          bytes: sighting.bytes,
          atMs: sighting.atMs,
          sha256: null,
        };
        break;
      case "hashed": {
        const chunk = run.chunks[sighting.index];
        if (chunk === undefined)
          throw new Error(`Blob ${sighting.index} was hashed before it came`);
        chunk.sha256 = sighting.sha256;
        break;
      }
    }
  }
}

/** Chunk 0 holds the container's header, so a blob without a byte in front of it is no chunk. */
function withoutEmptyBegin(chunks: readonly LedgerChunk[]): readonly LedgerChunk[] {
  const first = chunks.findIndex(({ bytes }) => bytes > 0);
  return first === -1 ? [] : chunks.slice(first);
}

let script: Promise<string> | undefined;

function watchScript(): Promise<string> {
  script ??= Bun.build({
    entrypoints: [fileURLToPath(new URL("../fixtures/recorder-watch.ts", import.meta.url))],
    target: "browser",
    format: "iife",
  }).then(async ({ outputs: [output] }) => {
    if (output === undefined) throw new Error("The watch gave no bundle");
    return output.text();
  });
  return script;
}
