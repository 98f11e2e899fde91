import type { StreamKind } from "../../../src/contract/marks.ts";
import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { elapsedMs } from "./elapsed-time.ts";
import { probeTrack } from "./track-probe.ts";

/** How often the stream's tracks are compared: scripts add and remove tracks without an event. */
const LOOK_MS = 500;

/** What gives again within this time, after the patience was over, has not stopped meanwhile. */
const STEADY_MS = 1_000;

/** What is left out of a recording, and how. */
export interface AbsentKindParts {
  /** The app's stream. */
  readonly stream: MediaStream;
  /** What it gives nothing of. */
  readonly kind: StreamKind;
  readonly clock: RecorderClock;
  /** For how long it must give again before that counts; 0 for at once. */
  readonly patienceMs: number;
}

/** What is reported, until it is stopped. */
export interface AbsentKindEvents {
  /** The kind gives again; once. */
  readonly returned: null;
  /** Other tracks are in the stream than before; again at each look. */
  readonly changed: null;
}

/** A kind of tracks that gives nothing, and is left out of the recording until it gives again. */
export class AbsentKind {
  readonly #parts: AbsentKindParts;
  readonly events = new EventEmitter<AbsentKindEvents>();
  readonly kind: StreamKind;
  /** What goes on: the app's tracks of the other kind. */
  readonly rest: MediaStream;
  readonly #tracks: ReadonlySet<MediaStreamTrack>;
  readonly #sinceMs: number;
  #hasReturned = false;
  #gaveAtMs: number | null = null;
  #endProbe: () => void = () => undefined;
  #cancelPatience: () => void = () => undefined;
  #cancelLook: () => void = () => undefined;

  constructor(parts: AbsentKindParts) {
    this.#parts = parts;
    this.kind = parts.kind;
    const tracks = parts.stream.getTracks();
    this.#tracks = new Set(tracks);
    this.rest = new MediaStream(tracks.filter(({ kind }) => kind !== parts.kind));
    this.#sinceMs = elapsedMs(parts.clock);
  }

  /** Whether it gives again: what is reported while the recording is paused is done after it. */
  get hasReturned(): boolean {
    return this.#hasReturned;
  }

  /** For how long it has been left out. */
  get absentMs(): number {
    return elapsedMs(this.#parts.clock) - this.#sinceMs;
  }

  /** Begins to wait for its return. */
  start(): void {
    this.#await();
    this.#look();
  }

  /** Ends it; nothing is reported from then on. */
  stop(): void {
    this.#endProbe();
    this.#cancelPatience();
    this.#cancelLook();
  }

  #await(): void {
    const { stream, kind, clock, patienceMs } = this.#parts;
    const track = stream.getTracks().find((candidate) => candidate.kind === kind);
    if (track === undefined) return;
    this.#endProbe = probeTrack(track, () => {
      const nowMs = elapsedMs(clock);
      const isSteady = this.#gaveAtMs !== null && nowMs - this.#gaveAtMs <= patienceMs + STEADY_MS;
      this.#gaveAtMs = nowMs;
      if (patienceMs === 0 || isSteady) {
        this.#hasReturned = true;
        this.events.emit("returned", null);
      } else {
        this.#cancelPatience = clock.after(patienceMs, () => this.#await());
      }
    });
  }

  #look(): void {
    const { stream, clock } = this.#parts;
    this.#cancelLook = clock.after(LOOK_MS, () => {
      const tracks = stream.getTracks();
      const isSame =
        tracks.length === this.#tracks.size && tracks.every((track) => this.#tracks.has(track));
      this.#look();
      if (!isSame) this.events.emit("changed", null);
    });
  }
}
