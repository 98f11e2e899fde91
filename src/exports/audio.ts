import { join } from "node:path";
import type { AudioRequest } from "../contract/exports.ts";
import type { ParticipantId } from "../contract/ids.ts";
import { SAMPLE_RATE, mixFilters, soundFilters } from "./encode-filters.ts";
import { AAC_ARGUMENTS, mp4Arguments, runEncode } from "./encode-run.ts";
import { DURATION_DIFFERENCE_MS_MAX, checkExportedMp4 } from "./export-check.ts";
import { ExportMismatchError } from "./export-errors.ts";
import { ExportFileNames } from "./export-file-names.ts";
import type { ExportContext, ExportTrack, MadeFile, MakeExport } from "./export-maker.ts";
import { type SoundFacts, soundFacts } from "./track-facts.ts";
import { stretchesOf } from "./track-place.ts";

/** A track that has sound. */
interface SoundTrack {
  readonly track: ExportTrack;
  readonly facts: SoundFacts;
}

/** 16 bits: what was recorded is lossy, and its own noise is far above the last of them. */
const LOSSLESS = {
  flac: { mediaType: "audio/flac", args: ["-c:a", "flac", "-sample_fmt", "s16", "-f", "flac"] },
  // Beyond 4 GiB, six hours of stereo, as RF64 (EBU Tech 3306).
  wav: { mediaType: "audio/wav", args: ["-c:a", "pcm_s16le", "-rf64", "auto", "-f", "wav"] },
} as const;

const BYTES_PER_SAMPLE = 2;
/** At least; what else ffmpeg writes into it is far less than the tolerance. */
const WAV_HEADER_BYTES = 44;
/** `fLaC`, the header of its first block, and what of that tells the number of samples. */
const FLAC_HEADER_BYTES = 26;

/** Makes one file with the sound of all tracks of each participant, without loss and as M4A. */
export const makeAudio: MakeExport<AudioRequest> = async ({ lossless }, context) => {
  const participants = await soundByParticipant(context.tracks);
  const names = new ExportFileNames();
  const made: MadeFile[] = [];
  for (const [i, [participantId, tracks]] of participants.entries()) {
    made.push(
      ...(await encodeSound(tracks, {
        participantId,
        lossless,
        names: {
          lossless: names.add([participantId], lossless),
          m4a: names.add([participantId], "m4a"),
        },
        onShare: (share) => context.onProgress((i + share) / participants.length),
        context,
      })),
    );
  }
  return made;
};

async function soundByParticipant(
  tracks: readonly ExportTrack[],
): Promise<[ParticipantId, SoundTrack[]][]> {
  const found = new Map<ParticipantId, SoundTrack[]>();
  for (const track of tracks) {
    const facts = await soundFacts(track);
    if (facts === undefined) continue;
    const ofSame = found.get(track.participantId) ?? [];
    found.set(track.participantId, [...ofSame, { track, facts }]);
  }
  return [...found];
}

async function encodeSound(
  tracks: readonly SoundTrack[],
  wanted: {
    readonly participantId: ParticipantId;
    readonly lossless: AudioRequest["lossless"];
    readonly names: { readonly lossless: string; readonly m4a: string };
    readonly onShare: (share: number) => void;
    readonly context: ExportContext;
  },
): Promise<MadeFile[]> {
  const { participantId, names, onShare, context } = wanted;
  const { durationMs, workDirectory } = context;
  const { mediaType, args } = LOSSLESS[wanted.lossless];
  const paths = {
    lossless: join(workDirectory, names.lossless),
    m4a: join(workDirectory, names.m4a),
  };
  const isStereo = tracks.some(({ facts }) => facts.channels !== 1);
  const labels = tracks.map((_, input) => `sound${input}`);
  await runEncode({
    inputs: tracks.map(({ track }) => track.path),
    filters: [
      ...tracks.flatMap(({ track, facts }, input) =>
        soundFilters({
          input,
          stretches: stretchesOf(track),
          facts,
          isStereo,
          durationMs,
          label: `sound${input}`,
        }),
      ),
      ...mixFilters(labels, "mixed"),
      "[mixed]asplit[lossless][lossy]",
    ],
    outputs: [
      ["-map", "[lossless]", ...args, `file:${paths.lossless}`],
      ["-map", "[lossy]", ...AAC_ARGUMENTS, ...mp4Arguments("ipod", paths.m4a)],
    ],
    context,
    onShare,
  });
  await checkLossless(
    { name: names.lossless, path: paths.lossless, kind: wanted.lossless },
    durationMs,
    isStereo ? 2 : 1,
  );
  await checkExportedMp4({
    name: names.m4a,
    path: paths.m4a,
    durationMs,
    videoPackets: null,
    audioPackets: "some",
    padded: "all",
  });
  const common = { participantId, trackId: null, durationMs };
  return [
    { ...common, path: paths.lossless, name: names.lossless, mediaType },
    { ...common, path: paths.m4a, name: names.m4a, mediaType: "audio/mp4" },
  ];
}

/** By its header (FLAC: RFC 9639, 8.2) or its size, which the header of a short WAV follows from. */
async function checkLossless(
  { name, path, kind }: { name: string; path: string; kind: AudioRequest["lossless"] },
  durationMs: number,
  channels: number,
): Promise<void> {
  const file = Bun.file(path);
  let samples = (file.size - WAV_HEADER_BYTES) / (channels * BYTES_PER_SAMPLE);
  if (kind === "flac") {
    const header = Buffer.from(await file.slice(0, FLAC_HEADER_BYTES).arrayBuffer());
    const isWhole =
      header.length === FLAC_HEADER_BYTES && header.toString("latin1", 0, 4) === "fLaC";
    // A number of 36 bits, whose highest four share a byte with the bits per sample.
    samples = isWhole ? (header.readUInt8(21) & 0x0f) * 2 ** 32 + header.readUInt32BE(22) : 0;
  }
  const foundMs = (samples / SAMPLE_RATE) * 1_000;
  if (Math.abs(foundMs - durationMs) <= DURATION_DIFFERENCE_MS_MAX) return;
  throw new ExportMismatchError(name, [
    `it is ${Math.round(foundMs)} ms long, not ${Math.round(durationMs)} ms`,
  ]);
}
