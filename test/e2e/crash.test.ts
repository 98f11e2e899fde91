import { expect, test } from "bun:test";
import { drawMore, openBarcodePage, servePages } from "../support/barcode-page.ts";
import { launchChromium } from "../support/chromium.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { freePort } from "../support/free-port.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";

const FRAMES_PER_SECOND = 30;
const TEST_TIMEOUT_MS = 120_000;

test(
  "a server that is killed and started again has all acknowledged chunks, and the client goes on",
  async () => {
    await using directory = await temporaryDirectory();
    await using pages = servePages();
    await using browser = await launchChromium();
    const options = {
      recordingsDirectory: `${directory.path}/recordings`,
      env: { PORT: String(await freePort()) },
    };
    await using server = await startServer(options);
    const api = new RecordingsApi(server.url);
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };

    await using opened = await openBarcodePage(browser, pages);
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
      serverUrl: server.url,
      mimeTypes: [],
    });
    await until(async () => (await barcode.report("camera")).acknowledgedChunks >= 3 || undefined, {
      what: "three chunks are acknowledged",
      timeoutMs: 20_000,
    });
    await server.kill();
    const acknowledged = (await barcode.report("camera")).acknowledgedChunks;
    await until(
      async () => {
        const { pendingChunks, retries } = await barcode.report("camera");
        return (pendingChunks >= 2 && retries >= 1) || undefined;
      },
      { what: "chunks wait for the server", timeoutMs: 20_000 },
    );

    await using restarted = await startServer(options);
    expect(restarted.url).toBe(server.url);
    const [segment] = trackOf(await api.show(name.recordingId), name).segments;
    expect(segment?.nextSequence).toBeGreaterThanOrEqual(acknowledged);
    await drawMore(barcode, "camera", 2 * FRAMES_PER_SECOND);
    await barcode.stopRecorder("camera");
    const report = await barcode.report("camera");
    expect(report).toMatchObject({ state: "stopped", pendingChunks: 0, errors: [] });
    expect(report.acknowledgedChunks).toBe(report.recordedChunks);

    await api.stop(name.recordingId);
    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    expect(track.segments).toMatchObject([
      { chunks: report.recordedChunks, chunkCount: report.recordedChunks, missing: [] },
    ]);
    const { frames } = await expectFaithfulMp4(api, name, track, directory.path);
    // A chunk that is missing would be a hole of more than a second; a busy browser misses frames too.
    const steps = frames.slice(1).map(({ number }, i) => number - (frames[i]?.number ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(FRAMES_PER_SECOND);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a server that is killed while it makes an MP4 makes it after its next start",
  async () => {
    await using directory = await temporaryDirectory();
    const options = { recordingsDirectory: `${directory.path}/recordings` };
    await using server = await startServer(options);
    const api = new RecordingsApi(server.url);
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    // VP8 is transcoded, which takes long enough to be cut off.
    const { mimeType, chunks } = await recordedSegment("vp8-opus");
    const segmentId = crypto.randomUUID();
    const payloads = chunks.map(({ payload }) => payload);
    await api.upload({ ...name, segmentId, mimeType, sequence: 0, chunks: payloads });
    await api.endSegment(name.recordingId, segmentId, chunks.length);
    await api.stop(name.recordingId);
    await server.kill();

    await using restarted = await startServer(options);
    const again = new RecordingsApi(restarted.url);
    const track = trackOf(await again.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectFaithfulMp4(again, name, track, directory.path);
  },
  TEST_TIMEOUT_MS,
);
