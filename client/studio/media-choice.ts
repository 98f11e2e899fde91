/** The value of a device list that stands for "none". */
export const NO_DEVICE = "off";

/** What the person chose: a device's ID, `""` for the browser's own choice, or {@link NO_DEVICE}. */
export interface MediaChoice {
  readonly camera: string;
  readonly microphone: string;
}

/** One line of a device list. */
export interface DeviceOption {
  readonly value: string;
  readonly label: string;
}

/** The part of `MediaDeviceInfo` that a list needs. */
export interface ListedDevice {
  readonly deviceId: string;
  readonly label: string;
  readonly kind: string;
}

const NOUNS = { videoinput: "Camera", audioinput: "Microphone" } as const;
const NONE_LABELS = {
  videoinput: "No camera (sound only)",
  audioinput: "No microphone (silent)",
} as const;

/**
 * The lines of the list of cameras or microphones, the choice "none" last. Before permission a
 * browser names no devices and tells no IDs: then there is one line that stands for its own choice.
 */
export function deviceOptions(
  devices: readonly ListedDevice[],
  kind: "videoinput" | "audioinput",
): DeviceOption[] {
  const noun = NOUNS[kind];
  const found = devices.filter((device) => device.kind === kind);
  const named = found.filter((device) => device.deviceId !== "");
  const options = named.map((device, index) => ({
    value: device.deviceId,
    label: device.label || `${noun} ${index + 1}`,
  }));
  if (options.length === 0 && found.length > 0) {
    options.push({ value: "", label: `Default ${noun.toLowerCase()}` });
  }
  const none = found.length === 0 ? `No ${noun.toLowerCase()} found` : NONE_LABELS[kind];
  return [...options, { value: NO_DEVICE, label: none }];
}

/** Which line is chosen after the list has changed: the same as before where it still exists. */
export function keptChoice(options: readonly DeviceOption[], before: string | null): string {
  const kept = options.find((option) => option.value === before);
  return kept?.value ?? options[0]?.value ?? NO_DEVICE;
}

/** The shape of `MediaStreamConstraints` that this page asks for. */
export interface ChosenConstraints {
  readonly video: false | ({ deviceId?: { exact: string } } & Record<string, unknown>);
  readonly audio: false | ({ deviceId?: { exact: string } } & Record<string, unknown>);
}

const device = (id: string) => (id === "" ? {} : { deviceId: { exact: id } });

/** What to ask of `getUserMedia`; null where neither camera nor microphone is chosen. */
export function mediaConstraints(choice: MediaChoice): ChosenConstraints | null {
  const video = choice.camera !== NO_DEVICE && {
    ...device(choice.camera),
    width: { ideal: 1280 },
    height: { ideal: 720 },
    frameRate: { ideal: 30 },
  };
  const audio = choice.microphone !== NO_DEVICE && {
    ...device(choice.microphone),
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
  };
  return video || audio ? { video, audio } : null;
}

/** The track that the chosen devices are recorded as: sound alone is no `camera`. */
export function trackIdOf(choice: MediaChoice): "camera" | "microphone" {
  return choice.camera === NO_DEVICE ? "microphone" : "camera";
}
