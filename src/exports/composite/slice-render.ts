import { join } from "node:path";
import type { ExportContext } from "../export-maker.ts";
import { runPass } from "../../finalize/ffmpeg-run.ts";
import { type Canvas, type LayoutPlan, type Scene, slicesOf } from "./layout-plan.ts";
import type { Pass } from "./pass-pool.ts";
import { type NameTexts, sceneArguments } from "./scene-graph.ts";

/** A part of the composite's pictures, without sound. */
export interface Slice {
  readonly scene: Scene;
  /** Plain letters and digits, in the work directory. */
  readonly fileName: string;
}

/**
 * Scenes are made in slices of at most this length, side by side: one ffmpeg alone cannot keep two
 * cores busy, since its filters are one thread. Longer slices save few keyframes; shorter ones decode
 * more pictures in vain, those from the keyframe before a slice to its begin.
 */
const SLICE_SECONDS_MAX = 30;

const MEBIBYTE = 1024 * 1024;
/** An encoded picture is never nearly as large as this share of it. */
const BYTES_PER_PIXEL_MAX = 0.5;

/** The pictures of all scenes, in order of time. Pure. */
export function sliceScenes({ scenes }: LayoutPlan, canvas: Canvas): readonly Slice[] {
  return scenes
    .flatMap((scene) => slicesOf(scene, SLICE_SECONDS_MAX * canvas.frameRate, canvas))
    .map((scene, i) => ({ scene, fileName: `slice-${i}.mp4` }));
}

/** What making slices needs beside them. */
export interface SliceContext {
  readonly canvas: Canvas;
  /** Undefined where none can be drawn. */
  readonly names: NameTexts | undefined;
  readonly context: ExportContext;
  /** Share of all slices that is done, 0 to 1. */
  readonly onProgress: (share: number) => void;
}

/** A run of ffmpeg for each slice; see `runPass` for how it fails. */
export function slicePasses(
  slices: readonly Slice[],
  { canvas, names, context, onProgress }: SliceContext,
): readonly Pass[] {
  const totalFrames = slices.reduce((sum, { scene }) => sum + scene.frames, 0);
  const doneMs = slices.map(() => 0);
  return slices.map(({ scene, fileName }, i): Pass => async (signal) => {
    await runPass(
      {
        args: sceneArguments(scene, canvas, names, join(context.workDirectory, fileName)),
        mediaMs: (scene.frames * 1_000) / canvas.frameRate,
        outputBytesMax:
          MEBIBYTE + canvas.width * canvas.height * scene.frames * BYTES_PER_PIXEL_MAX,
        onMediaMs: (mediaMs) => {
          doneMs[i] = mediaMs;
          const sumMs = doneMs.reduce((sum, ms) => sum + ms, 0);
          onProgress(Math.min(1, (sumMs * canvas.frameRate) / 1_000 / totalFrames));
        },
      },
      { ...context, signal },
    );
  });
}
