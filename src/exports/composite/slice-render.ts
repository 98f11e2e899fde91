import { join } from "node:path";
import type { ExportContext } from "../export-maker.ts";
import { runPass } from "../../finalize/ffmpeg-run.ts";
import { type Canvas, type LayoutPlan, type Scene, slicesOf } from "./layout-plan.ts";
import { type NameTexts, sceneArguments } from "./scene-graph.ts";

/** A made part of the composite's pictures, without sound. */
export interface RenderedSlice {
  /** Plain letters and digits, in the work directory. */
  readonly fileName: string;
  readonly frames: number;
}

/**
 * Scenes are made in slices of at most this length, side by side: one ffmpeg alone cannot keep two
 * cores busy, since its filters are one thread. Longer slices save few keyframes; shorter ones decode
 * more pictures in vain, those from the keyframe before a slice to its begin.
 */
const SLICE_SECONDS_MAX = 30;
const SLICES_AT_ONCE = 2;

const MEBIBYTE = 1024 * 1024;
/** An encoded picture is never nearly as large as this share of it. */
const BYTES_PER_PIXEL_MAX = 0.5;

/**
 * Makes the pictures of all scenes, as files in the work directory. When it settles no ffmpeg runs any
 * more.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, the signal's reason
 */
export async function renderSlices(
  { scenes }: LayoutPlan,
  canvas: Canvas,
  names: NameTexts | undefined,
  context: ExportContext,
): Promise<readonly RenderedSlice[]> {
  const slices = scenes.flatMap((scene) =>
    slicesOf(scene, SLICE_SECONDS_MAX * canvas.frameRate, canvas),
  );
  const total = slices.reduce((sum, { frames }) => sum + frames, 0);
  const doneMs = slices.map(() => 0);
  const rendered = slices.map(({ frames }, i): RenderedSlice => ({
    fileName: `slice-${i}.mp4`,
    frames,
  }));
  const failed = new AbortController();
  const signal = AbortSignal.any([context.signal, failed.signal]);
  const render = async (slice: Scene, i: number): Promise<void> => {
    const outputPath = join(context.workDirectory, rendered[i]?.fileName ?? "");
    await runPass(
      {
        args: sceneArguments(slice, canvas, names, outputPath),
        mediaMs: (slice.frames * 1_000) / canvas.frameRate,
        outputBytesMax:
          MEBIBYTE + canvas.width * canvas.height * slice.frames * BYTES_PER_PIXEL_MAX,
        onMediaMs: (mediaMs) => {
          doneMs[i] = mediaMs;
          const sumMs = doneMs.reduce((sum, ms) => sum + ms, 0);
          context.onProgress(Math.min(1, (sumMs * canvas.frameRate) / 1_000 / total));
        },
      },
      { ...context, signal },
    );
  };
  const waiting = slices.entries();
  const worker = async (): Promise<void> => {
    // All workers share the one iterator.
    for (const [i, slice] of waiting) {
      try {
        await render(slice, i);
      } catch (error) {
        // The first failure ends the others, too; it alone is told.
        failed.abort(error);
        throw error;
      }
    }
  };
  await Promise.allSettled(Array.from({ length: SLICES_AT_ONCE }, worker));
  signal.throwIfAborted();
  return rendered;
}
