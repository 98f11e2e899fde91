import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Page } from "playwright-core";
import type { Mark } from "../../../src/contract/marks.ts";
import { chromiumOfThisRun } from "../../support/chromium.ts";
import {
  expectAllDelivered,
  RECORDING_ID,
  RecorderBrowser,
  type OpenedPage,
  type PageRequest,
} from "./recorder-browser.ts";
import { startPersistentChromium } from "../../support/persistent-chromium.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { problem, type ScriptedServer } from "./scripted-server.ts";

// Real time passes in the browser.
setDefaultTimeout(90_000);

/** What the server's clock is ahead of the page's, so that a time left as it was would show. */
const OFFSET_MS = 3_600_000;

/** A page's time reaches a mark through the estimate of the server's clock, and back. */
const CLOCK_ERROR_MS_MAX = 40;

/** How late a page on a busy machine, and the wait for it, may be. */
const LATE_MS_MAX = 2_000;

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

async function openPage(request: PageRequest = {}): Promise<OpenedPage> {
  const opened = await browser.openPage(request);
  opened.server.timeOffsetMs = OFFSET_MS;
  return opened;
}

/** The marks of each segment in order of sequence, on the page's clock. */
function marksOf(server: ScriptedServer): (readonly Mark[])[] {
  return [...server.segments.values()].map(({ marks }) =>
    [...marks.entries()]
      .toSorted(([a], [b]) => a - b)
      .flatMap(([, ofChunk]) => ofChunk)
      .map((mark) => Object.assign({}, mark, { atMs: mark.atMs - OFFSET_MS })),
  );
}

/** All but those that a busy machine gives by itself. */
function unfrozen(marks: readonly Mark[]): readonly Mark[] {
  return marks.filter(({ type }) => type !== "frozen");
}

/** The only one of a type. */
function only<Type extends Mark["type"]>(
  marks: readonly Mark[],
  type: Type,
): Extract<Mark, { type: Type }> {
  const found = marks.filter((mark): mark is Extract<Mark, { type: Type }> => mark.type === type);
  if (found[0] === undefined || found.length > 1) {
    throw new Error(`There should be one ${type}: ${JSON.stringify(marks)}`);
  }
  return found[0];
}

function expectClose(actualMs: number, expectedMs: number, errorMs = CLOCK_ERROR_MS_MAX): void {
  expect(Math.abs(actualMs - expectedMs)).toBeLessThanOrEqual(errorMs);
}

/** Noticed at the next look, which a busy machine may be late with. */
function expectSoonAfter(actualMs: number, happenedMs: number): void {
  expect(actualMs).toBeGreaterThanOrEqual(happenedMs - CLOCK_ERROR_MS_MAX);
  expect(actualMs).toBeLessThan(happenedMs + LATE_MS_MAX);
}

