import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FfmpegBinary } from "../../process/ffmpeg-binary.ts";
import { runSubprocess } from "../../process/subprocess.ts";
import type { LayoutPlan } from "./layout-plan.ts";
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

/** Writes the names that a plan shows into files of `directory`, one each. */
export async function writeNames(plan: LayoutPlan, directory: string): Promise<NameTexts> {
  const paths = new Map<string, string>();
  for (const { tiles } of plan.scenes) {
    for (const { name } of tiles) {
      if (paths.has(name)) continue;
      const path = join(directory, `name-${paths.size}.txt`);
      await Bun.write(path, name);
      paths.set(name, path);
    }
  }
  return {
    // Of a package: names look alike on every machine, also on one without fonts.
    fontPath: fileURLToPath(import.meta.resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf")),
    textPath: (name) => paths.get(name) ?? "",
  };
}
