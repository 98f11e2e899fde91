import {
  type FfmpegBinary,
  type FfmpegLookup,
  resolveFfmpeg,
  systemFfmpegLookup,
} from "../../src/process/ffmpeg-binary.ts";

const NOWHERE: FfmpegLookup = {
  ffmpegPath: undefined,
  packagedPath: () => undefined,
  onPath: () => undefined,
};

/**
 * Every build of ffmpeg that is here, each version once: the one on PATH, those of the npm packages, and
 * a current one that `FFMPEG_CURRENT` names, which `.ci/current-ffmpeg` fetches. Says on stderr which
 * are missing.
 */
export async function ffmpegBuilds(): Promise<FfmpegBinary[]> {
  const { packagedPath, onPath } = systemFfmpegLookup({ PATH: process.env["PATH"] });
  const current = process.env["FFMPEG_CURRENT"];
  const places = [
    { name: "PATH", path: onPath() },
    { name: "ffmpeg-static", path: packagedPath("ffmpeg-static") },
    { name: "@ffmpeg-installer/ffmpeg", path: packagedPath("@ffmpeg-installer/ffmpeg") },
    { name: "FFMPEG_CURRENT", path: current === "" ? undefined : current },
  ];
  const builds = new Map<string, FfmpegBinary>();
  for (const { name, path } of places) {
    if (path === undefined) {
      process.stderr.write(`There is no ffmpeg of ${name}\n`);
      continue;
    }
    const build = await resolveFfmpeg({ ...NOWHERE, ffmpegPath: path });
    builds.set(build.version, build);
  }
  return [...builds.values()];
}
