import { expect, test } from "bun:test";
import type { Track } from "../../src/contract/recordings.ts";
import { drawMore, openBarcodePage, type BarcodePage } from "../support/barcode-page.ts";
import { decodeFrameNumbers, numbersShownAt, type DecodedFrame } from "../support/media-judge.ts";
import { onlyStream, streamsOf } from "../support/media-streams.ts";
import { trackOf, type TrackName } from "../support/recordings-api.ts";
import { soundOf } from "../support/sound-judge.ts";
import { openTestBed, type TestBed } from "../support/test-bed.ts";

const FRAMES_PER_SECOND = 30;
const TEST_TIMEOUT_MS = 120_000;

/** The product's promise: what the ledger tells and what the MP4 has agree so well. */
const LEDGER_TOLERANCE_MS = 40;

/** Of a segment's sound: Opus begins and ends softly around the silence that is put in. */
const SOUND_TOLERANCE_MS = 250;

/** One run of a recorder on a stream of its own. */
interface Run {
  readonly width: number;
  readonly height: number;
  readonly mimeType: string;
  readonly frames: number;
  /** It has, unless told otherwise. */
  readonly hasSound?: boolean;
}

const NUMBERS_PER_RUN = 100_000;

/** Records runs one after the other in one page, each a segment of the same track. */
async function record(
  bed: TestBed,
  { barcode }: BarcodePage,
  name: TrackName,
  runs: readonly Run[],
): Promise<void> {
  for (const [i, { width, height, mimeType, frames, hasSound }] of runs.entries()) {
    const streamName = `stream-${i}`;
    await barcode.openStream({
      streamName,
      width,
      height,
      framesPerSecond: FRAMES_PER_SECOND,
      firstNumber: i * NUMBERS_PER_RUN,
      toneHz: (hasSound ?? true) ? 440 : null,
    });
    const mimeTypes = mimeType === "" ? [] : [mimeType];
    const recorderName = `recorder-${i}`;
    const request = { ...name, recorderName, streamName, serverUrl: bed.server.url, mimeTypes };
    await barcode.startRecorder(request);
    await drawMore(barcode, streamName, frames);
    await barcode.stopRecorder(recorderName);
    await barcode.endStream(streamName);
  }
}

/** A joined MP4 that was found to hold what its segments hold. */
interface JudgedJoin {
  readonly track: Track;
  readonly path: string;
  /** The pictures of each segment that has some, in the MP4 and in its source. */
  readonly parts: readonly JoinedPart[];
}

interface JoinedPart {
  readonly frames: readonly DecodedFrame[];
  readonly own: readonly DecodedFrame[];
}

/**
 * Expects of a track's MP4 every picture of every segment, in order and none twice; each segment at
 * its place on the ledger; a length that agrees with the ledger; all of the segments' sound, and between
 * it as much silence as a player needs that counts samples; and that Chromium plays and seeks in it.
 */
async function expectJoined(
  bed: TestBed,
  { barcode }: BarcodePage,
  name: TrackName,
): Promise<JudgedJoin> {
  const { api } = bed;
  const track = trackOf(await api.ready(name.recordingId), name);
  const { media, timeline } = track;
  if (media === null || timeline === null) throw new Error(`There is no MP4: ${track.reason}`);
  expect(track).toMatchObject({ verdict: "complete", reason: null });
  const path = `${bed.directory}/${Bun.randomUUIDv7()}.mp4`;
  await api.download(api.trackUrl(name, "media.mp4"), path);
  const frames = await decodeFrameNumbers(path);
  const parts: JoinedPart[] = [];
  let from = 0;
  let recordedSoundMs = 0;
  for (const { segmentId, offsetMs } of timeline.segments) {
    const sourcePath = `${bed.directory}/${segmentId}`;
    await api.download(`${api.trackUrl(name, "source")}?segmentId=${segmentId}`, sourcePath);
    const kinds = new Set((await streamsOf(sourcePath)).map(({ kind }) => kind));
    if (kinds.has("audio")) recordedSoundMs += (await soundOf(sourcePath)).loudMs;
    const own = kinds.has("video") ? await decodeFrameNumbers(sourcePath) : [];
    const part = frames.slice(from, from + own.length);
    from += own.length;
    expect(part.map(({ number }) => number)).toEqual(own.map(({ number }) => number));
    const [first] = part;
    const [firstOwn] = own;
    if (first === undefined || firstOwn === undefined) continue;
    parts.push({ frames: part, own });
    // Sound that Chromium stamps late begins earlier in the MP4, and the segment with it.
    const beginMs = first.timeMs + timeline.offsetMs - offsetMs;
    expect(beginMs).toBeWithin(-1, 2 * LEDGER_TOLERANCE_MS);
    for (const [i, { timeMs }] of part.entries()) {
      const ownMs = (own[i]?.timeMs ?? 0) - firstOwn.timeMs;
      if (timeline.gaps.every(({ cause }) => cause !== "paused")) {
        expect(Math.abs(timeMs - first.timeMs - ownMs)).toBeLessThanOrEqual(1);
      }
    }
  }
  expect(from).toBe(frames.length);
  expect(Math.abs(media.durationMs - timeline.durationMs)).toBeLessThanOrEqual(LEDGER_TOLERANCE_MS);

  const streams = await streamsOf(path);
  const { timesMs, firstTimeMs, durationMs: soundMs } = onlyStream(streams, "audio");
  const steps = timesMs.slice(1).map((timeMs, i) => timeMs - (timesMs[i] ?? 0));
  expect(Math.max(0, ...steps)).toBeLessThan(200);
  const sound = await soundOf(path);
  const toleranceMs = SOUND_TOLERANCE_MS * timeline.segments.length;
  expect(Math.abs(sound.loudMs - recordedSoundMs)).toBeLessThan(toleranceMs);
  expect(Math.abs(sound.countedMs - firstTimeMs - soundMs)).toBeLessThan(SOUND_TOLERANCE_MS);
  const playback = await barcode.play(api.trackUrl(name, "media.mp4"));
  expect(playback.reachedEnd).toBeTrue();
  expect(Math.abs(playback.durationMs - media.durationMs)).toBeLessThan(2 * LEDGER_TOLERANCE_MS);
  const shown = numbersShownAt(frames, playback.middle.mediaTimeMs);
  if (shown.length > 0) expect(shown).toContain(playback.middle.number);
  return { track, path, parts };
}

