import type { Mark } from "../../../src/contract/marks.ts";

/** As the mark of a segment's begin tells it. */
export type Pictures = Extract<Mark, { type: "began" }>["pictures"];

/**
 * Whether a stream gives pictures all the time, as a camera does, or only when something changes, as
 * a shared screen or a canvas does; null without pictures. A recorder takes the first track.
 */
export function picturesOf(stream: MediaStream): Pictures {
  const [track] = stream.getVideoTracks();
  if (track === undefined) return null;
  const isCanvas =
    typeof CanvasCaptureMediaStreamTrack !== "undefined" &&
    track instanceof CanvasCaptureMediaStreamTrack;
  const isScreen = track.getSettings().displaySurface !== undefined;
  return isCanvas || isScreen ? "on-change" : "continuous";
}
