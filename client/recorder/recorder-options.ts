import type { RecordingSettings } from "./capture/recording-run.ts";
import { RECORDER_DEFAULTS } from "./recorder-defaults.ts";
import { RecorderError } from "./recorder-error.ts";
import type { ClientRecorderOptions, StorageThresholds } from "./recorder.d.ts";

/** How a recorder uploads. */
export interface UploadSettings {
  readonly parallelUploads: number;
  readonly memoryBytesMax: number;
  readonly lowShare: number;
  readonly criticalShare: number;
}

/** How a recorder records; throws `RecorderError` (`invalid-option`). */
export function recordingSettings(options: ClientRecorderOptions): RecordingSettings {
  return {
    timesliceMs: checkedCount(options, "timesliceMs"),
    videoBitsPerSecond: checkedCount(options, "videoBitsPerSecond"),
    audioBitsPerSecond: checkedCount(options, "audioBitsPerSecond"),
    chunkBytesMax: checkedCount(options, "chunkBytesMax"),
    mimeTypes: options.mimeTypes,
  };
}

/** How a recorder uploads; throws `RecorderError` (`invalid-option`). */
export function uploadSettings(options: ClientRecorderOptions): UploadSettings {
  const thresholds: StorageThresholds =
    options.storageThresholds ?? RECORDER_DEFAULTS.storageThresholds;
  return {
    parallelUploads: checkedCount(options, "parallelUploads"),
    memoryBytesMax: checkedCount(options, "memorySpoolBytesMax"),
    lowShare: checkedShare("storageThresholds.low", thresholds.low),
    criticalShare: checkedShare("storageThresholds.critical", thresholds.critical),
  };
}

/** A text of 1 to 128 characters; throws `RecorderError` (`invalid-option`). */
export function checkedWord(name: string, value: unknown): string {
  if (value === undefined || value === null || value === "") {
    const hint = name === "participantId" ? " Give it to the constructor or assign it." : "";
    throw new RecorderError("invalid-option", `${name} is missing.${hint}`);
  }
  const max = RECORDER_DEFAULTS.wordCodePointsMax;
  if (typeof value !== "string" || Array.from(value).length > max) {
    throw new RecorderError("invalid-option", `${name} must be a text of 1 to ${max} characters.`);
  }
  return value;
}

/**
 * Absolute and with a slash at its end, so that a path prefix of the server is kept. Throws
 * `RecorderError` (`invalid-option`).
 */
export function resolvedServerUrl(serverUrl: string | URL | undefined): string {
  const page: Location | undefined = globalThis.location;
  const text = String(serverUrl ?? "/");
  if (!URL.canParse(text, page?.href)) {
    throw new RecorderError("invalid-option", `serverUrl is no URL: ${JSON.stringify(text)}.`);
  }
  const url = new URL(text, page?.href);
  url.search = "";
  url.hash = "";
  return url.href.endsWith("/") ? url.href : `${url.href}/`;
}

type CountOption =
  | "timesliceMs"
  | "videoBitsPerSecond"
  | "audioBitsPerSecond"
  | "chunkBytesMax"
  | "parallelUploads"
  | "memorySpoolBytesMax";

function checkedCount(options: ClientRecorderOptions, name: CountOption): number {
  const value = options[name] ?? RECORDER_DEFAULTS[name];
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RecorderError(
    "invalid-option",
    `${name} must be a whole number above 0, not ${value}.`,
  );
}

function checkedShare(name: string, value: number): number {
  if (value > 0 && value <= 1) return value;
  throw new RecorderError("invalid-option", `${name} must be above 0 and at most 1, not ${value}.`);
}
