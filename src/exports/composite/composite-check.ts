import type { Mp4Index } from "../../finalize/mp4-index.ts";
import { type Canvas, framesOf } from "./layout-plan.ts";

/** How far the length may differ from the recording's: a picture at 25 a second. */
const DURATION_DIFFERENCE_MS_MAX = 40;

/** Of the last picture's time; stored times are multiples of a picture's length. */
const RATE_DIFFERENCE_MS_MAX = 1;

/** AAC's frames are whole: the last can end later than the sound by less than this, at 48 kHz. */
const AAC_FRAME_MS = 1_024 / 48;

/**
 * Compares a composite with what was asked for. Gives a sentence's part for each thing that does not
 * fit; none means that it can be given out. Pure.
 */
export function checkComposite(
  index: Mp4Index | undefined,
  canvas: Canvas,
  durationMs: number,
): string[] {
  if (index === undefined) return ["it has no whole index"];
  const findings: string[] = [];
  if (!index.isBeforeMedia) findings.push("its index stands behind the media");
  if (!index.samplesAreInMedia) findings.push("its index points outside the media");
  const kinds = index.tracks.map(({ kind }) => kind).toSorted();
  const video = index.tracks.find(({ kind }) => kind === "video");
  const audio = index.tracks.find(({ kind }) => kind === "audio");
  if (video === undefined || audio === undefined || kinds.length !== 2) {
    return [...findings, `it has the streams ${kinds.join(", ")}`];
  }
  if (video.format !== "avc1") findings.push(`its picture is ${video.format}`);
  if (audio.format !== "mp4a") findings.push(`its sound is ${audio.format}`);
  if (video.width !== canvas.width || video.height !== canvas.height) {
    findings.push(`it is ${video.width}x${video.height}`);
  }
  const frames = framesOf(durationMs, canvas);
  if (video.samples !== frames) findings.push(`it has ${video.samples} pictures of ${frames}`);
  const lastMs = ((frames - 1) * 1_000) / canvas.frameRate;
  if (video.firstMs !== 0 || isApart(video.lastMs, lastMs, RATE_DIFFERENCE_MS_MAX)) {
    findings.push(`its pictures stand from ${video.firstMs} ms to ${video.lastMs} ms`);
  }
  if (isApart(video.endMs, durationMs, DURATION_DIFFERENCE_MS_MAX)) {
    findings.push(`its picture ends at ${video.endMs} ms`);
  }
  if (isApart(audio.endMs, durationMs, DURATION_DIFFERENCE_MS_MAX + AAC_FRAME_MS)) {
    findings.push(`its sound ends at ${audio.endMs} ms`);
  }
  return findings;
}

function isApart(ms: number | undefined, expectedMs: number, differenceMsMax: number): boolean {
  return ms === undefined || Math.abs(ms - expectedMs) > differenceMsMax;
}
