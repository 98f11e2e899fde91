import { join } from "node:path";
import type { CompatibleRequest } from "../contract/exports.ts";
import { pictureFilters, soundFilters } from "./encode-filters.ts";
import { setOrientation } from "../finalize/set-orientation.ts";
import { AAC_ARGUMENTS, h264Arguments, mp4Arguments, runEncode } from "./encode-run.ts";
import { checkExportedMp4 } from "./export-check.ts";
import { ExportFileNames } from "./export-file-names.ts";
import type { ExportContext, ExportTrack, MadeFile, MakeExport } from "./export-maker.ts";
import { pictureFacts, soundFacts } from "./track-facts.ts";
import { stretchesOf } from "./track-place.ts";

/** Makes each track H.264 and AAC from the recording's zero to its end, at a constant rate and size. */
export const makeCompatible: MakeExport<Pick<CompatibleRequest, "frameRate">> = async (
  { frameRate },
  context,
) => {
  const names = new ExportFileNames();
  const made: MadeFile[] = [];
  for (const [i, track] of context.tracks.entries()) {
    const name = names.add([track.participantId, track.trackId], "mp4");
    const onShare = (share: number): void =>
      context.onProgress((i + share) / context.tracks.length);
    made.push(await encodeTrack(track, { name, frameRate, onShare }, context));
  }
  return made;
};

async function encodeTrack(
  track: ExportTrack,
  wanted: {
    readonly name: string;
    readonly frameRate: number;
    readonly onShare: (share: number) => void;
  },
  context: ExportContext,
): Promise<MadeFile> {
  const { participantId, trackId, media } = track;
  const { name, frameRate, onShare } = wanted;
  const { durationMs } = context;
  const path = join(context.workDirectory, name);
  const place = { input: 0, stretches: stretchesOf(track), durationMs };
  const filters: string[] = [];
  const output: string[] = [];
  if (media.videoCodec !== null) {
    const facts = await pictureFacts(track, context);
    filters.push(...pictureFilters({ ...place, ...facts, frameRate }));
    output.push("-map", "[pictures]", ...h264Arguments(frameRate));
  }
  const facts = await soundFacts(track);
  if (facts !== undefined) {
    const isStereo = facts.channels !== 1;
    filters.push(...soundFilters({ ...place, facts, isStereo, label: "sound" }));
    output.push("-map", "[sound]", ...AAC_ARGUMENTS);
  }
  await runEncode({
    inputs: [track.path],
    filters,
    outputs: [[...output, ...mp4Arguments("mp4", path)]],
    context,
    onShare,
  });
  await setOrientation(path, {});
  await checkExportedMp4({
    name,
    path,
    durationMs,
    videoPackets: media.videoCodec === null ? null : Math.round((durationMs / 1_000) * frameRate),
    audioPackets: facts === undefined ? null : "some",
    padded: "all",
  });
  return { path, name, mediaType: "video/mp4", participantId, trackId, durationMs };
}
