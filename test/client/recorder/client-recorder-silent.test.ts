import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { decodeFrameNumbers } from "../../support/media-judge.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { expectAllDelivered, RECORDING_ID, RecorderBrowser } from "./recorder-browser.ts";
import type { ScriptedServer, StoredSegment } from "./scripted-server.ts";

// Real time passes in the browser: a silent track is noticed after six seconds.
setDefaultTimeout(90_000);

/**
 * Numbers of pictures that may be missing where one segment follows another: on a busy machine
 * Chromium's encoder takes the better part of a second for its first picture. A track that gives
 * nothing is noticed after two seconds at the earliest: who loses pictures by that loses more.
 */
const MISSING_PICTURES_MAX = 45;

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

function beganAtMs({ marks }: StoredSegment): number {
  return marks.get(0)?.[0]?.atMs ?? 0;
}

/** In the order in which they were begun. */
function inOrder(segments: readonly StoredSegment[]): StoredSegment[] {
  return segments.toSorted((a, b) => beganAtMs(a) - beganAtMs(b));
}

/** Which streams each segment says that it lacks, since they give nothing. */
function stalledIn({ marks }: StoredSegment): string[] {
  return [...marks.values()]
    .flat()
    .flatMap((mark) => (mark.type === "stalled" ? [mark.stream] : []));
}

/** Expects that the pictures' numbers go on from segment to segment. */
async function expectAllPictures(
  server: ScriptedServer,
  segments: readonly StoredSegment[],
): Promise<void> {
  await using directory = await temporaryDirectory();
  const numbers: number[] = [];
  for (const segment of segments) {
    const path = `${directory.path}/${segment.segmentId}`;
    await Bun.write(path, server.bytesOf(segment));
    numbers.push(...(await decodeFrameNumbers(path)).map(({ number }) => number));
  }
  const steps = numbers.slice(1).map((number, i) => number - (numbers[i] ?? 0));
  expect(Math.max(...steps)).toBeLessThanOrEqual(MISSING_PICTURES_MAX);
}

