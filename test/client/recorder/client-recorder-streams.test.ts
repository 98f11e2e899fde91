import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from "mediabunny";
import { decodeFrameNumbers } from "../../support/media-judge.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { expectAllDelivered, RECORDING_ID, RecorderBrowser } from "./recorder-browser.ts";

// Real time passes in the browser.
setDefaultTimeout(90_000);

const FRAME_MS = 1_000 / 30;

/**
 * Time that is missing between two segments of a track whose stream changes: usually less. On a busy
 * machine Chromium's encoder now and then takes the better part of a second for its first picture.
 */
const USUAL_GAP_MS_MAX = 300;
const GAP_MS_MAX = 1_500;

/** A picture that comes later than this after a keyframe is one itself. */
const KEYFRAME_STEP_MS_MAX = 2_100;

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

describe("ClientRecorder in Chromium, when its stream changes", () => {
  test("goes on at once: hardly a picture is missing between two segments", async () => {
    await using directory = await temporaryDirectory();
    await using opened = await browser.openPage();
    const { page, server } = opened;
    const state = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const stream = await recorderPage.openNumberedStream();
      const [picture] = stream.getVideoTracks();
      const [sound] = recorderPage.openStream({ picture: false, sound: true }).getAudioTracks();
      if (picture === undefined || sound === undefined) throw new Error("A track is missing");
      const other = new MediaStream([picture, sound]);
      await recorder.startRecording(stream, recordingId);
      await recorderPage.untilMore(5);
      const replaced = recorderPage.untilSegment("stream-replaced");
      recorder.replaceStream(other);
      const stateThen = recorder.state;
      await replaced;
      await recorderPage.untilMore(5);
      const changed = recorderPage.untilSegment("tracks-changed");
      other.removeTrack(sound);
      await changed;
      await recorderPage.untilMore(5);
      const changedAgain = recorderPage.untilSegment("tracks-changed");
      other.addTrack(sound);
      await changedAgain;
      await recorderPage.untilMore(5);
      await recorder.stopRecording();
      return stateThen;
    }, RECORDING_ID);
    expect(state).toBe("recording");
    const segments = await expectAllDelivered(opened);
    const spans: { readonly reason: string; readonly first: number; readonly last: number }[] = [];
    for (const segment of segments) {
      const path = `${directory.path}/${segment.segmentId}`;
      await Bun.write(path, server.bytesOf(segment));
      const numbers = (await decodeFrameNumbers(path)).map(({ number }) => number);
      const [began] = segment.marks.get(0) ?? [];
      spans.push({
        reason: began?.type === "began" ? began.reason : "unknown",
        first: numbers[0] ?? -1,
        last: numbers.at(-1) ?? -1,
      });
    }
    spans.sort((a, b) => a.first - b.first);
    expect(spans.map(({ reason }) => reason)).toEqual([
      "start",
      "stream-replaced",
      "tracks-changed",
      "tracks-changed",
    ]);
    const missing = spans.slice(1).map(({ first }, i) => first - (spans[i]?.last ?? 0) - 1);
    process.stderr.write(`Pictures missing between segments: ${missing.join(", ")}\n`);
    const usual = missing.toSorted((a, b) => a - b)[1] ?? Infinity;
    expect(usual * FRAME_MS).toBeLessThan(USUAL_GAP_MS_MAX);
    for (const pictures of missing) {
      expect(pictures * FRAME_MS).toBeLessThan(GAP_MS_MAX);
      // A picture that stands still is given to both.
      expect(pictures).toBeGreaterThanOrEqual(-2);
    }
  });

  test("stays paused, and begins with the new stream after the pause", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const seen = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilMore(3);
      recorder.pauseRecording();
      recorder.replaceStream(recorderPage.openStream({ picture: true, sound: false }));
      recorder.replaceStream(recorderPage.openStream({ picture: false, sound: true }));
      const states = [recorder.state];
      const delivered = recorderPage.untilProgress(({ pending }) => pending.chunks === 0);
      await delivered;
      const chunksPaused = recorder.progress.recorded.chunks;
      await recorderPage.sleep(500);
      const idle = recorder.progress.recorded.chunks === chunksPaused;
      const replaced = recorderPage.untilSegment("stream-replaced");
      recorder.resumeRecording();
      states.push(recorder.state);
      await replaced;
      await recorderPage.untilMore(3);
      await recorder.stopRecording();
      return { states, idle };
    }, RECORDING_ID);
    expect(seen).toEqual({ states: ["paused", "recording"], idle: true });
    const segments = await expectAllDelivered(opened);
    expect(
      segments
        .map(({ mimeType, marks }) => ({
          kind: mimeType.split("/")[0] ?? "",
          // A busy machine can stop the page.
          types: [...marks.values()]
            .flat()
            .map(({ type }) => type)
            .filter((type) => type !== "frozen"),
        }))
        .toSorted((a, b) => b.kind.localeCompare(a.kind)),
    ).toEqual([
      { kind: "video", types: ["began", "paused", "ended"] },
      { kind: "audio", types: ["began", "ended"] },
    ]);
  });

  test("waits in a pause for the stream of another device when the one before had to be closed", async () => {
    await using opened = await browser.openPage();
    const states = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilMore(2);
      recorder.pauseRecording();
      const ended = new Promise((resolve) => {
        recorderPage.mediaRecorder().addEventListener("stop", resolve);
      });
      for (const track of recorderPage.stream.getTracks()) track.stop();
      await ended;
      const seen = [recorder.state];
      recorder.replaceStream(recorderPage.openStream({ picture: true, sound: true }));
      seen.push(recorder.state);
      recorder.resumeRecording();
      await recorderPage.untilMore(3);
      seen.push(recorder.state);
      await recorder.stopRecording();
      return seen;
    }, RECORDING_ID);
    expect(states).toEqual(["paused", "paused", "recording"]);
    expect(await expectAllDelivered(opened)).toHaveLength(2);
  });

  test("can be stopped while it is paused with a stream that is still to be recorded", async () => {
    await using opened = await browser.openPage();
    const state = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilMore(2);
      recorder.pauseRecording();
      recorder.replaceStream(recorderPage.openStream({ picture: true, sound: false }));
      await recorder.stopRecording();
      return recorder.state;
    }, RECORDING_ID);
    expect(state).toBe("stopped");
    expect(await expectAllDelivered(opened)).toHaveLength(1);
  });

  test("is over when the stream that is still to be recorded has ended by the end of the pause", async () => {
    await using opened = await browser.openPage();
    const states = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      const seen: string[] = [];
      recorder.on("statechange", ({ state }) => seen.push(state));
      await recorderPage.untilMore(2);
      recorder.pauseRecording();
      const stream = recorderPage.openStream({ picture: true, sound: false });
      recorder.replaceStream(stream);
      for (const track of stream.getTracks()) track.stop();
      recorder.resumeRecording();
      await recorder.stopRecording();
      return seen;
    }, RECORDING_ID);
    expect(states).toEqual(["paused", "recording", "stopping", "stopped"]);
    await expectAllDelivered(opened);
  });

  test("loses nothing when it is stopped right after the change", async () => {
    await using opened = await browser.openPage();
    await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilMore(3);
      for (let i = 0; i < 5; i += 1) {
        recorder.replaceStream(recorderPage.openStream({ picture: true, sound: true }));
      }
      await recorder.stopRecording();
    }, RECORDING_ID);
    await expectAllDelivered(opened);
  });

  test("goes on with the stream that it has when the new one cannot be recorded", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const seen = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      // Chromium finds out at the start that it records no picture in this type.
      const recorder = recorderPage.make({
        timesliceMs: 200,
        mimeTypes: ["audio/webm;codecs=opus"],
      });
      const sound = recorderPage.openStream({ picture: false, sound: true });
      await recorder.startRecording(sound, recordingId);
      const replace = async (stream: MediaStream): Promise<void> => recorder.replaceStream(stream);
      const ended = recorderPage.openStream({ picture: true, sound: false });
      for (const track of ended.getTracks()) track.stop();
      const codes = [
        await recorderPage.codeOf(replace(new MediaStream())),
        await recorderPage.codeOf(replace(ended)),
        await recorderPage.codeOf(
          replace(recorderPage.openStream({ picture: true, sound: false })),
        ),
      ];
      await recorderPage.untilMore(3);
      const { state } = recorder;
      await recorder.stopRecording();
      // Without a run it has no effect.
      recorder.replaceStream(new MediaStream());
      return { codes, state, over: recorder.state, errors: recorderPage.errors };
    }, RECORDING_ID);
    expect(seen).toEqual({
      codes: ["not-supported", "not-supported", "not-supported"],
      state: "recording",
      over: "stopped",
      errors: [],
    });
    expect(await expectAllDelivered(opened)).toHaveLength(1);
  });
});

