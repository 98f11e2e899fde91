import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { needsMix, SoundMix } from "./sound-mix.ts";

/** What is reported of the app's stream that the event names. */
export interface SoundMixesEvents {
  /** Other sound tracks are mixed than before. */
  readonly followed: { readonly stream: MediaStream };
  /** Another segment is needed; again as long as it is. */
  readonly changed: { readonly stream: MediaStream };
}

/** The mixes of a run: while one stream takes the place of another, both have theirs. */
export class SoundMixes {
  readonly #clock: RecorderClock;
  readonly events = new EventEmitter<SoundMixesEvents>();
  readonly #mixes = new Map<MediaStream, SoundMix>();

  constructor(clock: RecorderClock) {
    this.#clock = clock;
  }

  /**
   * What a recorder is to be given: the app's stream itself, or a mix where it has several sound
   * tracks, which goes on for as long as the stream has sound. Throws `RecorderError`
   * (`not-supported`) when it cannot be mixed.
   */
  recordedOf(stream: MediaStream): MediaStream {
    return this.#mixFor(stream)?.recorded() ?? stream;
  }

  /** The mix of this stream; undefined when it is recorded as it is. */
  of(stream: MediaStream): SoundMix | undefined {
    return this.#mixes.get(stream);
  }

  /** Ends the mixes of all other streams; null for all. */
  keepOnly(stream: MediaStream | null): void {
    for (const mixed of this.#mixes.keys()) {
      if (mixed !== stream) this.#end(mixed);
    }
  }

  #mixFor(stream: MediaStream): SoundMix | undefined {
    const mix = this.#mixes.get(stream);
    if (mix !== undefined && !mix.isOver) return mix;
    this.#end(stream);
    if (!needsMix(stream)) return undefined;
    const made = new SoundMix({ stream, clock: this.#clock });
    this.#mixes.set(stream, made);
    made.events.on("followed", () => this.events.emit("followed", { stream }));
    made.events.on("changed", () => this.events.emit("changed", { stream }));
    return made;
  }

  #end(stream: MediaStream): void {
    this.#mixes.get(stream)?.stop();
    this.#mixes.delete(stream);
  }
}
