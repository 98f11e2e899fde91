import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { SCENE_SECONDS } from "../support/turned-media.ts";
import { FinalizerBed, type SentSegment, trackKey } from "./finalizer-bed.ts";

/**
 * Path of the MP4 of a track whose segments are scenes (`turnedMedia`), each recorded when the one before
 * had ended.
 */
export async function mediaOfTrack(directory: string, paths: readonly string[]): Promise<string> {
  await using bed = await FinalizerBed.open(await judgeFfmpeg());
  const startedAtMs = bed.clock.nowMs();
  const segments: SentSegment[] = [];
  for (const [i, path] of paths.entries()) {
    const atMs = startedAtMs + i * SCENE_SECONDS * 1_000;
    const marks = [{ type: "began", atMs, reason: "start", pictures: "continuous" } as const];
    const chunks = [await Bun.file(path).bytes()];
    const mimeType = path.endsWith(".mp4") ? "video/mp4" : "video/x-matroska";
    segments.push({ chunks, mimeType, capturedAtMs: [atMs], marks });
  }
  bed.clock.advance(paths.length * SCENE_SECONDS * 1_000);
  const { recordingId, state, reason } = await bed.finalize(...segments);
  if (state !== "ready") throw new Error(`The recording is ${state}: ${reason}`);
  const media = join(directory, `${crypto.randomUUID()}.mp4`);
  await copyFile(bed.layout.mediaPath(trackKey(recordingId)), media);
  return media;
}
