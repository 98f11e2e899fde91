import { type Mp4Track, settleMp4Index } from "../finalize/mp4-index.ts";
import { ExportMismatchError } from "./export-errors.ts";

/** A file of an export may be this much longer or shorter than the recording. */
export const DURATION_DIFFERENCE_MS_MAX = 40;

/** What an MP4 of an export must hold. */
export interface ExpectedMp4 {
  readonly name: string;
  readonly path: string;
  readonly durationMs: number;
  /** Packets of each stream; `some` where they cannot be known beforehand, null for no such stream. */
  readonly videoPackets: number | "some" | null;
  readonly audioPackets: number | "some" | null;
  /** Which streams must reach from the recording's zero to its end. */
  readonly padded: "none" | "all";
}

/**
 * Checks an MP4 that was just made by its index, which is read again from the disk.
 *
 * @throws ExportMismatchError, file system errors
 */
export async function checkExportedMp4(expected: ExpectedMp4): Promise<void> {
  const index = await settleMp4Index(expected.path);
  if (index === undefined) throw new ExportMismatchError(expected.name, ["it has no whole index"]);
  const findings: string[] = [];
  if (!index.isBeforeMedia) findings.push("its index stands behind the media");
  if (!index.samplesAreInMedia) findings.push("its index points outside the media");
  const video = index.tracks.find(({ kind }) => kind === "video");
  const audio = index.tracks.find(({ kind }) => kind === "audio");
  findings.push(
    ...checkPackets("picture", expected.videoPackets, video),
    ...checkPackets("sound", expected.audioPackets, audio),
  );
  const endsMs = index.tracks.flatMap(({ endMs, playedEndMs }) =>
    endMs === undefined ? [] : Math.min(endMs, playedEndMs ?? endMs),
  );
  const endMs = Math.max(0, ...endsMs);
  const isPadded = expected.padded === "all";
  for (const at of isPadded ? endsMs : [endMs]) {
    if (Math.abs(at - expected.durationMs) <= DURATION_DIFFERENCE_MS_MAX) continue;
    findings.push(`it ends at ${Math.round(at)} ms, not at ${Math.round(expected.durationMs)} ms`);
  }
  if (isPadded) {
    for (const firstMs of index.tracks.flatMap((track) => track.firstMs ?? [])) {
      if (firstMs <= DURATION_DIFFERENCE_MS_MAX) continue;
      findings.push(`it begins at ${Math.round(firstMs)} ms, not at 0 ms`);
    }
  }
  if (findings.length > 0) throw new ExportMismatchError(expected.name, findings);
}

function checkPackets(
  name: string,
  expected: number | "some" | null,
  track: Mp4Track | undefined,
): string[] {
  if (expected === null) return track === undefined ? [] : [`it has a ${name} that it should not`];
  const samples = track?.samples ?? 0;
  if (samples === 0) return [`it has no ${name}`];
  return expected === "some" || expected === samples
    ? []
    : [`its ${name} has ${samples} packets, not ${expected}`];
}
