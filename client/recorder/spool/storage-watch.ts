import { EventEmitter } from "../event-emitter.ts";
import type {
  RecorderClock,
  StorageChange,
  StorageState,
  StorageThresholds,
} from "../recorder.d.ts";

/** The browser is asked again when half of the way to the next threshold was written, ... */
const ASK_AGAIN_SHARE = 0.5;

/** ... but not before so many bytes, ... */
const ASK_AGAIN_BYTES_MIN = 262_144;

/** ... at the latest after so many, ... */
const ASK_AGAIN_BYTES_MAX = 16_777_216;

/** ... and while something is wrong, after this time, too: room may come back. */
const ASK_AGAIN_MS = 5_000;

/** The video bit rate is halved so often at most. */
const REDUCTIONS_MAX = 2;

/** What the browser tells of the origin's storage. */
export interface StorageFigures {
  readonly usedBytes: number;
  readonly quotaBytes: number;
}

/** What a watch is made of. */
export interface StorageWatchParts {
  readonly clock: RecorderClock;
  readonly thresholds: StorageThresholds;
  /** Most bytes that may be in memory only. */
  readonly memoryBytesMax: number;
  /** Why nothing is kept on the disk, in a sentence; null where it is. */
  readonly noDiskReason: string | null;
  /** Null where the browser does not tell. */
  readonly estimate: () => Promise<StorageFigures | null>;
}

/** What a watch tells. */
export interface StorageWatchEvents {
  readonly changed: StorageChange;
  /** Record with half the bit rate from now on. */
  readonly reduce: null;
  /** There is no room any more: stop recording. Told once. */
  readonly full: StorageChange;
}

/**
 * Knows how much room a run's chunks have, and what to do when it gets scarce: say so early, record
 * with fewer bytes when it is nearly used up, go on in memory when it is, and stop when that is full
 * too. Nothing is ever dropped. Chromium 156 does not tell its real quota, but 10 GiB above what is
 * used: there a write that fails is the first sign, and memory the time that is left to act.
 */
export class StorageWatch {
  readonly #parts: StorageWatchParts;
  readonly events = new EventEmitter<StorageWatchEvents>();
  #figures: StorageFigures | null = null;
  #memoryBytes = 0;
  #troubleReason: string | null = null;
  #told: StorageState | null = null;
  #reductions = 0;
  #isFull = false;
  #bytesSinceAsked = 0;
  #isAsking = false;
  #isStopped = false;
  #cancelTimer: (() => void) | null = null;

  constructor(parts: StorageWatchParts) {
    this.#parts = parts;
  }

  /** Asks for the first time; `changed` follows. */
  start(): void {
    void this.#ask();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
  }

  /** So many bytes were put on the disk. */
  wroteToDisk(bytes: number): void {
    this.#bytesSinceAsked += bytes;
    const { usedBytes, quotaBytes } = this.#figures ?? { usedBytes: 0, quotaBytes: 0 };
    const { low, critical } = this.#parts.thresholds;
    const next = usedBytes < low * quotaBytes ? low : critical;
    const askAfterBytes = Math.min(
      ASK_AGAIN_BYTES_MAX,
      Math.max(ASK_AGAIN_BYTES_MIN, (next * quotaBytes - usedBytes) * ASK_AGAIN_SHARE),
    );
    if (this.#bytesSinceAsked >= askAfterBytes) void this.#ask();
  }

  /** What is in memory has changed. */
  memoryIs(bytes: number): void {
    this.#memoryBytes = bytes;
    if (bytes === 0) this.#troubleReason = null;
    this.#decide();
  }

  /** The disk did not take a chunk, which is in memory now. */
  diskFailed(cause: unknown): void {
    const isQuota = cause instanceof DOMException && cause.name === "QuotaExceededError";
    const words = cause instanceof Error ? cause.message : String(cause);
    this.#troubleReason = isQuota
      ? "The browser gives this page no more room on the disk."
      : `The browser cannot write to the disk (${words}).`;
    if (isQuota) this.#reduceTo(REDUCTIONS_MAX);
    void this.#ask();
  }

  async #ask(): Promise<void> {
    if (this.#isAsking || this.#isStopped) return;
    this.#isAsking = true;
    this.#bytesSinceAsked = 0;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    try {
      this.#figures = await this.#parts.estimate();
    } catch {
      // The figures are advice; what counts is whether the disk takes the next chunk.
      this.#figures = null;
    }
    this.#isAsking = false;
    this.#decide();
    if (this.#told !== "ok" && this.#parts.noDiskReason === null && !this.#isStopped) {
      this.#cancelTimer = this.#parts.clock.after(ASK_AGAIN_MS, () => void this.#ask());
    }
  }

  #decide(): void {
    if (this.#isStopped) return;
    const { thresholds, memoryBytesMax } = this.#parts;
    const share = this.#usedShare();
    if (share >= thresholds.critical) this.#reduceTo(1);
    if (share >= (1 + thresholds.critical) / 2) this.#reduceTo(2);
    const change = this.#change(share);
    if (change.state !== this.#told) {
      this.#told = change.state;
      this.events.emit("changed", change);
    }
    if (this.#memoryBytes > memoryBytesMax && !this.#isFull) {
      this.#isFull = true;
      this.events.emit("full", change);
    }
  }

  #reduceTo(reductions: number): void {
    for (; this.#reductions < reductions; this.#reductions += 1) this.events.emit("reduce", null);
  }

  #usedShare(): number {
    const { usedBytes, quotaBytes } = this.#figures ?? { usedBytes: 0, quotaBytes: 0 };
    return quotaBytes > 0 ? usedBytes / quotaBytes : 0;
  }

  #change(share: number): StorageChange {
    const figures = {
      usedBytes: this.#figures?.usedBytes ?? null,
      quotaBytes: this.#figures?.quotaBytes ?? null,
      memoryBytes: this.#memoryBytes,
    };
    const { noDiskReason, thresholds } = this.#parts;
    if (noDiskReason !== null) return { state: "memory", ...figures, reason: noDiskReason };
    if (this.#memoryBytes > 0) {
      const reason = this.#troubleReason ?? "Something is kept in memory only.";
      return { state: "memory", ...figures, reason };
    }
    const percent = Math.round(share * 100);
    const reason = `${percent} % of what the browser grants this page on the disk is used.`;
    if (share >= thresholds.critical) return { state: "critical", ...figures, reason };
    if (share >= thresholds.low) return { state: "low", ...figures, reason };
    return { state: "ok", ...figures, reason: null };
  }
}
