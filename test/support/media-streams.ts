import { ALL_FORMATS, BlobSource, EncodedPacketSink, Input, type InputTrack } from "mediabunny";

/** One stream of a media file as its packets tell, not as its header claims. */
export interface MediaStream {
  readonly kind: "video" | "audio" | "subtitle";
  /** mediabunny's name (`avc`, `vp9`, `av1`, `vp8`; `opus`, `aac`); null for one it does not know. */
  readonly codec: string | null;
  readonly packets: number;
  /** Sum of the packets' payloads. */
  readonly bytes: number;
  /** When each packet is to be presented, ascending, edit lists applied. */
  readonly timesMs: readonly number[];
  /** What is in each packet, in hexadecimal, in the order of `timesMs`; only of sound that is read. */
  readonly payloads: readonly string[];
  readonly firstTimeMs: number;
  /** From the begin of the first packet to the end of the last. */
  readonly durationMs: number;
}

/** How much of the packets is read. */
export interface StreamsOptions {
  /** Only what the index of an MP4 tells of them: for files of gigabytes. */
  readonly metadataOnly?: boolean;
}

/**
 * Reads every packet of an MP4, WebM or Matroska file, also of one without an index or a duration.
 * It parses with mediabunny: a second opinion beside ffmpeg, which made the file. Throws on a file
 * that is no media.
 */
export async function streamsOf(
  path: string,
  { metadataOnly = false }: StreamsOptions = {},
): Promise<MediaStream[]> {
  using input = new Input({ formats: ALL_FORMATS, source: new BlobSource(Bun.file(path)) });
  const tracks = await input.getTracks();
  return await Promise.all(tracks.map((track) => readStream(track, metadataOnly)));
}

async function readStream(track: InputTrack, metadataOnly: boolean): Promise<MediaStream> {
  const packets: { timeMs: number; durationMs: number; payload: string }[] = [];
  const isSound = track.type === "audio" && !metadataOnly;
  let bytes = 0;
  const all = new EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly });
  for await (const packet of all) {
    bytes += metadataOnly ? packet.byteLength : packet.data.byteLength;
    packets.push({
      timeMs: packet.timestamp * 1000,
      durationMs: packet.duration * 1000,
      payload: isSound ? Buffer.from(packet.data).toString("hex") : "",
    });
  }
  packets.sort((a, b) => a.timeMs - b.timeMs);
  const timesMs = packets.map(({ timeMs }) => timeMs);
  const firstTimeMs = timesMs[0] ?? 0;
  const last = packets.at(-1) ?? { timeMs: firstTimeMs, durationMs: 0 };
  // A live WebM does not say how long its last block is: as long as the others.
  const lastDurationMs = last.durationMs > 0 ? last.durationMs : medianStep(timesMs);
  return {
    kind: track.type,
    codec: track.codec,
    packets: packets.length,
    bytes,
    timesMs,
    payloads: isSound ? packets.map(({ payload }) => payload) : [],
    firstTimeMs,
    durationMs: last.timeMs + lastDurationMs - firstTimeMs,
  };
}

/** Times between neighbours, ascending. */
function stepsOf(timesMs: readonly number[]): number[] {
  const steps = timesMs.slice(1).map((timeMs, i) => timeMs - (timesMs[i] ?? 0));
  return steps.toSorted((a, b) => a - b);
}

/** The usual time from one packet to the next; 0 when there are not two. */
export function medianStep(timesMs: readonly number[]): number {
  const steps = stepsOf(timesMs);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}

/** Longest time between two neighbours, of times that ascend; 0 when there are none. */
export function longestStepMs(timesMs: readonly number[]): number {
  return stepsOf(timesMs).at(-1) ?? 0;
}

/** How far the longest or the shortest step between packets is from the median one. */
export function stepSpreadMs(timesMs: readonly number[]): number {
  const steps = stepsOf(timesMs);
  const median = medianStep(timesMs);
  return Math.max((steps.at(-1) ?? 0) - median, median - (steps[0] ?? 0));
}

/** The only stream of a kind; throws when there is none, or more than one. */
export function onlyStream(
  streams: readonly MediaStream[],
  kind: MediaStream["kind"],
): MediaStream {
  const [stream, ...others] = streams.filter((candidate) => candidate.kind === kind);
  if (stream === undefined || others.length > 0) {
    const found = streams.map(({ kind: name, codec }) => `${name} ${codec}`).join(", ");
    throw new Error(`There should be one ${kind} stream; there is: ${found}`);
  }
  return stream;
}

/** How much later the picture begins than the sound; negative when it begins earlier. */
export function startSkewMs(streams: readonly MediaStream[]): number {
  return onlyStream(streams, "video").firstTimeMs - onlyStream(streams, "audio").firstTimeMs;
}

/** From the first begin of any stream to the last end of any. */
export function totalDurationMs(streams: readonly MediaStream[]): number {
  const begins = streams.map(({ firstTimeMs }) => firstTimeMs);
  const ends = streams.map(({ firstTimeMs, durationMs }) => firstTimeMs + durationMs);
  return Math.max(...ends) - Math.min(...begins);
}
