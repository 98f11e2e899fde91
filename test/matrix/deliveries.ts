import type { Delivery } from "./cases.ts";
import type { Expectation, ExpectedPicture, ExpectedSound } from "./expectation.ts";
import { fragmentTimesOf } from "./fragment-times.ts";
import type { Wanted } from "./judge.ts";
import { WINDOW_MS } from "./sound-match.ts";
import { STEP_MS, type MadeSource } from "./sources.ts";

/** Of what is cut in pieces. */
const PIECES = 6;
/** Of the pieces, from 0. */
const LOST_PIECE = 3;
export const PAUSED_AT_MS = 1_500;
export const PAUSE_MS = 1_000;
/** When the second segment begins after the first: some time after its end. */
export const SECOND_AT_MS = 5_000;
/** Around a pause, a loss or an end: what is cut in packets of its own size. */
const EDGE_MS = 70;

/** The chunks in which a source is sent; undefined for one that never comes. */
export function chunksOf(
  bytes: Uint8Array<ArrayBuffer>,
  delivery: Delivery,
): (Uint8Array<ArrayBuffer> | undefined)[] {
  if (delivery === "whole") return [bytes];
  const length = Math.ceil(bytes.length / PIECES);
  const chunks = Array.from({ length: PIECES }, (_, i) =>
    bytes.slice(i * length, (i + 1) * length),
  );
  return chunks.map((chunk, i) => (delivery === "lost" && i === LOST_PIECE ? undefined : chunk));
}

/** The bytes from and to which a chunk is lost. */
function lostBytes(size: number): { readonly from: number; readonly to: number } {
  const length = Math.ceil(size / PIECES);
  return { from: LOST_PIECE * length, to: Math.min(size, (LOST_PIECE + 1) * length) };
}

/** What the MP4 of a source that was delivered so must show. */
export async function wantedOf(
  source: MadeSource,
  expectation: Expectation,
  delivery: Delivery,
): Promise<Wanted> {
  const whole = {
    ...expectation,
    silences: [],
    durationMs: expectation.durationMs,
    isClean: expectation.complaints.length === 0,
  };
  if (delivery === "pause") return paused(whole);
  if (delivery === "lost") return withLoss(whole, source, expectation);
  return whole;
}

/** What an MP4 of two segments must show. */
export function joined(first: Wanted, second: Wanted, isAlike: boolean): Wanted {
  const later = <Moment extends { readonly ms: number }>(moment: Moment): Moment => ({
    ...moment,
    ms: moment.ms + SECOND_AT_MS,
  });
  const silence = { fromMs: (first.durationMs ?? 0) + 150, toMs: SECOND_AT_MS - 100 };
  return {
    pictures: [...first.pictures, ...second.pictures.map(later)],
    sounds: [...first.sounds, ...second.sounds.map(later)],
    silences: [silence],
    channelLevels: isAlike ? first.channelLevels : undefined,
    durationMs: SECOND_AT_MS + (second.durationMs ?? 0),
    isClean: first.isClean && second.isClean,
  };
}

function paused(whole: Wanted): Wanted {
  const isNear = (ms: number, lengthMs: number): boolean =>
    ms - EDGE_MS < PAUSED_AT_MS && ms + lengthMs + EDGE_MS > PAUSED_AT_MS;
  const moved = (ms: number): number => (ms >= PAUSED_AT_MS ? ms + PAUSE_MS : ms);
  return {
    ...whole,
    pictures: whole.pictures.map((picture) =>
      Object.assign({}, picture, { ms: moved(picture.ms), isTimed: !isNear(picture.ms, 0) }),
    ),
    sounds: whole.sounds
      .filter(({ ms }) => !isNear(ms, WINDOW_MS))
      .map((sound) => Object.assign({}, sound, { ms: moved(sound.ms) })),
    silences: [{ fromMs: PAUSED_AT_MS + 150, toMs: PAUSED_AT_MS + PAUSE_MS - 150 }],
    durationMs: (whole.durationMs ?? 0) + PAUSE_MS,
  };
}

interface Packet {
  readonly kind: string;
  /** In the file's own time. */
  readonly ms: number;
  readonly isKey: boolean;
  readonly at: number;
  readonly end: number;
}

/** The last packets before a loss may be cut with it, or need what is. */
const UNSURE_PACKETS = 3;

