import { expect, test } from "bun:test";
import type { Page, Request } from "playwright-core";
import { drawMore, openBarcodePage, type BarcodePage } from "../support/barcode-page.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { guideScript, type GuideExample } from "../support/guide-code.ts";
import { trackOf, type TrackName } from "../support/recordings-api.ts";
import { openTestBed, type TestBed } from "../support/test-bed.ts";
import { until } from "../support/until.ts";

const FRAMES_PER_SECOND = 30;
const TEST_TIMEOUT_MS = 120_000;

const PARTICIPANT_ID = "guide-reader";

/** Lets a test see what the example's recorder did, which keeps its recorder to itself. */
const OBSERVER = `
  globalThis.observed = { chunks: 0, isStopped: false };
  const start = MediaRecorder.prototype.start;
  MediaRecorder.prototype.start = function (...args) {
    this.addEventListener("dataavailable", ({ data }) => {
      if (data.size > 0) observed.chunks += 1;
    });
    this.addEventListener("stop", () => {
      observed.isStopped = true;
    });
    return start.apply(this, args);
  };
`;

const observedChunks = (page: Page) => page.evaluate<number>("observed.chunks");

/** Resolves once the recorder has stopped and has handed its last chunk over. */
const recorderStopped = (page: Page) => page.waitForFunction("observed.isStopped");

/** Gives the base64 example the two names that it takes from its surroundings, and starts it. */
const START_BASE64 = `
  globalThis.localStream = streamNamed("camera");
  globalThis.userId = ${JSON.stringify(PARTICIPANT_ID)};
  startRecording();
`;

// Not the preflight requests, which the other origin makes necessary.
const isUpload = (request: Request) =>
  request.method() === "POST" && request.url().includes("/recording/upload-chunk");

async function openExample(
  bed: TestBed,
  example: GuideExample,
  toneHz: number | null,
): Promise<BarcodePage & { readonly uploads: { answered: number; sent: number } }> {
  const opened = await openBarcodePage(bed.browser, bed.pages);
  const { page, barcode } = opened;
  const uploads = { sent: 0, answered: 0 };
  page.on("request", (request) => {
    if (isUpload(request)) uploads.sent += 1;
  });
  page.on("response", (response) => {
    if (isUpload(response.request()) && response.ok()) uploads.answered += 1;
  });
  await barcode.openStream({
    streamName: "camera",
    width: 640,
    height: 360,
    framesPerSecond: FRAMES_PER_SECOND,
    firstNumber: 0,
    toneHz,
  });
  await page.addScriptTag({ content: OBSERVER });
  await page.addScriptTag({ content: await guideScript(example, bed.server.url) });
  return { ...opened, uploads };
}

async function expectRecorded(
  bed: TestBed,
  name: TrackName,
  { frames, kinds }: { readonly frames: number; readonly kinds: readonly string[] },
): Promise<void> {
  const track = trackOf(await bed.api.ready(name.recordingId), name);
  const judged = await expectFaithfulMp4(bed.api, name, track, bed.directory);
  expect(judged.frames.length).toBeGreaterThan(frames);
  expect(new Set<string>(judged.streams.map(({ kind }) => kind))).toEqual(new Set<string>(kinds));
}

test(
  "the guide's ClientRecorder records an MP4",
  async () => {
    await using bed = await openTestBed();
    await using opened = await openExample(bed, "guide-client-recorder", 440);
    const { page, barcode, uploads } = opened;
    const recordingId = await bed.api.start();
    await page.evaluate(`
      globalThis.recorder = new ClientRecorder();
      recorder.participantId = ${JSON.stringify(PARTICIPANT_ID)};
      recorder.startRecording(streamNamed("camera"), ${JSON.stringify(recordingId)});
    `);
    await drawMore(barcode, "camera", 8 * FRAMES_PER_SECOND);
    await page.evaluate("recorder.stopRecording()");
    await recorderStopped(page);
    // It uploads every 5 s and once when it stops.
    await until(() => (uploads.answered === uploads.sent && uploads.answered >= 2) || undefined, {
      what: "the last upload is answered",
      timeoutMs: 10_000,
    });
    await bed.api.stop(recordingId);
    const name = { recordingId, participantId: PARTICIPANT_ID, trackId: "camera" };
    await expectRecorded(bed, name, { frames: 6 * FRAMES_PER_SECOND, kinds: ["video", "audio"] });
  },
  TEST_TIMEOUT_MS,
);

test(
  "the guide's base64 example records an MP4 of a picture without sound",
  async () => {
    await using bed = await openTestBed();
    await using opened = await openExample(bed, "guide-base64-client", null);
    const { page, barcode, uploads } = opened;
    await page.evaluate(START_BASE64);
    await drawMore(barcode, "camera", 6 * FRAMES_PER_SECOND);
    // The example has no stop of its own: its recorder ends with the tracks of its stream.
    await barcode.endStream("camera");
    await recorderStopped(page);
    const chunks = await observedChunks(page);
    await until(() => uploads.answered === chunks || undefined, {
      what: `${chunks} uploads are answered`,
      timeoutMs: 10_000,
    });
    const [recording] = await bed.api.list();
    const recordingId = recording?.recordingId ?? "";
    await bed.api.stop(recordingId);
    const name = { recordingId, participantId: PARTICIPANT_ID, trackId: "camera" };
    await expectRecorded(bed, name, { frames: 5 * FRAMES_PER_SECOND, kinds: ["video"] });
  },
  TEST_TIMEOUT_MS,
);

// The type of a recording with sound has a comma of its own ("codecs=vp8,opus"), at which the example
// cuts the data URL: what it uploads is "opus;base64" and nothing else.
test(
  "the guide's base64 example is told that what it sends of a picture with sound is no chunk",
  async () => {
    await using bed = await openTestBed();
    await using opened = await openExample(bed, "guide-base64-client", 440);
    const { page, barcode } = opened;
    const [refused] = await Promise.all([
      page.waitForResponse((response) => isUpload(response.request())),
      page.evaluate(START_BASE64),
    ]);
    expect(refused.status()).toBe(422);
    expect(JSON.parse(refused.request().postData() ?? "")).toMatchObject({ chunk: "opus;base64" });
    await barcode.endStream("camera");
    const [recording] = await bed.api.list();
    expect((await bed.api.show(recording?.recordingId ?? "")).participants).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);
