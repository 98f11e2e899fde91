import { expect, test } from "bun:test";
import { drawMore, openBarcodePage, type BarcodePage } from "../support/barcode-page.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { trackOf, type TrackName } from "../support/recordings-api.ts";
import { openTestBed, type TestBed } from "../support/test-bed.ts";

const FRAMES_PER_SECOND = 30;
const FRAME_MS = 1000 / FRAMES_PER_SECOND;
const TEST_TIMEOUT_MS = 120_000;

/** A recorder starts some time after it is asked to, and its first picture comes later still. */
const START_TOLERANCE_MS = 500;

async function openRecording(
  bed: TestBed,
  name: TrackName,
  firstNumber: number,
): Promise<BarcodePage> {
  const opened = await openBarcodePage(bed.browser, bed.pages);
  await opened.barcode.openStream({
    streamName: "camera",
    width: 640,
    height: 360,
    framesPerSecond: FRAMES_PER_SECOND,
    firstNumber,
    toneHz: 440,
  });
  await opened.barcode.startRecorder({
    ...name,
    recorderName: "camera",
    streamName: "camera",
    serverUrl: bed.server.url,
    mimeTypes: [],
  });
  return opened;
}

test(
  "who leaves and comes back has both parts in one MP4, as far apart as they were",
  async () => {
    await using bed = await openTestBed();
    const { api } = bed;
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    for (const firstNumber of [0, 100_000]) {
      await using opened = await openRecording(bed, name, firstNumber);
      await drawMore(opened.barcode, "camera", 3 * FRAMES_PER_SECOND);
      await opened.barcode.stopRecorder("camera");
    }
    await api.stop(name.recordingId);
    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });

    const parts: number[][] = [];
    for (const { segmentId } of track.segments) {
      const path = `${bed.directory}/${segmentId}`;
      await api.download(`${api.trackUrl(name, "source")}?segmentId=${segmentId}`, path);
      parts.push((await decodeFrameNumbers(path)).map(({ number }) => number));
    }
    const mp4Path = `${bed.directory}/joined.mp4`;
    await api.download(api.trackUrl(name, "media.mp4"), mp4Path);
    const frames = await decodeFrameNumbers(mp4Path);
    expect(parts.length).toBe(2);
    expect(frames.map(({ number }) => number)).toEqual(parts.flat());

    const [first, second] = track.segments;
    const openedApartMs = Date.parse(second?.openedAt ?? "") - Date.parse(first?.openedAt ?? "");
    const secondBegin = frames.find(({ number }) => number >= 100_000);
    const apartMs = (secondBegin?.timeMs ?? 0) - (frames[0]?.timeMs ?? 0);
    expect(Math.abs(apartMs - openedApartMs)).toBeLessThan(START_TOLERANCE_MS);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a pause is not in the MP4, and nothing beside it is missing",
  async () => {
    await using bed = await openTestBed();
    const { api } = bed;
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    await using opened = await openRecording(bed, name, 0);
    const { barcode } = opened;
    const pauseFrames = 2 * FRAMES_PER_SECOND;
    await drawMore(barcode, "camera", 2 * FRAMES_PER_SECOND);
    await barcode.pauseRecorder("camera");
    await drawMore(barcode, "camera", pauseFrames);
    await barcode.resumeRecorder("camera");
    await drawMore(barcode, "camera", 2 * FRAMES_PER_SECOND);
    await barcode.stopRecorder("camera");
    await api.stop(name.recordingId);

    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    expect(track.segments.length).toBe(1);
    const { frames } = await expectFaithfulMp4(api, name, track, bed.directory);
    const gaps = frames.slice(1).flatMap(({ number, timeMs }, i) => {
      const previous = frames[i] ?? { number, timeMs };
      const skipped = number - previous.number;
      return skipped > pauseFrames / 2 ? [{ skipped, lastedMs: timeMs - previous.timeMs }] : [];
    });
    expect(gaps.length).toBe(1);
    expect(gaps[0]?.lastedMs).toBeLessThan(10 * FRAME_MS);
  },
  TEST_TIMEOUT_MS,
);
