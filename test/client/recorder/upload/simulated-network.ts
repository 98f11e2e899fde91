import type { RecorderClock } from "../../../../client/recorder/recorder.d.ts";
import { ServerClock } from "../../../../client/recorder/upload/server-clock.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

/** A computer whose clock is wrong, and a network between it and the server. */
export interface SimulatedClient {
  /** How far its clock is ahead of the server's at the begin. */
  readonly aheadMs: number;
  /** How fast its quartz is, in millionths. */
  readonly driftPpm: number;
  /** How long the ways of the next round trip take, there and back; null when there is no network. */
  readonly nextTrip: () => readonly [number, number] | null;
  readonly hasMonotonic?: boolean;
}

/** The clock of a client as the product estimates it, beside the truth. */
export class ClientClockBed {
  readonly serverClock: ServerClock;
  trips = 0;
  readonly #client: SimulatedClient;
  readonly #truth = new ManualClock();
  readonly #beganMs = this.#truth.nowMs();
  #stepMs = 0;
  #sleptMs = 0;

  constructor(client: SimulatedClient) {
    this.#client = client;
    const rate = 1 + client.driftPpm / 1e6;
    const clock: RecorderClock = {
      nowMs: () => Math.floor(this.#localMs()),
      ...(client.hasMonotonic === true
        ? { monotonicMs: () => this.#elapsedMs() - this.#sleptMs }
        : {}),
      after: (delayMs, callback) => this.#truth.after(delayMs / rate, callback),
    };
    this.serverClock = new ServerClock({ clock, fetchServerTimeMs: () => this.#serverTimeMs() });
  }

  /** How far the estimate is from the truth; null when there is none. */
  get errorMs(): number | null {
    const offsetMs = this.serverClock.offsetMs;
    return offsetMs === null ? null : offsetMs - (this.#truth.nowMs() - this.#localMs());
  }

  /** Lets time pass, and what falls due be done. */
  async pass(durationMs: number): Promise<void> {
    this.#truth.advance(durationMs);
    await settled();
  }

  /** Somebody sets the computer's clock. */
  step(byMs: number): void {
    this.#stepMs += byMs;
  }

  /** The computer sleeps: its wall clock goes on, the other one does not, nor does anything else. */
  sleep(durationMs: number, wrongByMs: number): void {
    this.#truth.advance(durationMs);
    this.#sleptMs += durationMs;
    this.#stepMs += wrongByMs;
  }

  get pendingTimers(): number {
    return this.#truth.pendingTimers;
  }

  #elapsedMs(): number {
    return (this.#truth.nowMs() - this.#beganMs) * (1 + this.#client.driftPpm / 1e6);
  }

  #localMs(): number {
    return this.#beganMs + this.#client.aheadMs + this.#elapsedMs() + this.#stepMs;
  }

  async #serverTimeMs(): Promise<number> {
    this.trips += 1;
    const trip = this.#client.nextTrip();
    // Not within the clock's own turn, which would set it back afterwards.
    await Promise.resolve();
    if (trip === null) throw new TypeError("no network");
    this.#truth.advance(trip[0]);
    const serverMs = Math.floor(this.#truth.nowMs());
    this.#truth.advance(trip[1]);
    return serverMs;
  }
}

/** Lets everything that is ready run. */
export const settled = () =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });
