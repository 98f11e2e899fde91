import type { StreamKind } from "../contract/marks.ts";
import type { Container } from "../recording/container.ts";
import { inputArguments } from "./ffmpeg-arguments.ts";
import { type FfmpegContext, runPass } from "./ffmpeg-run.ts";
import { passingFailure } from "./finalize-errors.ts";
import { COPY_SKEW_MS_MAX, type SourceCounts, TRANSCODE_SKEW_MS_MAX } from "./media-check.ts";
import type { RemuxPlan } from "./remux-plan.ts";
import type { SourceStreams } from "./source-stream.ts";

/** A file for a decoder. */
export interface DecodableFile {
  readonly path: string;
  readonly container: Container;
  /** Which of its kind each stream is; the first of it without. */
  readonly streams?: SourceStreams;
}

/** What a decoder makes of one stream. */
export interface ShownStream {
  /** When each picture, or piece of sound, is to be presented: in order. */
  readonly timesMs: readonly number[];
  /** Length of all of them together: of sound alone. */
  readonly lengthMs: number;
}

/** What a decoder makes of a file; a stream that was not asked for is undefined. */
export type ShownMedia = Readonly<Record<StreamKind, ShownStream | undefined>>;

/** How much of what a decoder shows of a stream's source it shows of the MP4 too. */
export interface ShownShare {
  /** Pictures, or milliseconds of sound. */
  readonly shown: number;
  /** Those of the source. */
  readonly of: number;
  /** From 0 to 1; 1 when nothing is missing but what a decoder may leave out at either end. */
  readonly share: number;
}

const KINDS = ["video", "audio"] as const;

/** Times of Matroska are whole milliseconds, those of MP4 finer ticks: a copy differs by both roundings. */
const COPY_TIME_MS_MAX = COPY_SKEW_MS_MAX + 1;

/**
 * Sound that may be missing at both ends together: the last packet of Opus is 60 ms, one of AAC with
 * 8 kHz 128 ms, and decoders differ in what they give of the first and of the last.
 */
const SOUND_LENGTH_MS_MAX = 130;

/** What is written is one line for each picture or piece of sound, to a pipe. */
const OUTPUT_BYTES_MAX = 1024 * 1024;

/**
 * The arbiter of counts that disagree: decodes the source and its MP4 by the same decoder, and gives how
 * much of what it shows of the one it shows of the other, at its time. Decoding takes long beside a copy:
 * it is for what the counts cannot tell. A stream is undefined when no decoder could tell.
 *
 * @throws SubprocessNotStartedError, the signal's reason
 */
export async function compareShown(
  source: DecodableFile & { readonly counts: SourceCounts },
  made: { readonly path: string; readonly plan: RemuxPlan },
  context: FfmpegContext,
): Promise<Readonly<Record<StreamKind, ShownShare | undefined>>> {
  const kinds = KINDS.filter((kind) => made.plan[kind] !== undefined);
  const mediaMs = Math.max(...kinds.map((kind) => source.counts[kind]?.lastMs ?? 0), 0);
  const ofSource = await decodeShown(source, kinds, mediaMs, context);
  const { path } = made;
  const ofMade = await decodeShown({ container: "mp4", path }, kinds, mediaMs, context);
  return sharesOf(ofSource, ofMade, made.plan);
}

/** Pure part of `compareShown`. */
export function sharesOf(
  source: ShownMedia,
  made: ShownMedia,
  plan: RemuxPlan,
): Record<StreamKind, ShownShare | undefined> {
  const shiftMs = firstMsOf(made) - firstMsOf(source);
  const share = (kind: StreamKind): ShownShare | undefined => {
    const [own, other, stream] = [source[kind], made[kind], plan[kind]];
    if (own === undefined || other === undefined || stream === undefined) return undefined;
    const timeMsMax = stream.action === "copy" ? COPY_TIME_MS_MAX : TRANSCODE_SKEW_MS_MAX;
    if (kind === "video") return pictureShare(own, other, shiftMs, timeMsMax);
    return soundShare(own, other, shiftMs, timeMsMax + stream.source.preSkipMs);
  };
  return { video: share("video"), audio: share("audio") };
}

/** Of the picture where there is one: whether a decoder gives the very first sound is its own choice. */
function firstMsOf({ video, audio }: ShownMedia): number {
  return video?.timesMs[0] ?? audio?.timesMs[0] ?? 0;
}

function pictureShare(
  source: ShownStream,
  made: ShownStream,
  shiftMs: number,
  timeMsMax: number,
): ShownShare {
  const of = source.timesMs.length;
  let shown = 0;
  let at = 0;
  for (const timeMs of source.timesMs) {
    const wantedMs = timeMs + shiftMs;
    while (at < made.timesMs.length && (made.timesMs[at] ?? 0) < wantedMs - timeMsMax) at += 1;
    if (Math.abs((made.timesMs[at] ?? Infinity) - wantedMs) > timeMsMax) continue;
    shown += 1;
    at += 1;
  }
  return { shown, of, share: of === 0 ? 0 : shown / of };
}

