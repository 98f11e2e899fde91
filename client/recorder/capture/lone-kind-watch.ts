import type { StreamKind } from "../../../src/contract/marks.ts";
import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { probeTrack } from "./track-probe.ts";

/** How long one kind may take longer than the other to give something. */
export const LONE_MS = 1_000;

/** What a watch reports. */
export interface LoneKindWatchEvents {
  /** This kind gives nothing, while the other one gives. */
  readonly lone: { readonly silent: StreamKind };
}

/**
 * Finds out, for a recorder that gives nothing, whether the picture or the sound alone is the reason:
 * Chromium's muxer waits for both, so a silent one costs the other too. It reports nothing where the
 * browser cannot probe a track.
 */
export class LoneKindWatch {
  readonly #stream: Pick<MediaStream, "getVideoTracks" | "getAudioTracks">;
  readonly #clock: RecorderClock;
  readonly events = new EventEmitter<LoneKindWatchEvents>();
  readonly #giving = new Set<StreamKind>();
  #ends: (() => void)[] = [];

  constructor(
    stream: Pick<MediaStream, "getVideoTracks" | "getAudioTracks">,
    clock: RecorderClock,
  ) {
    this.#stream = stream;
    this.#clock = clock;
  }

  /** Looks at both, from now on; without both there is nothing to find out. */
  start(): void {
    this.stop();
    // A recorder takes the first track of each kind.
    const [picture] = this.#stream.getVideoTracks();
    const [sound] = this.#stream.getAudioTracks();
    if (picture === undefined || sound === undefined) return;
    this.#ends = [
      probeTrack(picture, () => this.#gives("video")),
      probeTrack(sound, () => this.#gives("audio")),
    ];
  }

  /** Ends it; nothing is reported from then on. */
  stop(): void {
    for (const end of this.#ends) end();
    this.#ends = [];
    this.#giving.clear();
  }

  #gives(kind: StreamKind): void {
    this.#giving.add(kind);
    if (this.#giving.size > 1) return this.stop();
    const cancel = this.#clock.after(LONE_MS, () => {
      this.stop();
      this.events.emit("lone", { silent: kind === "video" ? "audio" : "video" });
    });
    this.#ends.push(cancel);
  }
}
