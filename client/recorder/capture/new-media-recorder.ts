import { RecorderError } from "../recorder-error.ts";
import { candidateMimeTypes, chooseMimeType, resizableFirst } from "./codec-choice.ts";

/**
 * Longest time from one keyframe to the next, in milliseconds: who joins a live view starts at a
 * keyframe, and after a lost chunk everything up to the next one is lost with it. Chromium's own is
 * 100 frames, five seconds of a camera in dim light. It costs a quiet camera picture 2 to 6 % (H.264,
 * VP8), and nothing where the bit rate is the limit.
 */
const KEYFRAME_INTERVAL_MS = 2_000;

/** MediaStream Recording, 2.2; not in the compiler's types. Browsers pass over what they do not know. */
interface KeyframeOptions extends MediaRecorderOptions {
  readonly videoKeyFrameIntervalDuration: number;
}

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
  const mimeType = chooseMimeType(
    candidates.flatMap((candidate) => resizableFirst(candidate, kinds)),
    (type) => MediaRecorder.isTypeSupported(type),
  );
  if (mimeType === undefined) {
    const message = `This browser records none of ${candidates.join(", ")}.`;
    throw new RecorderError("not-supported", message);
  }
  const { videoBitsPerSecond, audioBitsPerSecond } = settings;
  const options: KeyframeOptions = {
    mimeType,
    videoBitsPerSecond,
    audioBitsPerSecond,
    videoKeyFrameIntervalDuration: KEYFRAME_INTERVAL_MS,
  };
  try {
    return new MediaRecorder(stream, options);
  } catch (cause) {
    throw new RecorderError("not-supported", "This browser cannot record this stream.", { cause });
  }
}
