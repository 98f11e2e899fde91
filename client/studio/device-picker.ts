import {
  deviceOptions,
  keptChoice,
  mediaConstraints,
  NO_DEVICE,
  type MediaChoice,
} from "./media-choice.ts";
import type { WantedMedia } from "./describe-media-problem.ts";
import { element } from "./element.ts";

/** Nothing is chosen: neither a camera nor a microphone. */
export class NothingChosenError extends Error {
  override readonly name = "NothingChosenError";
}

/** What the picker tells; the picker holds on to no owner. */
export interface DevicePickerEvents {
  /** The person chose something else, or the chosen device came or went. */
  readonly choiceChanged: () => void;
}

/** The lists of cameras and microphones, and the stream of what is chosen in them. */
export class DevicePicker {
  readonly #devices: MediaDevices;
  readonly #camera: HTMLSelectElement;
  readonly #microphone: HTMLSelectElement;
  readonly #events: DevicePickerEvents;
  #stream: MediaStream | null = null;

  constructor(
    devices: MediaDevices,
    lists: { camera: HTMLSelectElement; microphone: HTMLSelectElement },
    events: DevicePickerEvents,
  ) {
    this.#devices = devices;
    this.#camera = lists.camera;
    this.#microphone = lists.microphone;
    this.#events = events;
  }

  /** Fills the lists and keeps them true while devices come and go. */
  async start(): Promise<void> {
    this.#camera.addEventListener("change", this.#events.choiceChanged);
    this.#microphone.addEventListener("change", this.#events.choiceChanged);
    this.#devices.addEventListener("devicechange", () => void this.#refreshAndTell());
    await this.refresh();
  }

  /** Lists the devices anew: after permission they have names. */
  async refresh(): Promise<void> {
    const devices = await this.#devices.enumerateDevices();
    const opened = this.#stream;
    const openedIds = {
      videoinput: opened?.getVideoTracks()[0]?.getSettings().deviceId,
      audioinput: opened?.getAudioTracks()[0]?.getSettings().deviceId,
    };
    for (const [list, kind] of [
      [this.#camera, "videoinput"],
      [this.#microphone, "audioinput"],
    ] as const) {
      const options = deviceOptions(devices, kind);
      const before = list.value === "" ? (openedIds[kind] ?? null) : list.value;
      list.replaceChildren(
        ...options.map(({ value, label }) =>
          element("option", { text: label, attributes: { value } }),
        ),
      );
      list.value = keptChoice(options, before);
    }
  }

  get choice(): MediaChoice {
    return { camera: this.#camera.value, microphone: this.#microphone.value };
  }

  /** What is asked of the browser with this choice, for the sentence about a refusal. */
  get wanted(): WantedMedia {
    const { camera, microphone } = this.choice;
    if (microphone === NO_DEVICE) return "camera";
    return camera === NO_DEVICE ? "microphone" : "camera-and-microphone";
  }

  /** Whether neither a camera nor a microphone is chosen. */
  get choosesNothing(): boolean {
    return mediaConstraints(this.choice) === null;
  }

  /** The open stream; null when nothing is open. */
  get stream(): MediaStream | null {
    return this.#stream;
  }

  /**
   * Opens what is chosen and lets go of what was open. Rejects with the browser's own
   * `DOMException`, or with {@link NothingChosenError}.
   */
  async open(): Promise<MediaStream> {
    const constraints = mediaConstraints(this.choice);
    // Many cameras can be opened only once: let go before asking again.
    this.release();
    if (!constraints) throw new NothingChosenError("Neither a camera nor a microphone is chosen.");
    const stream = await this.#devices.getUserMedia(constraints);
    this.#stream = stream;
    await this.refresh();
    return stream;
  }

  /** Turns the devices off. */
  release(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }

  /** While a recording runs its devices stay. */
  set locked(locked: boolean) {
    this.#camera.disabled = locked;
    this.#microphone.disabled = locked;
  }

  async #refreshAndTell(): Promise<void> {
    const before = this.choice;
    await this.refresh();
    const after = this.choice;
    if (before.camera !== after.camera || before.microphone !== after.microphone) {
      this.#events.choiceChanged();
    }
  }
}
