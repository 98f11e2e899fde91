import type { RecorderStall, StorageChange } from "../recorder/recorder.d.ts";
import { formatSpan } from "./format-duration.ts";

/**
 * What a person should know of where recorded chunks wait while the server is away; null while there
 * is nothing to say.
 */
export function describeStorage({ state, reason }: StorageChange): string | null {
  const why = reason === null ? "" : ` ${reason}`;
  switch (state) {
    case "ok":
      return null;
    case "low":
      return `The space that this browser has for what is not sent yet is getting short.${why} Check the connection to the server, or free space on this computer.`;
    case "critical":
      return `The space that this browser has for what is not sent yet is nearly used up.${why} The picture is recorded with less detail from now on. Check the connection to the server, or free space on this computer.`;
    case "memory":
      return `What is not sent yet is kept in this page's memory only.${why} It would be lost with the page: keep it open until everything is saved.`;
  }
}

/** What a person should know of a recorder that gave nothing; null when there is nothing to say. */
export function describeStall(
  trackId: string,
  { action, silentMs, silent }: Pick<RecorderStall, "action" | "silentMs" | "silent">,
): string | null {
  const span = formatSpan(silentMs);
  switch (action) {
    // Most of the time that alone helps.
    case "asked":
    case "returned":
      return null;
    case "leaving-out":
      return describeLeftOut(trackId, silent.includes("audio"));
    case "restarting":
      return `The browser gave nothing of the ${trackId} for ${span}, so its recorder was started anew. Up to ${span} of it may be missing.`;
    case "waiting":
      return `Nothing has come from the ${trackId} for ${span}: it is muted by the browser or the system. It is recorded again as soon as something comes.`;
  }
}

function describeLeftOut(trackId: string, isSound: boolean): string {
  const words = isSound
    ? `No sound comes from the ${trackId}: its picture is recorded alone until there is sound again.`
    : `No picture comes from the ${trackId}: its sound is recorded alone until there is a picture again.`;
  // What a screen gives comes from no device that can be checked.
  if (trackId === "screen") return words;
  return `${words} ${isSound ? "Check the microphone or headset." : "Check the camera."}`;
}
