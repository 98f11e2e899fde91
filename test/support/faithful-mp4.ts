import { expect } from "bun:test";
import { join } from "node:path";
import { CHROMIUM_SOUND_LATE_MS } from "../../src/finalize/matroska-filter.ts";
import type { Track, TrackMedia } from "../../src/contract/recordings.ts";
import { decodeFrameNumbers, type DecodedFrame } from "./media-judge.ts";
import {
  medianStep,
  onlyStream,
  startSkewMs,
  streamsOf,
  stepSpreadMs,
  totalDurationMs,
  type MediaStream,
} from "./media-streams.ts";
import { soundOf } from "./sound-judge.ts";
import type { RecordingsApi, TrackName } from "./recordings-api.ts";

/** The product's promise for every track, copied or not. */
const DURATION_TOLERANCE_MS = 40;

/** The product's promise where the picture was transcoded. */
const TRANSCODED_SKEW_TOLERANCE_MS = 20;

/** The same packets sound the same; only the encoder's delay at the begin may be cut elsewhere. */
const TONE_TOLERANCE_HZ = 1;

/** Silence may stand for as much more than was lost as nobody sees. */
const FILLED_TOLERANCE_MS = 20;

/** WebM counts in milliseconds and MP4 in other steps: times of a copy may be rounded once. */
const ROUNDING_MS = 1;

/** An MP4 that was held against the bytes that the browser sent. */
export interface JudgedMp4 {
  readonly sourcePath: string;
  readonly mp4Path: string;
  readonly frames: readonly DecodedFrame[];
  readonly streams: readonly MediaStream[];
}

/** The files to hold against each other, and what the server tells of the MP4. */
export interface Mp4Claim {
  readonly sourcePath: string;
  readonly mp4Path: string;
  readonly media: Pick<
    TrackMedia,
    "action" | "bytes" | "durationMs" | "videoPackets" | "audioPackets"
  >;
}

/**
 * Downloads the source and the MP4 of a track of one segment into `directory`, and holds them
 * against each other with `expectFaithfulFiles`.
 */
export async function expectFaithfulMp4(
  api: RecordingsApi,
  name: TrackName,
  { media }: Track,
  directory: string,
): Promise<JudgedMp4> {
  if (media === null) throw new Error(`Track ${name.trackId} of ${name.participantId} has no MP4`);
  const stem = join(directory, Bun.randomUUIDv7());
  const [sourcePath, mp4Path] = [`${stem}.source`, `${stem}.mp4`];
  await api.download(api.trackUrl(name, "source"), sourcePath);
  await api.download(api.trackUrl(name, "media.mp4"), mp4Path);
  return expectFaithfulFiles({ sourcePath, mp4Path, media });
}

/**
 * Expects of an MP4 every frame of the source, in order, at its time, none twice; the packets and
 * times of every copied stream, with nothing but silence between those of sound, and no more of it
 * than the browser lost; the duration, the skew between picture and sound, and the sound itself; and
 * that what the server tells of it is so.
 */
export async function expectFaithfulFiles({
  sourcePath,
  mp4Path,
  media,
}: Mp4Claim): Promise<JudgedMp4> {
  const [recorded, streams] = await Promise.all([streamsOf(sourcePath), streamsOf(mp4Path)]);
  const source = await withSoundInTime(recorded, sourcePath);
  const hasPicture = streams.some(({ kind }) => kind === "video");
  const hasSound = streams.some(({ kind }) => kind === "audio");
  const sourceFrames = hasPicture ? await decodeFrameNumbers(sourcePath) : [];
  const frames = hasPicture ? await decodeFrameNumbers(mp4Path) : [];
  const isCopied = media.action === "copy";

  expect(frames.map(({ number }) => number)).toEqual(sourceFrames.map(({ number }) => number));
  const timeToleranceMs = isCopied ? ROUNDING_MS : TRANSCODED_SKEW_TOLERANCE_MS;
  if (hasPicture) expect(frames.length).toBeGreaterThan(0);
  expectSameRhythm(
    frames.map(({ timeMs }) => timeMs),
    sourceFrames.map(({ timeMs }) => timeMs),
    timeToleranceMs,
  );

  expect(streams.map(({ kind }) => kind).toSorted()).toEqual(
    source.map(({ kind }) => kind).toSorted(),
  );
  let filledMs = 0;
  for (const stream of streams) {
    const original = onlyStream(source, stream.kind);
    if (isCopied) expect(stream.codec).toBe(original.codec);
    if (stream.codec !== original.codec) continue;
    if (stream.kind === "audio") {
      const { timesMs, silenceMs } = expectFilled(stream, original);
      expectSameRhythm(timesMs, original.timesMs, ROUNDING_MS);
      expect(silenceMs).toBeLessThanOrEqual(lostSoundMs(original) + FILLED_TOLERANCE_MS);
      filledMs = silenceMs;
    } else {
      expect(stream.packets).toBe(original.packets);
      expectSameRhythm(stream.timesMs, original.timesMs, ROUNDING_MS);
    }
  }
  if (hasPicture && hasSound) {
    expectWithin(startSkewMs(streams), startSkewMs(source), timeToleranceMs);
  }
  if (hasSound) {
    const [sound, sourceSound] = [await soundOf(mp4Path), await soundOf(sourcePath)];
    expectWithin(sound.frequencyHz, sourceSound.frequencyHz, TONE_TOLERANCE_HZ);
    // After silence an Opus decoder begins softly.
    expectWithin(sound.loudMs, sourceSound.loudMs, DURATION_TOLERANCE_MS + filledMs);
  }
  // A live source does not say how long its last packet lasts: the MP4 may take any step for it.
  const unknownMs = Math.max(...source.map(({ timesMs }) => stepSpreadMs(timesMs)));
  expectWithin(
    totalDurationMs(streams),
    totalDurationMs(source),
    DURATION_TOLERANCE_MS + unknownMs,
  );
  expectWithin(media.durationMs, totalDurationMs(streams), DURATION_TOLERANCE_MS);
  for (const { kind, packets } of streams) {
    expect(kind === "video" ? media.videoPackets : media.audioPackets).toBe(packets);
  }
  expect(media.bytes).toBe(Bun.file(mp4Path).size);
  return { sourcePath, mp4Path, frames, streams };
}

