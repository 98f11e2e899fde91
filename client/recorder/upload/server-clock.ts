import type { RecorderClock } from "../recorder.d.ts";
import { offsetLine, type OffsetSample } from "./offset-line.ts";

/** Round trips of one measurement; the first one pays for the connection. */
export const ROUND_TRIPS = 8;

/**
 * Times from one measurement to the next; the last one again and again. Quartzes are up to 200 ppm off,
 * 2 ms in 10 s: soon at first, until the drift is known, then seldom.
 */
export const MEASURE_INTERVALS_MS = [5_000, 10_000, 15_000, 30_000, 60_000, 120_000];

/** Time to the next measurement when none succeeded. */
export const MEASURE_AGAIN_MS = 10_000;

/** Those of about an hour. */
const SAMPLES_MAX = 30 * ROUND_TRIPS;

/**
 * A smaller jump waits for the next measurement: some browsers round their clocks to 16.7 ms against
 * fingerprinting, and time services jump by 128 ms or more (RFC 5905, STEPT), below that they slew.
 */
const STEP_MS_MIN = 25;

/** What it may differ by slewing, and two clocks by their drift. */
const SLEW_MAX = 0.000_5;

/** Two clocks that are read within this are read at once. */
const READING_MS_MAX = 2;

/** What a round trip may contradict the estimate by, beyond the bounds of both. */
const CONTRADICTION_MS_MIN = 10;

/** What the server clock is made of. */
export interface ServerClockParts {
  readonly clock: RecorderClock;
  /** The server's time in milliseconds since the epoch, after one round trip; rejects without one. */
  readonly fetchServerTimeMs: (signal: AbortSignal) => Promise<number>;
}

/** Two readings of one instant. */
interface Reading {
  readonly nowMs: number;
  /** Of a clock that nobody sets; null where there is none, and when it could not be read at once. */
  readonly monotonicMs: number | null;
}

/**
 * Estimates the server's clock and its drift against this computer's, again and again while it runs.
 * The shorter a round trip, the more it counts; its error is at most half of its duration.
 *
 * For clocks that are up to 200 ppm fast or slow the estimate stays within 5 ms of the truth at any
 * moment from the first measurement on where a way takes up to 2 ms longer at one time than at another
 * (seen: 2.6 at most, 0.1 in the median), and within 5 ms and that difference where it is more (20 ms:
 * 12 at most, 0.5 in the median). What one way always takes longer than the other nobody can see: half
 * of it is added.
 *
 * When the system's clock is set, or the computer slept, what was measured before is forgotten, and it
 * is measured at once: noticed at each question for the offset where the clock has `monotonicMs`, and
 * by a measurement that contradicts the ones before.
 */
export class ServerClock {
  readonly #parts: ServerClockParts;
  readonly #stopped = new AbortController();
  /** In order of time. */
  #samples: OffsetSample[] = [];
  #line: ((atMs: number) => number) | null = null;
  #lastReading: Reading | null = null;
  #measurements = 0;
  #cancelTimer: () => void = () => undefined;
  #measuring: Promise<void> | null = null;
  #isStarted = false;

  constructor(parts: ServerClockParts) {
    this.#parts = parts;
  }