describe("ClientRecorder in Chromium, when one track of its stream gives nothing", () => {
  test("keeps all pictures of a call whose sound is suspended for a while", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const [picture] = (await recorderPage.openNumberedStream()).getVideoTracks();
      const [sound] = recorderPage.openStream({ picture: false, sound: true }).getAudioTracks();
      if (picture === undefined || sound === undefined) throw new Error("A track is missing");
      await recorder.startRecording(new MediaStream([picture, sound]), recordingId);
      await recorderPage.untilMore(5);
      const leftOut = recorderPage.untilSegment("stalled");
      await recorderPage.suspendSound(true);
      await leftOut;
      await recorderPage.untilMore(5);
      const returned = recorderPage.untilSegment("unstalled");
      await recorderPage.suspendSound(false);
      await returned;
      await recorderPage.untilMore(5);
      await recorder.stopRecording();
      const { stalls, reasons, errors } = recorderPage;
      return { stalls, reasons, errors };
    }, RECORDING_ID);
    expect(seen).toEqual({
      stalls: ["asked video audio", "leaving-out audio", "returned audio"],
      reasons: ["start", "stalled", "unstalled"],
      errors: [],
    });
    const segments = inOrder(await expectAllDelivered(opened));
    expect(segments.map(stalledIn)).toEqual([[], ["audio"], []]);
    expect(segments.map(({ mimeType }) => mimeType.includes("opus"))).toEqual([true, false, true]);
    await expectAllPictures(opened.server, segments);
  });

  test("begins with the pictures alone when there is no sound from the start", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({
        timesliceMs: 200,
        mimeTypes: ["video/webm;codecs=vp8,opus"],
      });
      const stream = recorderPage.openStream({ picture: true, sound: true });
      await recorderPage.suspendSound(true);
      const calledAtMs = performance.now();
      await recorder.startRecording(stream, recordingId);
      const startedMs = performance.now() - calledAtMs;
      await recorderPage.untilMore(5);
      const returned = recorderPage.untilSegment("unstalled");
      await recorderPage.suspendSound(false);
      await returned;
      await recorderPage.untilMore(3);
      await recorder.stopRecording();
      const { stalls, reasons } = recorderPage;
      return { stalls, reasons, startedMs };
    }, RECORDING_ID);
    process.stderr.write(`Pictures alone from ${Math.round(seen.startedMs)} ms on\n`);
    expect(seen).toMatchObject({
      stalls: ["leaving-out audio", "returned audio"],
      reasons: ["stalled", "unstalled"],
    });
    const segments = inOrder(await expectAllDelivered(opened));
    expect(segments.map(stalledIn)).toEqual([["audio"], []]);
    expect(segments.map(({ mimeType }) => mimeType.includes("vp8"))).toEqual([true, true]);
  });

  test("keeps the pictures of an MP4 without sound from the start", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200, mimeTypes: ["video/mp4"] });
      const [picture] = (await recorderPage.openNumberedStream()).getVideoTracks();
      const [sound] = recorderPage.openStream({ picture: false, sound: true }).getAudioTracks();
      if (picture === undefined || sound === undefined) throw new Error("A track is missing");
      await recorderPage.suspendSound(true);
      const calledAtMs = performance.now();
      await recorder.startRecording(new MediaStream([picture, sound]), recordingId);
      const startedMs = performance.now() - calledAtMs;
      await recorderPage.sleep(3_000);
      await recorder.stopRecording();
      const { stalls, errors } = recorderPage;
      return { stalls, errors, startedMs };
    }, RECORDING_ID);
    expect(seen).toMatchObject({ stalls: ["leaving-out audio"], errors: [] });
    // Chromium gives nothing of an MP4 for five seconds, even where nothing is missing.
    expect(seen.startedMs).toBeLessThan(10_000);
    const segments = inOrder(await expectAllDelivered(opened));
    await expectAllPictures(opened.server, segments);
  });

  test("keeps the sound of a stream whose pictures fail, and takes other tracks meanwhile", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const { track, giveFrame } = recorderPage.openFrames();
      const stream = recorderPage.openStream({ picture: false, sound: true });
      stream.addTrack(track);
      const timer = setInterval(giveFrame, 33);
      await recorder.startRecording(stream, recordingId);
      await recorderPage.untilMore(5);
      const leftOut = recorderPage.untilSegment("stalled");
      clearInterval(timer);
      await leftOut;
      await recorderPage.untilMore(5);
      const returned = recorderPage.untilSegment("unstalled");
      const goingOn = setInterval(giveFrame, 33);
      await returned;
      await recorderPage.untilMore(5);
      const leftOutAgain = recorderPage.untilSegment("stalled");
      clearInterval(goingOn);
      await leftOutAgain;
      // As an app does whose camera is dead: it gives another one.
      const changed = recorderPage.untilSegment("tracks-changed");
      stream.removeTrack(track);
      for (const other of recorderPage.openStream({ picture: true, sound: false }).getTracks()) {
        stream.addTrack(other);
      }
      await changed;
      await recorderPage.untilMore(5);
      await recorder.stopRecording();
      return recorderPage.reasons;
    }, RECORDING_ID);
    expect(seen).toEqual(["start", "stalled", "unstalled", "stalled", "tracks-changed"]);
    const segments = inOrder(await expectAllDelivered(opened));
    expect(segments.map(stalledIn)).toEqual([[], ["video"], [], ["video"], []]);
    expect(segments.map(({ mimeType }) => mimeType.startsWith("audio/"))).toEqual([
      false,
      true,
      false,
      true,
      false,
    ]);
  });

  test("uploads the sound of a screen on which nothing moves, in one segment", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("2d");
      const stream = recorderPage.openStream({ picture: false, sound: true });
      for (const track of canvas.captureStream(30).getTracks()) stream.addTrack(track);
      const draw = setInterval(() => {
        if (context === null) throw new Error("The canvas has no 2D context");
        context.fillStyle = `hsl(${Math.round(performance.now()) % 360} 80% 50%)`;
        context.fillRect(0, 0, 300, 150);
      }, 33);
      await recorder.startRecording(stream, recordingId);
      await recorderPage.untilMore(5);
      clearInterval(draw);
      const before = recorder.progress.recorded.chunks;
      // Longer than the silence that counts as a stall.
      await recorderPage.sleep(7_500);
      const chunks = recorder.progress.recorded.chunks - before;
      await recorder.stopRecording();
      const { stalls, reasons } = recorderPage;
      return { stalls, reasons, chunks };
    }, RECORDING_ID);
    expect(seen.chunks).toBeGreaterThanOrEqual(5);
    expect(seen).toMatchObject({ stalls: [], reasons: ["start"] });
    await expectAllDelivered(opened);
  });
});