/** Only what was before the loss, and what comes after it from where decoding can begin, is required. */
async function withLoss(
  whole: Wanted,
  source: MadeSource,
  { beginMs }: Expectation,
): Promise<Wanted> {
  const bytes = await Bun.file(source.path).bytes();
  const { from, to } = lostBytes(bytes.length);
  const packets = await packetsOf(source.path);
  const { container } = source.spec;
  const starts = startsOf(Buffer.from(bytes.buffer), container);
  const resumeAt = starts.find((at) => at >= to) ?? bytes.length;
  // A fragment that is cut is left out as a whole: its index tells of bytes that are not there.
  const isFragmented = container.startsWith("mp4-frag");
  const wholeUntil = isFragmented ? (starts.findLast((at) => at <= from) ?? 0) : from;
  const before = (kind: string): Packet[] =>
    packets
      .filter((packet) => packet.kind === kind && packet.end <= wholeUntil)
      .slice(0, -UNSURE_PACKETS);
  const after = (kind: string): Packet[] => {
    const all = packets.filter((packet) => packet.kind === kind && packet.at >= resumeAt);
    const first = all.findIndex(({ isKey }) => isKey);
    const key = all[first];
    return key === undefined ? [] : all.slice(first).filter(({ ms }) => ms >= key.ms);
  };
  const isHeaderThere = container !== "mp4" && container !== "mp4-edit";
  const kept = (kind: string): Packet[] => (isHeaderThere ? [...before(kind), ...after(kind)] : []);
  const { picturesLateMs } = fragmentTimesOf(Buffer.from(bytes.buffer));
  const pictures = kept("video").map(({ ms }) => ms - picturesLateMs);
  const sounds = kept("audio");
  const isPictureKept = ({ ms }: ExpectedPicture): boolean =>
    pictures.some((keptMs) => Math.abs(keptMs - beginMs - ms) < STEP_MS / 2);
  // A window is kept when the packets before, in and behind it are: decoders run in on one.
  const soundMs = sounds.map(({ ms }) => ms - beginMs).toSorted((a, b) => a - b);
  const longestMs = longestStep(packets.filter(({ kind }) => kind === "audio"));
  const isSoundKept = ({ ms }: ExpectedSound): boolean => {
    const inside = soundMs.filter(
      (at) => at >= ms - EDGE_MS - longestMs && at <= ms + WINDOW_MS + EDGE_MS,
    );
    const steps = inside.slice(1).map((at, i) => at - (inside[i] ?? 0));
    return (
      inside.length > 1 &&
      Math.max(...steps) <= longestMs + 2 &&
      (inside[0] ?? 0) <= Math.max(ms, (soundMs[0] ?? 0) + 1) &&
      (inside.at(-1) ?? 0) + longestMs >= ms + WINDOW_MS
    );
  };
  return {
    ...whole,
    pictures: whole.pictures.map((picture) => ({
      ...picture,
      isRequired: picture.isRequired && isPictureKept(picture),
    })),
    sounds: whole.sounds.map((sound) => ({ ...sound, isRequired: isSoundKept(sound) })),
    channelLevels: undefined,
    durationMs: undefined,
    isClean: false,
  };
}

function longestStep(packets: readonly Packet[]): number {
  const times = packets.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return Math.max(0, ...times.slice(1).map((ms, i) => ms - (times[i] ?? 0)));
}

async function packetsOf(path: string): Promise<Packet[]> {
  const entries = "packet=codec_type,pts_time,pos,size,flags";
  const args = ["-v", "quiet", "-show_entries", entries, "-of", "csv=p=0", path];
  const child = Bun.spawn(["ffprobe", ...args], { stdout: "pipe", stderr: "ignore" });
  const lines = (await new Response(child.stdout).text()).trim().split("\n");
  return lines.flatMap((line) => {
    // Side data may follow on the line.
    const [kind = "", seconds, size, at, flags = ""] = line.split(",");
    const packet = {
      kind,
      ms: Number(seconds) * 1_000,
      isKey: flags.startsWith("K"),
      at: Number(at),
      end: Number(at) + Number(size),
    };
    return Number.isNaN(packet.ms + packet.end) ? [] : [packet];
  });
}

/** Where reading can begin: at clusters and fragments; nowhere in an MP4 of one piece. */
function startsOf(bytes: Buffer, container: string): number[] {
  const starts: number[] = [];
  if (!container.startsWith("mp4")) {
    const id = Buffer.from("1f43b675", "hex");
    for (let at = bytes.indexOf(id); at >= 0; at = bytes.indexOf(id, at + 1)) starts.push(at);
  } else if (container.startsWith("mp4-frag")) {
    for (let at = 0; at + 8 <= bytes.length; at += Math.max(8, bytes.readUInt32BE(at))) {
      if (bytes.toString("latin1", at + 4, at + 8) === "moof") starts.push(at);
    }
  }
  return starts;
}