function soundShare(
  source: ShownStream,
  made: ShownStream,
  shiftMs: number,
  timeMsMax: number,
): ShownShare {
  const [of, shown] = [source.lengthMs, Math.min(made.lengthMs, source.lengthMs)];
  if (of === 0 || shown === 0) return { shown: 0, of, share: 0 };
  const apartMs = Math.abs((made.timesMs[0] ?? 0) - (source.timesMs[0] ?? 0) - shiftMs);
  const isWhole = of - shown <= SOUND_LENGTH_MS_MAX && apartMs <= timeMsMax;
  // What is all there but at another time is not whole either.
  return { shown, of, share: isWhole ? 1 : Math.min(shown / of, 0.99) };
}

/**
 * What ffmpeg makes of the streams of a file. One that it cannot begin with keeps it from the others, which
 * are then decoded one by one. A stream that no decoder of this build is for is undefined: others may
 * have one.
 *
 * @throws SubprocessNotStartedError, the signal's reason
 */
export async function decodeShown(
  file: DecodableFile,
  kinds: readonly StreamKind[],
  mediaMs: number,
  context: FfmpegContext,
): Promise<ShownMedia> {
  const together = await decodeStreams(file, kinds, mediaMs, context);
  if (kinds.length === 1 || kinds.every((kind) => isShown(together[kind]))) return together;
  const alone = async (kind: StreamKind): Promise<ShownStream | undefined> =>
    kinds.includes(kind) ? (await decodeStreams(file, [kind], mediaMs, context))[kind] : undefined;
  return { video: await alone("video"), audio: await alone("audio") };
}

function isShown(stream: ShownStream | undefined): boolean {
  return stream !== undefined && stream.timesMs.length > 0;
}

async function decodeStreams(
  { container, path, streams }: DecodableFile,
  kinds: readonly StreamKind[],
  mediaMs: number,
  context: FfmpegContext,
): Promise<ShownMedia> {
  const lists = new ShownLists(kinds);
  const { abilities } = context.ffmpeg;
  try {
    await runPass(
      {
        args: [
          ...(abilities.fpsMode ? ["-max_error_rate", "1"] : []),
          // Times as the file has them, whichever stream begins first.
          "-copyts",
          ...inputArguments(container, { path }),
          ...kinds.flatMap((kind) => ["-map", `0:${kind[0]}:${streams?.[kind]?.position ?? 0}`]),
          ...(abilities.fpsMode ? ["-fps_mode:v", "passthrough"] : ["-vsync", "0"]),
          "-enc_time_base:v",
          "1:1000",
          "-f",
          "framecrc",
          "pipe:1",
        ],
        mediaMs,
        outputBytesMax: OUTPUT_BYTES_MAX,
        onOutput: (bytes) => lists.push(bytes),
      },
      context,
    );
  } catch (error) {
    const failure = passingFailure(error);
    if (failure === undefined) throw error;
    if (!failure.isPermanent || NO_DECODER.test(failure.stderrTail)) return NOTHING_KNOWN;
  }
  return lists.end();
}

const NOTHING_KNOWN: ShownMedia = { video: undefined, audio: undefined };

/** How ffmpeg says that it was built without a decoder, be the stream whole or not. */
const NO_DECODER = /Decoder \(codec (?!none)\w+\) not found|No decoder found/i;

/**
 * Reads ffmpeg's `framecrc` format: a line `#tb 0: 1/1000` for each stream's ticks, then one of `stream,
 * dts, pts, duration, bytes, checksum` for each picture or piece of sound.
 */
class ShownLists {
  readonly #kinds: readonly StreamKind[];
  readonly #tickMs: number[] = [];
  readonly #timesMs: number[][];
  readonly #lengthMs: number[];
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** @param kinds of the file's streams, in their order */
  constructor(kinds: readonly StreamKind[]) {
    this.#kinds = kinds;
    this.#timesMs = kinds.map(() => []);
    this.#lengthMs = kinds.map(() => 0);
  }

  push(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#read(line);
  }

  end(): ShownMedia {
    const shown = (kind: StreamKind): ShownStream | undefined => {
      const at = this.#kinds.indexOf(kind);
      const timesMs = this.#timesMs[at];
      if (timesMs === undefined) return undefined;
      return { timesMs: timesMs.toSorted((a, b) => a - b), lengthMs: this.#lengthMs[at] ?? 0 };
    };
    return { video: shown("video"), audio: shown("audio") };
  }

  #read(line: string): void {
    const [, stream, numerator, denominator] = /^#tb (\d+): (\d+)\/(\d+)$/.exec(line) ?? [];
    if (stream !== undefined) {
      this.#tickMs[Number(stream)] = (Number(numerator) / Number(denominator)) * 1_000;
      return;
    }
    if (line.startsWith("#")) return;
    const [at = 0, , pts = 0, duration = 0] = line.split(",").map(Number);
    const tickMs = this.#tickMs[at] ?? 0;
    this.#timesMs[at]?.push(pts * tickMs);
    this.#lengthMs[at] = (this.#lengthMs[at] ?? 0) + duration * tickMs;
  }
}
