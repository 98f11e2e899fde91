/** A screen that is shared, until the person or the browser ends it. */
export class ScreenShare {
  readonly #devices: MediaDevices;
  readonly #ended: () => void;
  #stream: MediaStream | null = null;

  /** @param ended - is called when the person ends it with the browser's own button. */
  constructor(devices: MediaDevices, ended: () => void) {
    this.#devices = devices;
    this.#ended = ended;
  }

  /** The shared screen; null when none is. */
  get stream(): MediaStream | null {
    return this.#stream;
  }

  /** Asks which screen to share. Rejects with the browser's own `DOMException`. */
  async start(): Promise<MediaStream> {
    const stream = await this.#devices.getDisplayMedia({
      video: { frameRate: { ideal: 30 } },
      audio: true,
    });
    this.#stream = stream;
    stream.getVideoTracks()[0]?.addEventListener("ended", () => {
      this.stop();
      this.#ended();
    });
    return stream;
  }

  /** Stops sharing; the callback is not called. */
  stop(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }
}