describe("ClientRecorder in Chromium tells the server", () => {
  test("when a segment began and why, when it was paused, resumed and ended", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    const times = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const beganAtMs = Date.now();
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
      const pausedAtMs = Date.now();
      recorder.pauseRecording();
      await recorderPage.sleep(1_000);
      const resumedAtMs = Date.now();
      recorder.resumeRecording();
      const { chunks } = recorder.progress.recorded;
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > chunks + 2);
      const endedAtMs = Date.now();
      await recorder.stopRecording();
      return { beganAtMs, pausedAtMs, resumedAtMs, endedAtMs };
    }, RECORDING_ID);
    const [segment] = await expectAllDelivered(opened);
    const [marks = []] = marksOf(server);
    expect(unfrozen(marks).map(({ type }) => type)).toEqual([
      "began",
      "paused",
      "resumed",
      "ended",
    ]);
    expect(only(marks, "began")).toMatchObject({ reason: "start", pictures: "on-change" });
    expectClose(only(marks, "began").atMs, times.beganAtMs, 1_000);
    expectClose(only(marks, "paused").atMs, times.pausedAtMs);
    expectClose(only(marks, "resumed").atMs, times.resumedAtMs);
    expectClose(only(marks, "ended").atMs, times.endedAtMs);
    // Each with the chunk during whose slice it was.
    const sequences = [...(segment?.marks.keys() ?? [])];
    expect(sequences[0]).toBe(0);
    expect(sequences).toContain((segment?.chunkCount ?? 0) - 1);
  });

  test("what a track was before its clock was known is told with the clock that is known later", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    const gate = Promise.withResolvers<void>();
    server.holdTime = gate.promise;
    const beganAtMs = Date.now();
    await page.evaluate(async (recordingId) => {
      await window.recorderPage.record(recordingId);
      await window.recorderPage.untilProgress(({ recorded }) => recorded.chunks > 1);
    }, RECORDING_ID);
    gate.resolve();
    await page.evaluate(() => window.recorderPage.recorder.stopRecording());
    await expectAllDelivered(opened);
    const [marks = []] = marksOf(server);
    expectClose(only(marks, "began").atMs, beganAtMs, 2_000);
  });

  test("the pause of a page that is closed before it goes on, and the end of a paused one", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
      recorder.pauseRecording();
    }, RECORDING_ID);
    const hasPause = (): boolean =>
      marksOf(server)[0]?.some(({ type }) => type === "paused") === true;
    await server.until(hasPause);
    await page.evaluate(async () => {
      const { recorderPage } = window;
      await recorderPage.sleep(500);
      await recorderPage.recorder.stopRecording();
    });
    await expectAllDelivered(opened);
    const [marks = []] = marksOf(server);
    expect(unfrozen(marks).map(({ type }) => type)).toEqual(["began", "paused", "ended"]);
    const pausedMs = only(marks, "ended").atMs - only(marks, "paused").atMs;
    expect(pausedMs).toBeGreaterThanOrEqual(499);
  });

  test("which tracks are switched off, from the begin too, though that fires no event", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    const times = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const stream = recorderPage.openStream({ picture: true, sound: true });
      const [picture] = stream.getVideoTracks();
      const [sound] = stream.getAudioTracks();
      if (picture === undefined || sound === undefined) throw new Error("A track is missing");
      sound.enabled = false;
      await recorder.startRecording(stream, recordingId);
      const more = async (): Promise<void> => {
        const { chunks } = recorder.progress.recorded;
        await recorderPage.untilProgress(({ recorded }) => recorded.chunks > chunks + 3);
      };
      await more();
      const soundOnMs = Date.now();
      sound.enabled = true;
      await more();
      const pictureOffMs = Date.now();
      picture.enabled = false;
      await more();
      await recorder.stopRecording();
      return { soundOnMs, pictureOffMs };
    }, RECORDING_ID);
    await expectAllDelivered(opened);
    const [marks = []] = marksOf(server);
    const told = unfrozen(marks);
    expect(told).toMatchObject([
      { type: "began" },
      { type: "muted", stream: "audio" },
      { type: "unmuted", stream: "audio" },
      { type: "muted", stream: "video" },
      { type: "ended" },
    ]);
    expectClose(told[1]?.atMs ?? 0, only(marks, "began").atMs);
    expectSoonAfter(told[2]?.atMs ?? 0, times.soundOnMs);
    expectSoonAfter(told[3]?.atMs ?? 0, times.pictureOffMs);
  });

  test("that a camera is gone while its microphone goes on", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilMore(3);
      for (const track of recorderPage.stream.getVideoTracks()) track.stop();
      await recorderPage.untilMore(4);
      for (const track of recorderPage.stream.getTracks()) track.stop();
      await recorder.stopRecording();
    }, RECORDING_ID);
    await expectAllDelivered(opened);
    const [marks = []] = marksOf(server);
    expect(unfrozen(marks)).toMatchObject([
      { type: "began" },
      { type: "muted", stream: "video" },
      { type: "ended" },
    ]);
  });

  test("whether a source gives pictures all the time", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    // A screen is shared only after a click.
    await page.mouse.click(1, 1);
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const { mediaDevices } = navigator;
      const screen = await mediaDevices.getDisplayMedia({ video: true });
      const camera = await mediaDevices.getUserMedia({ video: true, audio: true });
      const microphone = new MediaStream(camera.getAudioTracks());
      for (const [trackId, stream] of Object.entries({ screen, camera, microphone })) {
        const recorder = recorderPage.make({ trackId, timesliceMs: 200 });
        await recorder.startRecording(stream, recordingId);
        await recorderPage.untilMore(1);
        await recorder.stopRecording();
      }
    }, RECORDING_ID);
    const pictures = [...server.segments.values()].map(({ trackId, marks }) => {
      const began = [...marks.values()].flat().find((mark) => mark.type === "began");
      return [trackId, began?.pictures];
    });
    expect(pictures).toEqual([
      ["screen", "on-change"],
      ["camera", "continuous"],
      ["microphone", null],
    ]);
  });

  test("from when to when its main thread stood still", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    const times = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > 4);
      const fromMs = Date.now();
      while (Date.now() < fromMs + 4_000);
      const toMs = Date.now();
      const { chunks } = recorder.progress.recorded;
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > chunks + 4);
      await recorder.stopRecording();
      return { fromMs, toMs };
    }, RECORDING_ID);
    await expectAllDelivered(opened);
    const [marks = []] = marksOf(server);
    const frozen = marks.filter((mark) => mark.type === "frozen");
    // The others are the machine's.
    const longest = frozen.toSorted((a, b) => b.toMs - b.atMs - (a.toMs - a.atMs))[0];
    if (longest === undefined) throw new Error("Nothing was told");
    expect(longest.atMs).toBeLessThanOrEqual(times.fromMs + CLOCK_ERROR_MS_MAX);
    expect(longest.atMs).toBeGreaterThan(times.fromMs - LATE_MS_MAX);
    expectSoonAfter(longest.toMs - OFFSET_MS, times.toMs);
  });

  test("that another device gives a track from now on", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      const [sound] = recorderPage.stream.getAudioTracks();
      if (sound === undefined) throw new Error("There is no sound");
      // Chromium moves a track to another device only when somebody pulls the plug.
      const { chunks } = recorder.progress.recorded;
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > chunks + 2);
      sound.getSettings = () => ({ deviceId: "another" });
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > chunks + 5);
      await recorder.stopRecording();
    }, RECORDING_ID);
    await expectAllDelivered(opened);
    const [marks = []] = marksOf(server);
    expect(only(marks, "device-changed").stream).toBe("audio");
  });

  test("what happened before a reload, when the server was away meanwhile", async () => {
    await using opened = await openPage();
    const { page, server } = opened;
    server.failWhen(() => ({ answer: () => problem(503, "overloaded") }));
    const times = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId, { warnBeforeUnload: false });
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > 3);
      const pausedAtMs = Date.now();
      recorder.pauseRecording();
      await recorderPage.sleep(300);
      const resumedAtMs = Date.now();
      recorder.resumeRecording();
      const { chunks } = recorder.progress.recorded;
      await recorderPage.untilProgress(
        ({ recorded, isDurable }) => isDurable && recorded.chunks > chunks + 2,
      );
      return { pausedAtMs, resumedAtMs };
    }, RECORDING_ID);
    // What is asked for now is another clock than that of the recording.
    server.timeOffsetMs = 0;
    server.failWhen(() => undefined);
    await opened.open();
    await server.until(
      () => [...server.segments.values()][0]?.chunkCount !== null && server.segments.size > 0,
    );
    const [marks = []] = marksOf(server);
    expect(unfrozen(marks).map(({ type }) => type)).toEqual(["began", "paused", "resumed"]);
    expectClose(only(marks, "paused").atMs, times.pausedAtMs);
    expectClose(only(marks, "resumed").atMs, times.resumedAtMs);
  });
});

