import { RecorderError } from "../recorder-error.ts";
import { candidateMimeTypes, chooseMimeType } from "./codec-choice.ts";

/** What a MediaRecorder shall do. */
export interface MediaSettings {
  readonly videoBitsPerSecond: number;
  readonly audioBitsPerSecond: number;
  /** Best first; undefined leaves the choice to this library. */
  readonly mimeTypes: readonly string[] | undefined;
}

/**
 * Makes a MediaRecorder for the first type that this browser records.
 *
 * @throws {RecorderError} `not-supported` when it records none, or not this stream
 */
export function newMediaRecorder(stream: MediaStream, settings: MediaSettings): MediaRecorder {
  if (typeof MediaRecorder === "undefined") {
    throw new RecorderError("not-supported", "This browser has no MediaRecorder.");
  }
  const kinds = {
    hasVideo: stream.getVideoTracks().length > 0,
    hasAudio: stream.getAudioTracks().length > 0,
  };
  const candidates = settings.mimeTypes ?? candidateMimeTypes(kinds);
  const mimeType = chooseMimeType(candidates, (type) => MediaRecorder.isTypeSupported(type));
  if (mimeType === undefined) {
    const message = `This browser records none of ${candidates.join(", ")}.`;
    throw new RecorderError("not-supported", message);
  }
  const { videoBitsPerSecond, audioBitsPerSecond } = settings;
  try {
    return new MediaRecorder(stream, { mimeType, videoBitsPerSecond, audioBitsPerSecond });
  } catch (cause) {
    throw new RecorderError("not-supported", "This browser cannot record this stream.", { cause });
  }
}
