import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  expectAllDelivered,
  RECORDING_ID,
  RecorderBrowser,
  summaryOf,
} from "./recorder-browser.ts";

// Real time passes in the browser.
setDefaultTimeout(60_000);

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

describe("ClientRecorder in Chromium", () => {
  test("is used as the guide's class is", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const { ClientRecorder } = recorderPage;
      const stream = recorderPage.openStream({ picture: true, sound: true });
      const participantId = "zoë 🎥 <a/../b>@example.org";
      const recorder = new ClientRecorder();
      recorderPage.recorder = recorder;
      recorder.participantId = participantId;

      await recorder.startRecording(stream, recordingId);
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > 1);
      await recorder.stopRecording();
      if (recorder.state !== "stopped") throw new Error(recorder.state);
      if (stream.getTracks().some(({ readyState }) => readyState === "ended")) {
        throw new Error("The recorder stopped a track of the app");
      }
    }, RECORDING_ID);
    const segments = await expectAllDelivered(opened);
    expect(segments).toHaveLength(1);
    expect(segments[0]).toMatchObject({
      recordingId: RECORDING_ID,
      participantId: "zoë 🎥 <a/../b>@example.org",
      trackId: "camera",
    });
    // As the browser tells it after its start: Debian's has H.264, the packaged one may not.
    expect(segments[0]?.mimeType).toMatch(
      /^video\/(x-matroska;codecs=avc1|webm;codecs=vp9).*,opus$/,
    );
    expect(segments[0]?.chunks.size).toBeGreaterThan(1);
  });

  test("stops right after its start", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const state = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({});
      const started = recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await Promise.all([recorder.stopRecording(), started]);
      return recorder.state;
    }, RECORDING_ID);
    expect(state).toBe("stopped");
    await expectAllDelivered(opened);
  });

  test("uploads what was recorded before a pause while it is paused, and leaves the pause out", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    const { seconds, runningMs } = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const calledAtMs = performance.now();
      const recorder = await recorderPage.record(recordingId, { timesliceMs: 60_000 });
      await recorderPage.sleep(1_000);
      const saved = recorderPage.untilProgress(({ pending }) => pending.chunks === 0);
      recorder.pauseRecording();
      if (recorder.state !== "paused") throw new Error(recorder.state);
      const pausedAtMs = performance.now();
      const beforeResume = await saved;
      if (beforeResume.acknowledged.bytes === 0) throw new Error("Nothing was saved");
      // The pause, which must be missing in the media.
      await recorderPage.sleep(2_000);
      const pausedMs = performance.now() - pausedAtMs;
      recorder.resumeRecording();
      await recorderPage.sleep(1_000);
      await recorder.stopRecording();
      const calledForMs = performance.now() - calledAtMs;
      return { seconds: recorder.progress.recorded.seconds, runningMs: calledForMs - pausedMs };
    }, RECORDING_ID);
    const [segment] = await expectAllDelivered(opened);
    expect(server.segments.size).toBe(1);
    expect(seconds).toBeGreaterThan(1.9);
    expect(seconds * 1_000).toBeLessThan(runningMs + 100);
    const [first, second] = [...(segment?.capturedAtMs.values() ?? [])];
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(2_900);
  });

  test("begins a new segment when tracks are removed or added, and loses nothing", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const reasons = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const stream = recorderPage.openStream({ picture: true, sound: true });
      const seen: string[] = [];
      const begun = (count: number) =>
        new Promise<void>((resolve) => {
          const off = recorder.on("segment", (change) => {
            if (change.type === "started") seen.push(change.reason);
            if (seen.length < count) return;
            off();
            resolve();
          });
        });
      const first = begun(1);
      await recorder.startRecording(stream, recordingId);
      await first;
      const savesMore = (from: number) =>
        recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= from + 3);
      await savesMore(0);
      const [picture] = stream.getVideoTracks();
      if (picture === undefined) throw new Error("There is no picture");
      const second = begun(2);
      stream.removeTrack(picture);
      await second;
      await savesMore(recorder.progress.recorded.chunks);
      const third = begun(3);
      stream.addTrack(picture);
      await third;
      await savesMore(recorder.progress.recorded.chunks);
      await recorder.stopRecording();
      return seen;
    }, RECORDING_ID);
    expect(reasons).toEqual(["start", "tracks-changed", "tracks-changed"]);
    const segments = await expectAllDelivered(opened);
    expect(segments).toHaveLength(3);
    expect(segments[1]?.mimeType).toStartWith("audio/");
    expect(segments[2]?.mimeType).toStartWith("video/");
  });

  test("stops by itself, with everything saved, when all tracks end", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const code = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const stream = recorderPage.openStream({ picture: true, sound: false });
      await recorder.startRecording(stream, recordingId);
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 2);
      const stopped = recorderPage.untilState("stopped");
      for (const track of stream.getTracks()) track.stop();
      await stopped;
      return recorderPage.codeOf(recorder.stopRecording());
    }, RECORDING_ID);
    expect(code).toBeUndefined();
    await expectAllDelivered(opened);
  });

  test("splits blobs over the limit into chunks that together are the blobs", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId, {
        timesliceMs: 1_000,
        chunkBytesMax: 1_000,
      });
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks > 10);
      await recorder.stopRecording();
    }, RECORDING_ID);
    const given = await page.evaluate(() => window.recorderPage.given());
    const [segment] = [...server.segments.values()];
    if (segment === undefined) throw new Error("No segment arrived");
    const stored = summaryOf(server, segment);
    expect(stored.sha256).toBe(given[0]?.sha256 ?? "");
    expect(stored.sizes.length).toBeGreaterThan(10);
    expect(Math.max(...stored.sizes)).toBe(1_000);
    expect(segment.chunkCount).toBe(stored.sizes.length);
  });

  test("records camera and screen of one participant side by side, twice in a row", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const camera = recorderPage.make({ timesliceMs: 200 });
      const screen = new recorderPage.ClientRecorder({ participantId: "alice", trackId: "screen" });
      for (let run = 0; run < 2; run += 1) {
        await Promise.all([
          camera.startRecording(
            recorderPage.openStream({ picture: true, sound: true }),
            recordingId,
          ),
          screen.startRecording(
            recorderPage.openStream({ picture: true, sound: false }),
            recordingId,
          ),
        ]);
        await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 3);
        await Promise.all([camera.stopRecording(), screen.stopRecording()]);
      }
    }, RECORDING_ID);
    const given = await page.evaluate(() => window.recorderPage.given());
    const segments = [...server.segments.values()];
    expect(segments.map((segment) => summaryOf(server, segment).sha256).toSorted()).toEqual(
      given.map(({ sha256 }) => sha256).toSorted(),
    );
    expect(segments.map(({ trackId }) => trackId).toSorted()).toEqual([
      "camera",
      "camera",
      "screen",
      "screen",
    ]);
  });

  test("says what is wrong with a start, and can be started properly afterwards", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const codes = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const { ClientRecorder } = recorderPage;
      const stream = recorderPage.openStream({ picture: true, sound: false });
      const nameless = new ClientRecorder();
      const unsupported = recorderPage.make({ mimeTypes: ["video/no-such-thing"] });
      const recorder = recorderPage.make({});
      const early = await recorderPage.codeOf(recorder.stopRecording());
      const seen = {
        nameless: await recorderPage.codeOf(nameless.startRecording(stream, recordingId)),
        unsupported: await recorderPage.codeOf(unsupported.startRecording(stream, recordingId)),
        noTrack: await recorderPage.codeOf(recorder.startRecording(new MediaStream(), recordingId)),
        noRecording: await recorderPage.codeOf(recorder.startRecording(stream, "")),
        stateAfterwards: recorder.state,
      };
      await recorder.startRecording(stream, recordingId);
      const second = await recorderPage.codeOf(recorder.startRecording(stream, recordingId));
      await recorder.stopRecording();
      return { early, ...seen, second, state: recorder.state };
    }, RECORDING_ID);
    expect(codes).toEqual({
      early: undefined,
      nameless: "invalid-option",
      unsupported: "not-supported",
      noTrack: "not-supported",
      noRecording: "invalid-option",
      stateAfterwards: "idle",
      second: "already-recording",
      state: "stopped",
    });
    await expectAllDelivered(opened);
  });

  test("refuses a second recorder of a track that is being recorded, and names the first", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const { ClientRecorder } = recorderPage;
      const first = await recorderPage.record(recordingId);
      const start = async (options: { trackId?: string; serverUrl?: string }) => {
        const second = new ClientRecorder({ participantId: "alice", ...options });
        try {
          await second.startRecording(recorderPage.stream, recordingId);
          await second.stopRecording();
          return "recorded";
        } catch (error) {
          return String(error);
        }
      };
      await recorderPage.untilMore(2);
      const outcomes = [await start({}), await start({ trackId: "screen" })];
      first.pauseRecording();
      outcomes.push(await start({ serverUrl: location.href }));
      first.resumeRecording();
      await recorderPage.untilMore(2);
      const stopped = first.stopRecording();
      // What the first one still sends is no reason to refuse.
      outcomes.push(await start({}));
      await stopped;
      return outcomes;
    }, RECORDING_ID);
    const refusal = expect.stringMatching(
      /^RecorderError: Another recorder .*"camera" of "alice" since 20\d\d-/,
    );
    expect(seen).toEqual([refusal, "recorded", refusal, "recorded"]);
    await expectAllDelivered(opened);
  });
});
