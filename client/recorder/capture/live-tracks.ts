import { RecorderError } from "../recorder-error.ts";

/** Whether a track has not ended. */
export function isLive({ readyState }: MediaStreamTrack): boolean {
  return readyState === "live";
}

/** Whether anything of a stream has not ended. */
export function hasLiveTrack(stream: MediaStream): boolean {
  return stream.getTracks().some(isLive);
}

/** The picture of a stream that is recorded; undefined when it has none. */
export function pictureOf(stream: MediaStream): MediaStreamTrack | undefined {
  const tracks = stream.getVideoTracks();
  return tracks.find(isLive) ?? tracks[0];
}

/**
 * Throws `RecorderError` (`not-supported`) for a stream of which nothing can be recorded, or not all:
 * a browser's recorder takes one picture track.
 */
export function expectRecordable(stream: MediaStream): void {
  if (!hasLiveTrack(stream)) {
    throw new RecorderError("not-supported", "The stream has no live track.");
  }
  const pictures = stream.getVideoTracks().filter(isLive).length;
  if (pictures > 1) {
    const message = `The stream has ${pictures} picture tracks, and browsers record one of them. Record each by a recorder of its own, with a trackId of its own, such as "camera" and "screen".`;
    throw new RecorderError("not-supported", message);
  }
}
