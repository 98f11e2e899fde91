import type { Mark, StreamKind } from "../../../src/contract/marks.ts";
import { EventEmitter } from "../event-emitter.ts";
import type { RecorderClock } from "../recorder.d.ts";

/** How often the watch looks: `enabled` of a track changes without an event. */
export const LOOK_MS = 250;

/** A look of a visible page that comes later than this shows that its main thread stood still. */
export const LATE_MS = 500;

const KINDS: readonly StreamKind[] = ["video", "audio"];

/** Of a track: it gives other media, or none, from now on. */
const TRACK_EVENTS = ["mute", "unmute", "ended"] as const;

/** What of a document tells whether it is shown. */
export type Visibility = Pick<
  Document,
  "visibilityState" | "addEventListener" | "removeEventListener"
>;

/** What a watch is made of. */
export interface MarkWatchParts {
  readonly stream: Pick<MediaStream, "getTracks">;
  readonly page: Visibility;
  readonly clock: RecorderClock;
}

/** What a watch tells. */
export interface MarkWatchEvents {
  readonly mark: Mark;
}

/**
 * Notices what happens to a stream and its page while they are recorded and no recorder tells:
 * muted tracks, another device behind a track, a page that is hidden or stands still.
 */
export class MarkWatch {
  readonly #parts: MarkWatchParts;
  readonly events = new EventEmitter<MarkWatchEvents>();
  readonly #muted = new Set<StreamKind>();
  /** What each track came from when it was looked at last. */
  readonly #devices = new WeakMap<MediaStreamTrack, string | undefined>();
  #tracks: readonly MediaStreamTrack[] = [];
  #isHidden = false;
  #lookedAtMs = 0;
  #cancelTimer: () => void = () => undefined;
  readonly #look = (): void => this.look();
  readonly #onVisibility = (): void => {
    this.look();
    // A timer that was slowed down while the page was hidden would be late when it is shown.
    this.#cancelTimer();
    this.#wait();
  };

  constructor(parts: MarkWatchParts) {
    this.#parts = parts;
  }

  /** Begins to watch; what is so already, such as a muted track, is told at once. */
  start(): void {
    const { stream, page, clock } = this.#parts;
    this.#tracks = stream.getTracks();
    for (const track of this.#tracks) {
      for (const name of TRACK_EVENTS) track.addEventListener(name, this.#look);
    }
    page.addEventListener("visibilitychange", this.#onVisibility);
    this.#lookedAtMs = clock.nowMs();
    this.look();
    this.#wait();
  }

  /** Looks now, so that what has just happened is told before this returns. */
  look(): void {
    const nowMs = this.#parts.clock.nowMs();
    this.#lookAtPage(nowMs);
    const tracks = this.#parts.stream.getTracks();
    // A stream whose tracks have all ended is not muted: its recording is over.
    if (!tracks.some(({ readyState }) => readyState === "live")) return;
    for (const kind of KINDS) {
      const ofKind = tracks.filter((track) => track.kind === kind);
      if (ofKind.length > 0) this.#lookAtTracks(kind, ofKind, nowMs);
    }
  }

  /** Ends it; nothing is told from then on. */
  stop(): void {
    this.#cancelTimer();
    this.#parts.page.removeEventListener("visibilitychange", this.#onVisibility);
    for (const track of this.#tracks) {
      for (const name of TRACK_EVENTS) track.removeEventListener(name, this.#look);
    }
  }

  #wait(): void {
    this.#cancelTimer = this.#parts.clock.after(LOOK_MS, () => {
      this.#wait();
      this.look();
    });
  }

  /** Browsers slow down the timers of hidden pages: there a late look tells nothing. */
  #lookAtPage(nowMs: number): void {
    const isLate = nowMs - this.#lookedAtMs > LOOK_MS + LATE_MS;
    // From the last look on, at which the page still ran, so that the whole hole is covered.
    if (isLate && !this.#isHidden)
      this.#tell({ type: "frozen", atMs: this.#lookedAtMs, toMs: nowMs });
    this.#lookedAtMs = nowMs;
    const isHidden = this.#parts.page.visibilityState === "hidden";
    if (isHidden === this.#isHidden) return;
    this.#isHidden = isHidden;
    this.#tell({ type: isHidden ? "hidden" : "visible", atMs: nowMs });
  }

  #lookAtTracks(stream: StreamKind, tracks: readonly MediaStreamTrack[], atMs: number): void {
    const isMuted = tracks.every(
      ({ muted, enabled, readyState }) => muted || !enabled || readyState === "ended",
    );
    if (isMuted !== this.#muted.has(stream)) {
      this.#tell({ type: isMuted ? "muted" : "unmuted", atMs, stream });
      if (isMuted) this.#muted.add(stream);
      else this.#muted.delete(stream);
    }
    // Other tracks in its place would end the recorder's run (MediaStream Recording, 2.3).
    for (const track of tracks) {
      const { deviceId } = track.getSettings();
      const isOther = this.#devices.has(track) && this.#devices.get(track) !== deviceId;
      if (isOther) this.#tell({ type: "device-changed", atMs, stream });
      this.#devices.set(track, deviceId);
    }
  }

  #tell(mark: Mark): void {
    this.events.emit("mark", mark);
  }
}
