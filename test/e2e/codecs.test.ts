import { expect, test } from "bun:test";
import { drawMore, openBarcodePage } from "../support/barcode-page.ts";
import { numbersShownAt } from "../support/media-judge.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { trackOf } from "../support/recordings-api.ts";
import { openTestBed } from "../support/test-bed.ts";

const FRAMES_PER_SECOND = 30;
const RECORDED_FRAMES = 10 * FRAMES_PER_SECOND;

/** A recording in real time, its finalization and three decodes on a busy machine. */
const TEST_TIMEOUT_MS = 120_000;

test.each([
  { codec: "H.264", mimeType: "video/x-matroska;codecs=avc1,opus" },
  { codec: "VP9", mimeType: "video/webm;codecs=vp9,opus" },
  { codec: "AV1", mimeType: "video/webm;codecs=av01,opus" },
  { codec: "VP8", mimeType: "video/webm;codecs=vp8,opus" },
])(
  "$codec of 10 s becomes an MP4 with every frame, which plays and seeks in the browser",
  async ({ mimeType }) => {
    await using bed = await openTestBed();
    const { api, server } = bed;
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
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    await barcode.startRecorder({
      ...name,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: server.url,
      mimeTypes: [mimeType],
    });
    await drawMore(barcode, "camera", RECORDED_FRAMES);
    await barcode.stopRecorder("camera");
    const report = await barcode.report("camera");
    expect(report).toMatchObject({ state: "stopped", pendingChunks: 0, errors: [] });

    await api.stop(name.recordingId);
    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    expect(track.segments.map((segment) => segment.mimeType)).toEqual([mimeType]);
    const { frames } = await expectFaithfulMp4(api, name, track, bed.directory);
    // Against a source that is itself a stump.
    expect(new Set(frames.map(({ number }) => number)).size).toBeGreaterThan(RECORDED_FRAMES / 2);

    const playback = await barcode.play(api.trackUrl(name, "media.mp4"));
    expect(playback).toMatchObject({ width: 640, height: 360, reachedEnd: true });
    expect(playback.playedMs).toBeGreaterThanOrEqual(1_000);
    expect(Math.abs(playback.durationMs - (track.media?.durationMs ?? 0))).toBeLessThan(40);
    const { mediaTimeMs, number } = playback.middle;
    expect(Math.abs(mediaTimeMs - playback.durationMs / 2)).toBeLessThan(100);
    expect(numbersShownAt(frames, mediaTimeMs)).toContain(number);
    // A busy browser has recorded fewer in the second that was played.
    expect(playback.framesDecoded).toBeGreaterThan(FRAMES_PER_SECOND / 3);
  },
  TEST_TIMEOUT_MS,
);
