import { testUnless } from "../faults/support/system-tools.ts";

/** What the sources are encoded by; a build of ffmpeg may lack any of them. */
const ENCODERS = [
  "libx264",
  "libx265",
  "libvpx",
  "libvpx-vp9",
  "libaom-av1",
  "libsvtav1",
  "librav1e",
  "libopus",
  "libvorbis",
  "libmp3lame",
] as const;

/** Why no sources can be made here; undefined when they can. */
function sourceObstacle(): string | undefined {
  if (Bun.which("ffmpeg") === null) return "the matrix makes its sources by an ffmpeg on PATH";
  if (Bun.which("ffprobe") === null) return "the matrix judges by an ffprobe on PATH";
  const listed = Bun.spawnSync(["ffmpeg", "-hide_banner", "-encoders"]).stdout.toString();
  const names = new Set(listed.split("\n").map((line) => line.trim().split(/\s+/)[1]));
  const missing = ENCODERS.filter((encoder) => !names.has(encoder));
  return missing.length === 0 ? undefined : `the ffmpeg on PATH lacks ${missing.join(", ")}`;
}

const OBSTACLE = sourceObstacle();

/** Whether sources can be made here. */
export const CAN_MAKE_SOURCES = OBSTACLE === undefined;

/** `test` where sources can be made; elsewhere it skips, and says why on stderr. */
export const testWithSources = testUnless(OBSTACLE);
