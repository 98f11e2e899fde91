import { join } from "node:path";
import type { FfmpegBinary } from "../../process/ffmpeg-binary.ts";
import { runSubprocess } from "../../process/subprocess.ts";
import { drawnName } from "./drawn-name.ts";
import type { LayoutPlan } from "./layout-plan.ts";
import type { NamesFont } from "./names-font.ts";
import type { NameTexts } from "./scene-graph.ts";

const PROBE_MS_MAX = 20_000;

/** Whether this build of ffmpeg can draw text: those without FreeType cannot. */
export async function drawsText(ffmpeg: FfmpegBinary, signal: AbortSignal): Promise<boolean> {
  let isThere = false;
  await runSubprocess({
    argv: [ffmpeg.path, "-hide_banner", "-filters"],
    onStdoutLine: (line) => {
      isThere ||= /^\s*\S+\s+drawtext\s/.test(line);
    },
    signal,
    timeLimitMs: PROBE_MS_MAX,
  });
  return isThere;
}

/** Writes the names that a plan shows, as they are drawn, into files of `directory`, one each. */
export async function writeNames(
  plan: LayoutPlan,
  font: NamesFont,
  directory: string,
): Promise<NameTexts> {
  const paths = new Map<string, string>();
  for (const name of namesOf(plan)) {
    const path = join(directory, `name-${paths.size}.txt`);
    await Bun.write(path, drawnName(name, font.has).text);
    paths.set(name, path);
  }
  return {
    fontPath: font.path,
    textPath: (name) => paths.get(name) ?? "",
  };
}

/** All names that a plan shows, each once. */
export function namesOf({ scenes }: LayoutPlan): readonly string[] {
  return [...new Set(scenes.flatMap(({ tiles }) => tiles.map(({ name }) => name)))];
}