/**
 * The streams with the sound where the MP4 has it: what Chromium stamps too late, in Matroska and
 * WebM with pictures, is put right.
 */
export async function withSoundInTime(
  streams: readonly MediaStream[],
  sourcePath: string,
): Promise<readonly MediaStream[]> {
  const head = Buffer.from(await Bun.file(sourcePath).slice(0, HEADER_BYTES).arrayBuffer());
  const isLate = head.includes(CHROMIUM_MUXING_APP) && streams.length > 1;
  if (!isLate) return streams;
  return streams.map((stream) => {
    if (stream.kind !== "audio") return stream;
    const timesMs = stream.timesMs.map((timeMs) => timeMs - CHROMIUM_SOUND_LATE_MS);
    return { ...stream, timesMs, firstTimeMs: stream.firstTimeMs - CHROMIUM_SOUND_LATE_MS };
  });
}

/** Chromium's EBML header and Info. */
const HEADER_BYTES = 256;
/** ID and size of MuxingApp, then its words. */
const CHROMIUM_MUXING_APP = Buffer.concat([Buffer.from("4d8086", "hex"), Buffer.from("Chrome")]);

/** The sound of an MP4 held against the source's. */
interface Filling {
  /** When the source's packets are played in the MP4. */
  readonly timesMs: readonly number[];
  /** How long the silence is that stands for what the browser lost. */
  readonly silenceMs: number;
}

/** Expects every packet of the source's sound, unchanged and in order, and else nothing but silence. */
function expectFilled(stream: MediaStream, original: MediaStream): Filling {
  const timesMs: number[] = [];
  let silenceMs = 0;
  for (const [i, payload] of stream.payloads.entries()) {
    const timeMs = stream.timesMs[i] ?? 0;
    const next = timesMs.length;
    const dueMs = (original.timesMs[next] ?? Infinity) - original.firstTimeMs;
    // A source may have silent packets of its own.
    const isDue = timeMs - (timesMs[0] ?? timeMs) >= dueMs - ROUNDING_MS;
    if (isDue && payload === original.payloads[next]) {
      timesMs.push(timeMs);
    } else {
      const ms = silentPacketMs(payload);
      if (ms === undefined) throw new Error(`At ${timeMs} ms is sound that the source has not`);
      silenceMs += ms;
    }
  }
  return { timesMs, silenceMs };
}

/** Milliseconds of CELT's frames in fullband, by the configuration (RFC 6716, 3.1). */
const CELT_FULLBAND_MS: ReadonlyMap<number, number> = new Map([
  [28, 2.5],
  [29, 5],
  [30, 10],
  [31, 20],
]);

/** How long a silent frame of Opus is, as it stands for lost sound; undefined for anything else. */
export function silentPacketMs(payload: string): number | undefined {
  const [contents, first, second] = Buffer.from(payload, "hex");
  const isSilent = payload.length === 6 && first === 0xff && second === 0xfe;
  return isSilent ? CELT_FULLBAND_MS.get((contents ?? 0) >> 3) : undefined;
}

/** By how much the packets are too short for their times, as where Chromium on a busy machine loses some. */
function lostSoundMs({ timesMs, firstTimeMs }: MediaStream): number {
  const stepMs = medianStep(timesMs);
  return Math.max(0, ...timesMs.map((timeMs, i) => timeMs - firstTimeMs - i * stepMs));
}

/** Expects as many times, each as long after its list's first one as the other's. */
function expectSameRhythm(
  timesMs: readonly number[],
  expectedMs: readonly number[],
  toleranceMs: number,
): void {
  expect(timesMs.length).toBe(expectedMs.length);
  const errorsMs = timesMs.map((timeMs, i) =>
    Math.abs(timeMs - (timesMs[0] ?? 0) - ((expectedMs[i] ?? 0) - (expectedMs[0] ?? 0))),
  );
  expect(Math.max(0, ...errorsMs)).toBeLessThanOrEqual(toleranceMs);
}

function expectWithin(value: number, expected: number, toleranceMs: number): void {
  expect(Math.abs(value - expected)).toBeLessThanOrEqual(toleranceMs);
}
