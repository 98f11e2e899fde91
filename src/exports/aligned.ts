import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { AlignedRequest } from "../contract/exports.ts";
import { type AlignedCopy, copyAligned } from "./aligned-copy.ts";
import { makeCompatible } from "./compatible.ts";
import { soundFilters } from "./encode-filters.ts";
import { AAC_ARGUMENTS, mp4Arguments, runEncode } from "./encode-run.ts";
import { checkExportedMp4 } from "./export-check.ts";
import { ExportFileNames } from "./export-file-names.ts";
import type { ExportContext, ExportTrack, MadeFile, MakeExport } from "./export-maker.ts";
import { soundFacts } from "./track-facts.ts";
import { isSteady, placedMs, stretchesOf } from "./track-place.ts";

/** Of pictures that are encoded anew, black ones among them; editors want a constant rate. */
const PADDED_FRAME_RATE = 30;

/** Makes each track begin at the recording's zero and have its length. */
export const makeAligned: MakeExport<AlignedRequest> = async ({ padding }, context) => {
  if (padding === "media") return makeCompatible({ frameRate: PADDED_FRAME_RATE }, context);
  const names = new ExportFileNames();
  const made: MadeFile[] = [];
  for (const [i, track] of context.tracks.entries()) {
    const name = names.add([track.participantId, track.trackId], "mp4");
    const onShare = (share: number): void =>
      context.onProgress((i + share) / context.tracks.length);
    made.push(await makeCopy(track, name, onShare, context));
  }
  return made;
};

async function makeCopy(
  track: ExportTrack,
  name: string,
  onShare: (share: number) => void,
  context: ExportContext,
): Promise<MadeFile> {
  const { durationMs, workDirectory, signal } = context;
  const { participantId, trackId, media } = track;
  const stretches = stretchesOf(track);
  const path = join(workDirectory, name);
  const placed = { path: track.path, placeMs: (mediaMs: number) => placedMs(stretches, mediaMs) };
  // Pictures can be moved apart, samples cannot.
  const evened = isSteady(stretches)
    ? undefined
    : await evenSound(track, `${path}.sound.mp4`, onShare, context);
  const counts = await copyAligned({
    pictures: media.videoCodec === null ? null : placed,
    sound: media.audioCodec === null ? null : (evened ?? placed),
    outputPath: path,
    durationMs,
    onProgress: onShare,
    signal,
  });
  if (evened !== undefined) await rm(evened.path);
  await checkExportedMp4({
    name,
    path,
    durationMs,
    videoPackets: media.videoCodec === null ? null : counts.videoPackets,
    audioPackets: media.audioCodec === null ? null : counts.audioPackets,
    padded: "none",
  });
  return { path, name, mediaType: "video/mp4", participantId, trackId, durationMs };
}

/** The sound of a device whose clock ran fast or slow, anew and in its place from zero on. */
async function evenSound(
  track: ExportTrack,
  path: string,
  onShare: (share: number) => void,
  context: ExportContext,
): Promise<NonNullable<AlignedCopy["sound"]> | undefined> {
  const facts = await soundFacts(track);
  if (facts === undefined) return undefined;
  const { durationMs } = context;
  const isStereo = facts.channels !== 1;
  const stretches = stretchesOf(track);
  await runEncode({
    inputs: [track.path],
    filters: soundFilters({ input: 0, stretches, facts, isStereo, durationMs, label: "sound" }),
    outputs: [["-map", "[sound]", ...AAC_ARGUMENTS, ...mp4Arguments("mp4", path)]],
    context,
    onShare,
  });
  return { path, placeMs: (mediaMs) => mediaMs };
}