test("ClientRecorder has Chromium give a keyframe every two seconds, whatever the codec", async () => {
  await using opened = await browser.openPage();
  const { page, server } = opened;
  const wanted = ["video/x-matroska;codecs=avc1", "video/webm;codecs=vp9", "video/webm;codecs=vp8"];
  const mimeTypes = await page.evaluate(
    async ({ recordingId, types }) => {
      const { recorderPage } = window;
      const stream = recorderPage.openStream({ picture: true, sound: false });
      const supported = types.filter((type) => MediaRecorder.isTypeSupported(type));
      const recorders = supported.map((type) => {
        const { ClientRecorder } = recorderPage;
        return new ClientRecorder({ participantId: "alice", trackId: type, mimeTypes: [type] });
      });
      await Promise.all(recorders.map((each) => each.startRecording(stream, recordingId)));
      // What is judged is what a recorder does by itself in this time.
      await recorderPage.sleep(9_000);
      await Promise.all(recorders.map((each) => each.stopRecording()));
      return supported;
    },
    { recordingId: RECORDING_ID, types: wanted },
  );
  expect(mimeTypes.length).toBeGreaterThanOrEqual(2);
  for (const segment of server.segments.values()) {
    const source = new BufferSource(server.bytesOf(segment));
    using input = new Input({ formats: ALL_FORMATS, source });
    const track = await input.getPrimaryVideoTrack();
    if (track === null) throw new Error(`${segment.trackId} has no picture`);
    let keyMs = 0;
    let longestMs = 0;
    for await (const { type, timestamp } of new EncodedPacketSink(track).packets()) {
      if (type === "key") keyMs = timestamp * 1_000;
      else longestMs = Math.max(longestMs, timestamp * 1_000 - keyMs);
    }
    process.stderr.write(
      `${segment.mimeType}: ${Math.round(longestMs)} ms from a keyframe to the last picture before the next\n`,
    );
    expect(keyMs).toBeGreaterThan(5_000);
    expect(longestMs).toBeLessThan(KEYFRAME_STEP_MS_MAX);
  }
});
