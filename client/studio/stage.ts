import type { SessionSnapshot } from "./describe-safety.ts";
import { requireElement, setText } from "./element.ts";
import { formatDuration } from "./format-duration.ts";

const ON_AIR_WORDS: Record<SessionSnapshot["phase"], string> = {
  recording: "Recording",
  paused: "Paused",
  sending: "Saving",
  ended: "Saved",
};

/** The picture of what would be, or is, recorded. */
export class Stage {
  readonly #preview = requireElement("preview", HTMLVideoElement);
  readonly #screenPreview = requireElement("screen-preview", HTMLVideoElement);
  readonly #empty = requireElement("stage-empty", HTMLElement);
  readonly #emptyText = requireElement("stage-empty-text", HTMLElement);
  readonly #openDevices = requireElement("open-devices", HTMLButtonElement);
  readonly #onAir = requireElement("on-air", HTMLElement);
  readonly #onAirWord = requireElement("on-air-word", HTMLElement);
  readonly #elapsed = requireElement("elapsed", HTMLElement);

  /** Shows the camera or, where there is no picture, says so. */
  async showDevices(stream: MediaStream): Promise<void> {
    const hasPicture = stream.getVideoTracks().length > 0;
    this.#empty.hidden = hasPicture;
    if (!hasPicture) this.showWords("Sound only: there is no picture.");
    await show(this.#preview, hasPicture ? stream : null);
  }

  /** Shows a sentence instead of a picture; `offersDevices` with the button that opens them. */
  showWords(sentence: string, offersDevices = false): void {
    this.#preview.srcObject = null;
    this.#empty.hidden = false;
    this.#openDevices.hidden = !offersDevices;
    setText(this.#emptyText, sentence);
  }

  /** Shows the shared screen in the corner; null takes it away. */
  async showScreen(stream: MediaStream | null): Promise<void> {
    this.#screenPreview.hidden = stream === null;
    await show(this.#screenPreview, stream);
  }

  /** Shows how long is recorded; null when nothing is. */
  showOnAir(snapshot: SessionSnapshot | null): void {
    this.#onAir.hidden = snapshot === null;
    if (!snapshot) return;
    this.#onAir.classList.toggle("is-paused", snapshot.phase === "paused");
    this.#onAir.classList.toggle("is-sending", snapshot.phase === "sending");
    setText(this.#onAirWord, ON_AIR_WORDS[snapshot.phase]);
    setText(this.#elapsed, formatDuration(snapshot.elapsedMs));
  }
}

async function show(video: HTMLVideoElement, stream: MediaStream | null): Promise<void> {
  video.srcObject = stream;
  if (!stream) return;
  try {
    await video.play();
  } catch (error) {
    // A newer stream took this one's place before it could play.
    if (!(error instanceof DOMException) || error.name !== "AbortError") throw error;
  }
}
