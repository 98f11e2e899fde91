import type { TrackMedia } from "../../src/contract/recordings.ts";

/**
 * What iPhones and QuickTime play in an MP4 (Apple, "HTTP Live Streaming authoring specification" and
 * AVFoundation). Opus, VP9 and AV1 depend on the device and its version.
 */
const PLAYED_VIDEO: ReadonlySet<string> = new Set(["h264", "hevc"]);
const PLAYED_SOUND: ReadonlySet<string> = new Set(["aac", "mp3"]);

const NAMES: Readonly<Record<string, string>> = { opus: "Opus", flac: "FLAC" };

/** What of an MP4 iPhones and QuickTime may not play, in a sentence; null when they play all of it. */
export function describeCompatibility(
  media: Pick<TrackMedia, "videoCodec" | "audioCodec">,
): string | null {
  const { videoCodec, audioCodec } = media;
  const unplayed: string[] = [];
  if (videoCodec !== null && !PLAYED_VIDEO.has(videoCodec)) unplayed.push(nameOf(videoCodec));
  if (audioCodec !== null && !PLAYED_SOUND.has(audioCodec)) unplayed.push(nameOf(audioCodec));
  if (unplayed.length === 0) return null;
  return `iPhone and QuickTime may not play this MP4, since it has ${unplayed.join(" and ")}.`;
}

function nameOf(codec: string): string {
  return NAMES[codec] ?? codec.toUpperCase();
}
