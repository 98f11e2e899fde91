import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectAllDelivered, RECORDING_ID, RecorderBrowser } from "./recorder-browser.ts";
import { problem } from "./scripted-server.ts";

// Real time passes in the browser: a stall takes seven seconds.
setDefaultTimeout(90_000);

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

describe("ClientRecorder in Chromium, when the browser's recorder falls silent", () => {
  test("asks for its data, tells, begins a new segment and goes on", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const seen = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const stalls: { action: string; segmentId: string }[] = [];
      const started: { reason: string; segmentId: string }[] = [];
      recorder.on("stall", ({ action, segmentId, silentMs }) => {
        stalls.push({ action, segmentId });
        if (silentMs < 5_000) throw new Error(`Only ${silentMs} ms`);
      });
      const restarted = new Promise<void>((resolve) => {
        recorder.on("segment", (change) => {
          if (change.type !== "started") return;
          const { reason, segmentId } = change;
          started.push({ reason, segmentId });
          if (reason === "stalled") resolve();
        });
      });
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
      recorderPage.silence(true);
      await new Promise<void>((resolve) => {
        recorder.on("stall", ({ action }) => {
          if (action === "restarting") resolve();
        });
      });
      // The browser gives the rest when it is told to stop, as a recorder that recovers does.
      recorderPage.silence(false);
      await restarted;
      const before = recorder.progress.recorded.chunks;
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > before + 3);
      await recorder.stopRecording();
      return { stalls, started, errors: recorderPage.errors };
    }, RECORDING_ID);
    expect(seen.started.map(({ reason }) => reason)).toEqual(["start", "stalled"]);
    const [first] = seen.started;
    expect(seen.stalls).toEqual([
      { action: "asked", segmentId: first?.segmentId ?? "" },
      { action: "restarting", segmentId: first?.segmentId ?? "" },
    ]);
    expect(seen.errors).toEqual([]);
    expect(await expectAllDelivered(opened)).toHaveLength(2);
  });

  test("goes on without a recorder that does not even stop, and keeps what it gives later", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const { reasons, givenBefore } = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const seen: string[] = [];
      const restarted = new Promise<void>((resolve) => {
        recorder.on("segment", (change) => {
          if (change.type !== "started") return;
          seen.push(change.reason);
          if (change.reason === "stalled") resolve();
        });
      });
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
      recorderPage.silence(true);
      recorderPage.hang(true);
      const [hung] = await recorderPage.given();
      await restarted;
      recorderPage.hang(false);
      recorderPage.silence(false);
      const before = recorder.progress.recorded.chunks;
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > before + 6);
      await recorder.stopRecording();
      // An empty blob may be no chunk.
      const filled = (hung?.sizes ?? []).filter((bytes) => bytes > 0);
      return { reasons: seen, givenBefore: filled.length };
    }, RECORDING_ID);
    expect(reasons).toEqual(["start", "stalled"]);
    const segments = [...opened.server.segments.values()];
    expect(segments).toHaveLength(2);
    for (const { chunks, chunkCount } of segments) expect(chunkCount).toBe(chunks.size);
    // The one that hung gave the rest after all, before the recording was stopped.
    const given = await page.evaluate(() => window.recorderPage.given());
    const [first] = segments;
    expect(first?.chunks.size).toBeGreaterThan(givenBefore);
    expect(first?.chunks.size).toBeLessThanOrEqual(given[0]?.sizes.length ?? 0);
  });

  test("takes neither a pause nor a page that stood still for a stall", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const stalls = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      let count = 0;
      recorder.on("stall", () => {
        count += 1;
      });
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > 2);
      recorder.pauseRecording();
      // Longer than the silence that counts as a stall.
      await recorderPage.sleep(8_000);
      recorder.resumeRecording();
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > 5);
      const untilMs = performance.now() + 8_000;
      while (performance.now() < untilMs);
      // Two looks of the watch: a wrong stall would be told by then.
      await recorderPage.sleep(2_000);
      await recorder.stopRecording();
      return count;
    }, RECORDING_ID);
    expect(stalls).toBe(0);
    expect(await expectAllDelivered(opened)).toHaveLength(1);
  });
});

describe("ClientRecorder, when somebody leaves the page", () => {
  test("has the browser ask while it records or uploads, and not afterwards", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    const asks = () =>
      page.evaluate(() => {
        const event = new Event("beforeunload", { cancelable: true });
        return !window.dispatchEvent(event);
      });
    const start = (options: object) =>
      page.evaluate(
        async ({ recordingId, given }) => {
          await window.recorderPage.record(recordingId, given);
        },
        { recordingId: RECORDING_ID, given: options },
      );
    expect(await asks()).toBe(false);
    await start({});
    expect(await asks()).toBe(true);
    server.failWhen(() => ({ answer: () => problem(503, "overloaded") }));
    await page.evaluate(async () => {
      await window.recorderPage.untilProgress(({ pending }) => pending.chunks > 0);
      // Its outcome is awaited below.
      void window.recorderPage.recorder.stopRecording();
    });
    expect(await asks()).toBe(true);
    server.failWhen(() => undefined);
    await page.evaluate(() => window.recorderPage.recorder.stopRecording());
    expect(await asks()).toBe(false);

    await start({ warnBeforeUnload: false });
    expect(await asks()).toBe(false);
    await page.evaluate(() => window.recorderPage.recorder.stopRecording());
  });
});