  /** Begins to measure and returns at once; nothing has to wait for it. */
  start(): void {
    this.#isStarted = true;
    this.#cancelTimer();
    this.#look();
    if (this.#measuring !== null || this.#stopped.signal.aborted) return;
    this.#measuring = this.#measure().finally(() => {
      this.#measuring = null;
    });
  }

  /** Ends the measurements, waits for the one under way. The estimate stays. */
  async stop(): Promise<void> {
    this.#cancelTimer();
    this.#stopped.abort();
    await this.#measuring;
  }

  /**
   * What the server's clock is ahead of this computer's now, in milliseconds; null before the first
   * measurement, and after a jump of this computer's clock until the next one.
   */
  get offsetMs(): number | null {
    return this.offsetMsAt(this.#parts.clock.nowMs());
  }

  /** The same at an instant of this computer's clock. */
  offsetMsAt(atMs: number): number | null {
    this.#look();
    return this.#line?.(atMs) ?? null;
  }

  /** The offset; without one it is tried once to get it, until the signal fires. */
  async measuredOffsetMs(signal: AbortSignal): Promise<number | null> {
    const offsetMs = this.offsetMs;
    if (offsetMs !== null) return offsetMs;
    const sample = await this.#roundTrip(signal);
    // A measurement that ended meanwhile is better than a single round trip.
    if (typeof sample === "object" && this.#line === null) this.#take(sample);
    return this.offsetMs;
  }

  async #measure(): Promise<void> {
    const { signal } = this.#stopped;
    let hasAnswer = false;
    for (let i = 0; i < ROUND_TRIPS && !signal.aborted; i += 1) {
      const sample = await this.#roundTrip(signal);
      if (sample === "no answer") break;
      if (sample === "clock jumped") continue;
      hasAnswer = true;
      // Already the first one is better than none: a chunk may be waiting to be stamped.
      this.#take(sample);
    }
    if (signal.aborted) return;
    const next = MEASURE_INTERVALS_MS[this.#measurements] ?? MEASURE_INTERVALS_MS.at(-1);
    // Nothing is left of a measurement during which the clock was set.
    const isKnown = hasAnswer && this.#line !== null;
    if (isKnown) this.#measurements += 1;
    const delayMs = isKnown && next !== undefined ? next : MEASURE_AGAIN_MS;
    this.#cancelTimer = this.#parts.clock.after(delayMs, () => this.start());
  }

  #take(sample: OffsetSample): void {
    const isContradicted = contradicts(sample, this.#samples);
    if (isContradicted) this.#measurements = 0;
    this.#samples = [...(isContradicted ? [] : this.#samples), sample].slice(-SAMPLES_MAX);
    this.#line = offsetLine(this.#samples);
  }

  /** Forgets what was measured before the system's clock jumped, and measures anew. */
  #look(): void {
    const reading = this.#read();
    if (reading.monotonicMs === null) return;
    const before = this.#lastReading;
    this.#lastReading = reading;
    if (before === null || !hasStepped(before, reading)) return;
    this.#samples = [];
    this.#line = null;
    this.#measurements = 0;
    if (this.#isStarted) this.start();
  }

  #read(): Reading {
    const { clock } = this.#parts;
    if (clock.monotonicMs === undefined) return { nowMs: clock.nowMs(), monotonicMs: null };
    const beforeMs = clock.monotonicMs();
    const nowMs = clock.nowMs();
    const monotonicMs = clock.monotonicMs();
    // A busy computer can stop between the two: then they do not tell of one instant.
    return { nowMs, monotonicMs: monotonicMs - beforeMs > READING_MS_MAX ? null : monotonicMs };
  }

  /** That it failed need not be reported: the uploads, which meet the same network, do that. */
  async #roundTrip(signal: AbortSignal): Promise<OffsetSample | "no answer" | "clock jumped"> {
    const sent = this.#read();
    try {
      const serverMs = await this.#parts.fetchServerTimeMs(signal);
      const received = this.#read();
      const roundTripMs = received.nowMs - sent.nowMs;
      if (roundTripMs < 0 || hasStepped(sent, received)) return "clock jumped";
      const atMs = (sent.nowMs + received.nowMs) / 2;
      return { atMs, offsetMs: serverMs - atMs, roundTripMs };
    } catch {
      return "no answer";
    }
  }
}

/** Whether the system's clock was set between two readings, or the computer slept. */
function hasStepped(before: Reading, after: Reading): boolean {
  if (before.monotonicMs === null || after.monotonicMs === null) return false;
  const elapsedMs = after.monotonicMs - before.monotonicMs;
  const stepMs = Math.abs(after.nowMs - before.nowMs - elapsedMs);
  return stepMs > STEP_MS_MIN + elapsedMs * SLEW_MAX;
}

/** Whether a sample cannot be true if the others are, whatever the network did. */
function contradicts(sample: OffsetSample, others: readonly OffsetSample[]): boolean {
  const last = others.at(-1);
  if (last === undefined) return false;
  const shortestMs = Math.min(...others.map(({ roundTripMs }) => roundTripMs));
  const boundMs =
    CONTRADICTION_MS_MIN +
    (shortestMs + sample.roundTripMs) / 2 +
    Math.abs(sample.atMs - last.atMs) * SLEW_MAX;
  return Math.abs(sample.offsetMs - offsetLine(others)(sample.atMs)) > boundMs;
}
