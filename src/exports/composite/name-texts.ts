import { join } from "node:path";
import type { FfmpegBinary } from "../../process/ffmpeg-binary.ts";
import { runSubprocess } from "../../process/subprocess.ts";
import type { LayoutPlan } from "./layout-plan.ts";
import { type NameInFont, nameInFont } from "./name-font.ts";
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

/** Chooses the font of each name that a plan shows. */
export async function fontsOfNames(
  plan: LayoutPlan,
  font: NamesFont,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, NameInFont>> {
  const names = new Map<string, NameInFont>();
  for (const name of namesOf(plan)) names.set(name, await nameInFont(name, font, signal));
  return names;
}

/** Writes names, as they are drawn, into files of `directory`, one each. */
export async function writeNames(
  names: ReadonlyMap<string, NameInFont>,
  directory: string,
): Promise<NameTexts> {
  const paths = new Map<string, string>();
  for (const [name, { drawn }] of names) {
    const path = join(directory, `name-${paths.size}.txt`);
    await Bun.write(path, drawn.text);
    paths.set(name, path);
  }
  return {
    fontPath: (name) => names.get(name)?.fontPath ?? "",
    textPath: (name) => paths.get(name) ?? "",
  };
}

/** All names that a plan shows, each once. */
function namesOf({ scenes }: LayoutPlan): readonly string[] {
  return [...new Set(scenes.flatMap(({ tiles }) => tiles.map(({ name }) => name)))];
}
