import type { SegmentReader } from "../recording/ports.ts";
import { MatroskaFilter } from "./matroska-filter.ts";
import type { SourceCounts } from "./media-check.ts";
import type { CountedTrack } from "./passing-blocks.ts";
import { type SourceStream, type SourceStreams, streamOfTrack } from "./source-stream.ts";

/** What the beginning of a segment tells of it. */
export interface MatroskaProbe {
  readonly streams: SourceStreams;
  /** How many packets all its streams together will have, guessed from the first chunks. */
  readonly packetsEstimate: number;
}

/** Chunks read to find the tracks and the rate of packets: a few seconds. */
const PROBED_CHUNKS = 4;

/** Most bytes read in search of the tracks. */
const PROBED_BYTES_MAX = 16 * 1024 * 1024;

/** The rate of frames rises, such as after a dark start. A guess too low costs a second run. */
const ESTIMATE_MARGIN = 1.25;
const ESTIMATE_BASE_PACKETS = 500;

/** Reads the beginning of a segment: which streams it has. */
export async function probeMatroska(reader: SegmentReader): Promise<MatroskaProbe> {
  const filter = new MatroskaFilter();
  let chunks = 0;
  let bytes = 0;
  for await (const payload of filteredPayloads(reader, filter, () => {})) {
    chunks += 1;
    bytes += payload.length;
    if (chunks >= PROBED_CHUNKS && filter.tracks.length > 0) break;
    if (bytes > PROBED_BYTES_MAX) break;
  }
  const counts = countsOf(filter);
  const packets = (counts.video?.packets ?? 0) + (counts.audio?.packets ?? 0);
  const { count } = reader.state.sequences;
  const share = Math.max(count / Math.max(1, chunks), reader.state.bytes / Math.max(1, bytes));
  return {
    streams: streamsOf(filter, true),
    packetsEstimate: ESTIMATE_BASE_PACKETS + Math.ceil(packets * share * ESTIMATE_MARGIN),
  };
}

/**
 * The payloads of a segment with everything left out that is cut off by missing or damaged chunks.
 * The filter learns of each chunk's end too. A piece holds only until the next one is asked for.
 *
 * @param onDamaged told the sequence of each chunk whose bytes are not those that were acknowledged
 */
export async function* filteredPayloads(
  reader: SegmentReader,
  filter: MatroskaFilter,
  onDamaged: (sequence: number) => void,
): AsyncGenerator<Uint8Array> {
  if (await lacksKeyframes(reader)) filter.keepLeading();
  let expected = 0;
  for await (const { sequence, payload } of reader.chunks(onDamaged, { lendsPayloads: true })) {
    if (sequence !== expected) filter.gap();
    expected = sequence + 1;
    const passed = filter.push(payload);
    filter.endChunk(sequence);
    yield* passed;
  }
  yield* filter.end();
}

/**
 * Whether a track of pictures has no keyframe: only a decoder can tell what can be made of it. Reads as
 * far as the first keyframe, which is in the first chunk of nearly all.
 */
async function lacksKeyframes(reader: SegmentReader): Promise<boolean> {
  const filter = new MatroskaFilter();
  let expected = 0;
  for await (const { sequence, payload } of reader.chunks(() => {}, { lendsPayloads: true })) {
    if (sequence !== expected) filter.gap();
    expected = sequence + 1;
    filter.push(payload);
    const lacking = filter.tracks.filter(
      ({ track, hasKeyframe }) => track.kind === "video" && !hasKeyframe,
    );
    if (filter.hasHeader && lacking.length === 0) return false;
  }
  return true;
}

/**
 * The streams that are used, the first picture and the first sound of which there are packets, and others.
 *
 * @param isBeginning packets of the others may still come: those without any are given too
 */
export function streamsOf(filter: MatroskaFilter, isBeginning = false): SourceStreams {
  const { video, audio, others } = chosenTracks(filter, isBeginning);
  return {
    video: video && positioned(video, filter),
    audio: audio && positioned(audio, filter),
    others: others.flatMap((counted) => positioned(counted, filter) ?? []),
  };
}

function positioned(counted: CountedTrack, filter: MatroskaFilter): SourceStream | undefined {
  const stream = streamOf(counted);
  const position = ofKind(filter, counted.track.kind).indexOf(counted);
  return stream && { ...stream, position };
}

function ofKind({ tracks }: MatroskaFilter, kind: CountedTrack["track"]["kind"]): CountedTrack[] {
  return tracks.filter(({ track }) => track.kind === kind);
}

function chosenTracks(
  filter: MatroskaFilter,
  isBeginning = false,
): {
  readonly video: CountedTrack | undefined;
  readonly audio: CountedTrack | undefined;
  readonly others: readonly CountedTrack[];
} {
  const chosen = (kind: "video" | "audio"): CountedTrack | undefined => {
    const tracks = ofKind(filter, kind);
    return tracks.find(({ packets }) => packets.packets > 0) ?? tracks[0];
  };
  const [video, audio] = [chosen("video"), chosen("audio")];
  const others = filter.tracks.filter(
    (counted) =>
      counted.track.kind !== "other" &&
      (isBeginning || counted.packets.packets > 0) &&
      counted !== video &&
      counted !== audio,
  );
  return { video, audio, others };
}

/** What those streams held, when all of the segment has gone through the filter. */
export function countsOf(filter: MatroskaFilter): SourceCounts {
  const { video, audio, others } = chosenTracks(filter);
  return {
    video: video?.packets,
    audio: audio?.packets,
    others: others.map(({ packets }) => packets),
  };
}

/**
 * The stream of a track. What the container says of a VP8 picture's size is held against the keyframes
 * so far, and the smaller of both counts: the picture is encoded anew in that size, and a size that a
 * damaged header claims can cost any amount of time and memory.
 */
function streamOf({ track, packets }: CountedTrack): SourceStream | undefined {
  const stream = streamOfTrack(track);
  const own = stream?.codec === "vp8" ? packets.picture : undefined;
  if (stream === undefined || own === undefined) return stream;
  const claimed = (stream.width ?? Infinity) * (stream.height ?? Infinity);
  return own.width * own.height < claimed ? { ...stream, ...own } : stream;
}