/**
 * Hides a page and shows it again, by another tab in front of it. The packaged browser is a headless
 * shell, in which each tab counts as visible: there the page is told so by a script.
 */
async function hiding(page: Page): Promise<Record<"hide" | "show", () => Promise<void>>> {
  const { origin } = await chromiumOfThisRun();
  if (origin === "@sparticuz/chromium") {
    const tell = (state: string) =>
      page.evaluate((told) => {
        Object.defineProperty(document, "visibilityState", { configurable: true, get: () => told });
        document.dispatchEvent(new Event("visibilitychange"));
      }, state);
    return { hide: () => tell("hidden"), show: () => tell("visible") };
  }
  const other = await page.context().newPage();
  const untilPage = (state: string): Promise<unknown> =>
    page.waitForFunction((wanted) => document.visibilityState === wanted, state, { polling: 50 });
  await page.bringToFront();
  await untilPage("visible");
  return {
    hide: async () => {
      await other.bringToFront();
      await untilPage("hidden");
    },
    show: async () => {
      await page.bringToFront();
      await untilPage("visible");
    },
  };
}

test("ClientRecorder tells when its page was hidden, and does not call it frozen", async () => {
  await using directory = await temporaryDirectory();
  // Playwright's own browsers keep every tab awake and visible.
  await using tabs = await startPersistentChromium(`${directory.path}/user`);
  await using opened = await openPage({ context: tabs.context });
  const { page, server } = opened;
  const { hide, show } = await hiding(page);
  await page.evaluate(async (recordingId) => {
    await window.recorderPage.record(recordingId);
  }, RECORDING_ID);
  await hide();
  const hiddenAtMs = Date.now();
  // A browser slows timers down to once a second at once.
  await page.evaluate(() => window.recorderPage.sleep(3_000));
  await show();
  const visibleAtMs = Date.now();
  await page.evaluate(() => window.recorderPage.recorder.stopRecording());
  await expectAllDelivered(opened);
  const [marks = []] = marksOf(server);
  expect(unfrozen(marks).map(({ type }) => type)).toEqual(["began", "hidden", "visible", "ended"]);
  const [hidden, visible] = [only(marks, "hidden"), only(marks, "visible")];
  expectClose(hidden.atMs, hiddenAtMs, LATE_MS_MAX);
  expectClose(visible.atMs, visibleAtMs, LATE_MS_MAX);
  const meanwhile = marks.filter(
    ({ type, atMs }) => type === "frozen" && atMs >= hidden.atMs && atMs < visible.atMs,
  );
  expect(meanwhile).toEqual([]);
});
