import { join } from "node:path";
import type { ExportContext } from "../export-maker.ts";
import { runPass } from "../../finalize/ffmpeg-run.ts";
import type { Pass } from "./pass-pool.ts";
import { mixSound } from "./sound-mix.ts";

/** The composite's sound in the work directory. */
export const SOUND_FILE_NAME = "sound.m4a";

/** AAC bits in a second: transparent for many voices at once. */
const SOUND_BITS_PER_SECOND = 160_000;

const MEBIBYTE = 1024 * 1024;

/**
 * A run of ffmpeg that mixes the sound of all tracks, for exactly `durationMs`; see `runPass` for how
 * it fails.
 */
export function soundPass(
  durationMs: number,
  context: ExportContext,
  onProgress: (share: number) => void,
): Pass {
  const { tracks, workDirectory } = context;
  return async (signal) => {
    const { inputs, graph } = mixSound(tracks, durationMs);
    const expectedBytes = (durationMs / 1_000) * (SOUND_BITS_PER_SECOND / 8);
    await runPass(
      {
        args: [
          ...inputs,
          "-filter_complex",
          graph,
          "-map",
          "[sound]",
          "-c:a",
          "aac",
          "-b:a",
          String(SOUND_BITS_PER_SECOND),
          "-map_metadata",
          "-1",
          "-f",
          "mp4",
          "-y",
          `file:${join(workDirectory, SOUND_FILE_NAME)}`,
        ],
        mediaMs: durationMs,
        outputBytesMax: MEBIBYTE + 2 * expectedBytes,
        onMediaMs: (mediaMs) => onProgress(Math.min(1, mediaMs / Math.max(1, durationMs))),
      },
      { ...context, signal },
    );
  };
}