test.each([
  { codec: "H.264", mimeType: "video/x-matroska;codecs=avc1,opus" },
  { codec: "VP9", mimeType: "video/webm;codecs=vp9,opus" },
  { codec: "AV1", mimeType: "video/webm;codecs=av01,opus" },
])(
  "$codec of three sizes is copied into one MP4, as far apart as they were",
  async ({ mimeType }) => {
    await using bed = await openTestBed();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    await using opened = await openBarcodePage(bed.browser, bed.pages);
    const frames = 2 * FRAMES_PER_SECOND;
    await record(bed, opened, name, [
      { width: 640, height: 360, mimeType, frames },
      { width: 320, height: 180, mimeType, frames },
      { width: 1280, height: 720, mimeType, frames },
    ]);
    await bed.api.stop(name.recordingId);
    const { track, parts } = await expectJoined(bed, opened, name);
    expect(track.media).toMatchObject({ action: "copy", width: 1280, height: 720 });
    expect(parts).toHaveLength(3);
  },
  TEST_TIMEOUT_MS,
);

test(
  "H.264 then VP8: what is H.264 is copied, what is VP8 becomes it in its own size",
  async () => {
    await using bed = await openTestBed();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    await using opened = await openBarcodePage(bed.browser, bed.pages);
    const frames = 2 * FRAMES_PER_SECOND;
    await record(bed, opened, name, [
      { width: 640, height: 360, mimeType: "video/x-matroska;codecs=avc1,opus", frames },
      { width: 320, height: 180, mimeType: "video/webm;codecs=vp8,opus", frames },
    ]);
    await bed.api.stop(name.recordingId);
    const { track } = await expectJoined(bed, opened, name);
    expect(track.media).toMatchObject({
      action: "transcode",
      videoCodec: "h264",
      audioCodec: "opus",
      width: 640,
    });
    expect(track.media?.actionReason).toContain("Segment 1: H.264 video is copied.");
    expect(track.media?.actionReason).toContain(
      "Segment 2: VP8 video is transcoded to H.264, since MP4 cannot carry it.",
    );
  },
  TEST_TIMEOUT_MS,
);

test(
  "who leaves and comes back without a microphone has silence there",
  async () => {
    await using bed = await openTestBed();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    await using opened = await openBarcodePage(bed.browser, bed.pages);
    const run = { width: 640, height: 360, mimeType: "", frames: 2 * FRAMES_PER_SECOND };
    await record(bed, opened, name, [
      { ...run, hasSound: false },
      run,
      { ...run, hasSound: false },
    ]);
    await bed.api.stop(name.recordingId);
    const { track, path } = await expectJoined(bed, opened, name);
    expect(track.media?.action).toBe("copy");
    const sound = onlyStream(await streamsOf(path), "audio");
    expect(sound.firstTimeMs).toBeLessThan(1);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a pause is kept in the MP4: the picture stands, the sound is silent, and all after it is in time",
  async () => {
    await using bed = await openTestBed();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    await using opened = await openBarcodePage(bed.browser, bed.pages);
    const { barcode } = opened;
    await barcode.openStream({
      streamName: "camera",
      width: 640,
      height: 360,
      framesPerSecond: FRAMES_PER_SECOND,
      firstNumber: 0,
      toneHz: 440,
    });
    await barcode.startRecorder({
      ...name,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: bed.server.url,
      mimeTypes: [],
    });
    await drawMore(barcode, "camera", 2 * FRAMES_PER_SECOND);
    await barcode.pauseRecorder("camera");
    await drawMore(barcode, "camera", 2 * FRAMES_PER_SECOND);
    await barcode.resumeRecorder("camera");
    // So long that a seek to the middle finds a picture that has just come.
    await drawMore(barcode, "camera", 6 * FRAMES_PER_SECOND);
    await barcode.stopRecorder("camera");
    await bed.api.stop(name.recordingId);

    const { track, parts } = await expectJoined(bed, opened, name);
    const [pause, ...others] = track.timeline?.gaps.filter(({ cause }) => cause === "paused") ?? [];
    if (pause === undefined) throw new Error("The ledger has no pause");
    expect(others).toEqual([]);
    const pauseMs = pause.toMs - pause.fromMs;
    expect(pauseMs).toBeGreaterThan(1_000);
    // The recorder leaves it out: where its pictures are in the MP4 by so much later than before.
    const [part] = parts;
    if (part === undefined) throw new Error("There are no pictures");
    const laterMs = part.frames.map(({ timeMs }, i) => timeMs - (part.own[i]?.timeMs ?? 0));
    const stepsMs = laterMs.slice(1).map((ms, i) => ms - (laterMs[i] ?? 0));
    expect(Math.abs(Math.max(...stepsMs) - pauseMs)).toBeLessThan(LEDGER_TOLERANCE_MS);
    expect(stepsMs.filter((ms) => Math.abs(ms) > 1)).toHaveLength(1);
  },
  TEST_TIMEOUT_MS,
);
