import { livePath } from "./api-client.ts";
import { element, setText } from "./element.ts";
import { LivePlayer } from "./live-player.ts";

/** A track that can be watched while it is recorded. */
export interface LiveTrack {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
}

/** Shows one running track at a time. */
export class LivePanel {
  readonly element: HTMLElement;
  readonly #video = element("video", { attributes: { controls: "", playsinline: "" } });
  readonly #status = element("p", { attributes: { role: "status", "data-testid": "live-status" } });
  readonly #player: LivePlayer;
  #watched: LiveTrack | null = null;

  constructor() {
    this.#player = new LivePlayer(this.#video, {
      status: (sentence) => {
        this.#status.hidden = sentence === null;
        setText(this.#status, sentence ?? "");
      },
    });
    // Sound without pictures needs no more room than the controls.
    this.#video.addEventListener("loadedmetadata", () => {
      this.#video.classList.toggle("sound-only", this.#video.videoWidth === 0);
    });
    const attributes = { "data-testid": "live" };
    this.element = element("div", { class: "working", attributes });
    this.element.hidden = true;
  }

  /** Whether this track is being watched. */
  shows({ participantId, trackId }: Omit<LiveTrack, "recordingId">): boolean {
    return this.#watched?.participantId === participantId && this.#watched.trackId === trackId;
  }

  /** Watches this track from now on; null for none. */
  watch(track: LiveTrack | null): void {
    this.#watched = track;
    this.element.hidden = track === null;
    if (track === null) {
      this.#player.stop();
      this.element.replaceChildren();
      return;
    }
    this.element.replaceChildren(this.#video, this.#status);
    this.#video.setAttribute("aria-label", `Live: ${track.participantId}: ${track.trackId}`);
    this.#player.start(livePath(track));
  }
}