describe("ClientRecorder in Chromium, with a stream from a WebRTC peer that no element plays", () => {
  test("records picture and sound, as of any stream", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const local = recorderPage.openStream({ picture: true, sound: true });
      await recorder.startRecording(await recorderPage.remoteOf(local), recordingId);
      await recorderPage.untilMore(10);
      await recorder.stopRecording();
      const { stalls, reasons } = recorderPage;
      return { stalls, reasons };
    }, RECORDING_ID);
    expect(seen).toEqual({ stalls: [], reasons: ["start"] });
    const [segment] = await expectAllDelivered(opened);
    expect(segment?.mimeType).toContain("opus");
  });

  test("plays it no longer than it records it", async () => {
    await using opened = await browser.openPage({
      initScript: `globalThis.played = [];
      globalThis.Audio = class extends Audio {
        constructor() {
          super();
          played.push(this);
        }
      }`,
    });
    const playing = `played.filter(({ srcObject }) => srcObject !== null).length`;
    await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const local = recorderPage.openStream({ picture: true, sound: true });
      await recorder.startRecording(await recorderPage.remoteOf(local), recordingId);
      await recorderPage.untilMore(3);
    }, RECORDING_ID);
    expect(await opened.page.evaluate(playing)).toBe(1);
    await opened.page.evaluate(async () => {
      const { recorderPage } = window;
      const { recorder } = recorderPage;
      recorder.pauseRecording();
      recorder.replaceStream(recorderPage.openStream({ picture: true, sound: true }));
      recorder.resumeRecording();
      await recorderPage.untilMore(3);
    });
    expect(await opened.page.evaluate(playing)).toBe(0);
    await opened.page.evaluate(() => window.recorderPage.recorder.stopRecording());
    await expectAllDelivered(opened);
  });

  test("says what to do where it cannot play the sound itself, and records the picture", async () => {
    await using opened = await browser.openPage({
      initScript: `globalThis.Audio = class {
        pause() {}
        play() { return Promise.reject(new DOMException("It may not play.", "NotAllowedError")); }
      }`,
    });
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const local = recorderPage.openStream({ picture: true, sound: true });
      const remote = await recorderPage.remoteOf(local);
      const microphone = recorderPage.make({ trackId: "microphone" });
      const rejection = microphone
        .startRecording(new MediaStream(remote.getAudioTracks()), recordingId)
        .then(
          () => "",
          (error: Error) => error.message,
        );
      const camera = recorderPage.make({ timesliceMs: 200 });
      const leftOut = recorderPage.untilSegment("stalled");
      await camera.startRecording(remote, recordingId);
      await leftOut;
      const message = await rejection;
      await camera.stopRecording();
      const outcome = await recorderPage.codeOf(microphone.stopRecording());
      return { message, outcome, states: [microphone.state, camera.state] };
    }, RECORDING_ID);
    expect(seen.message).toContain("play the stream in a muted <video>");
    expect(seen).toMatchObject({ outcome: "recorder-failed", states: ["failed", "stopped"] });
    const segments = await expectAllDelivered(opened);
    expect(segments.map(stalledIn)).toEqual([["audio"]]);
  });
});
