import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ALL_FORMATS, BufferSource, Input } from "mediabunny";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { tonesIn } from "../../support/tone-judge.ts";
import {
  expectAllDelivered,
  RECORDING_ID,
  RecorderBrowser,
  type OpenedPage,
} from "./recorder-browser.ts";
import type { StoredSegment } from "./scripted-server.ts";

// Real time passes in the browser: silent tracks are noticed after some seconds.
setDefaultTimeout(90_000);

/** Of each tone, before an encoder that loses some of it. */
const AMPLITUDE = 0.4;
const LOUD = AMPLITUDE * 0.8;
const LOUD_MAX = AMPLITUDE * 1.2;
const SILENT = AMPLITUDE * 0.05;

const TONES_HZ = [440, 880] as const;

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

/** The segments in order of their begin, all of which is on the server. */
async function segmentsOf(opened: OpenedPage): Promise<StoredSegment[]> {
  const segments = await expectAllDelivered(opened);
  return segments.toSorted((a, b) => beganAtMs(a) - beganAtMs(b));
}

/**
 * Which tones sound, one step after the other, as in "both", "440", "880", "none"; what lasts less
 * than 0.3 s, such as a begin, is left out. No tone is louder or softer than it was given.
 */
async function courseOf({ server }: OpenedPage, segment: StoredSegment): Promise<string[]> {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/sound`;
  await Bun.write(path, server.bytesOf(segment));
  const { amplitudes } = await tonesIn(path, TONES_HZ);
  const [low = [], high = []] = amplitudes;
  expect(Math.max(...low, ...high)).toBeLessThan(LOUD_MAX);
  const words = low.map((amplitude, i) => {
    const loud = [amplitude, high[i] ?? 0].map((each) =>
      each > LOUD ? "loud" : each < SILENT ? "silent" : "between",
    );
    if (loud.includes("between")) return "between";
    const heard = TONES_HZ.filter((_, tone) => loud[tone] === "loud");
    return heard.length === 2 ? "both" : String(heard[0] ?? "none");
  });
  const steady = words.filter((word, i) => [words[i - 1], words[i + 1]].every((w) => w === word));
  return steady.filter((word, i) => word !== steady[i - 1]);
}

describe("ClientRecorder in Chromium, with several sound tracks in its stream", () => {
  test("records all of them as one, each as loud as it is, and nothing of those that are off", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(
      async ({ recordingId, tonesHz }) => {
        const { recorderPage } = window;
        const recorder = recorderPage.make({ timesliceMs: 200 });
        const stream = recorderPage.openStream({ picture: true, sound: false });
        const tones = tonesHz.map((hz) => recorderPage.openTone(hz));
        for (const tone of tones) stream.addTrack(tone);
        await recorder.startRecording(stream, recordingId);
        await recorderPage.sleep(1_500);
        for (const [i, tone] of tones.entries()) {
          tone.enabled = false;
          await recorderPage.sleep(1_000);
          tone.enabled = true;
          if (i === 0) await recorderPage.sleep(1_000);
        }
        for (const tone of tones) tone.enabled = false;
        await recorderPage.sleep(1_000);
        await recorder.stopRecording();
        const { errors, reasons, stalls } = recorderPage;
        return { errors, reasons, stalls, mixes: recorderPage.mixStates() };
      },
      { recordingId: RECORDING_ID, tonesHz: TONES_HZ },
    );
    expect(seen).toEqual({ errors: [], reasons: ["start"], stalls: [], mixes: ["closed"] });
    const [segment, ...others] = await segmentsOf(opened);
    if (segment === undefined) throw new Error("Nothing was recorded");
    expect(others).toEqual([]);
    expect(await courseOf(opened, segment)).toEqual(["both", "880", "both", "440", "none"]);
    // Only when both are off nothing is heard.
    const types = [...segment.marks.values()].flat().map(({ type }) => type);
    expect(types.filter((type) => type === "muted" || type === "unmuted")).toEqual(["muted"]);
  });

  test("follows tracks that come, go and end, within one segment, and ends with the last", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(
      async ({ recordingId, tonesHz }) => {
        const { recorderPage } = window;
        const recorder = recorderPage.make({ timesliceMs: 200 });
        const [low, high] = tonesHz.map((hz) => recorderPage.openTone(hz));
        if (low === undefined || high === undefined) throw new Error("A tone is missing");
        const stream = new MediaStream([low, high]);
        await recorder.startRecording(stream, recordingId);
        await recorderPage.sleep(1_000);
        stream.removeTrack(low);
        await recorderPage.sleep(1_000);
        stream.addTrack(low);
        await recorderPage.sleep(1_000);
        high.stop();
        await recorderPage.sleep(1_000);
        const stopped = recorderPage.untilState("stopped");
        low.stop();
        await stopped;
        const { errors, reasons } = recorderPage;
        return { errors, reasons, mixes: recorderPage.mixStates() };
      },
      { recordingId: RECORDING_ID, tonesHz: TONES_HZ },
    );
    expect(seen).toEqual({ errors: [], reasons: ["start"], mixes: ["closed"] });
    const [segment] = await segmentsOf(opened);
    if (segment === undefined) throw new Error("Nothing was recorded");
    expect(segment.mimeType).toStartWith("audio/");
    expect(await courseOf(opened, segment)).toEqual(["both", "880", "both", "440"]);
  });

  test("records a single track as it is, and mixes from when a second one comes", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(
      async ({ recordingId, tonesHz }) => {
        const { recorderPage } = window;
        const recorder = recorderPage.make({ timesliceMs: 200 });
        const stream = recorderPage.openStream({ picture: true, sound: false });
        const [low, high] = tonesHz.map((hz) => recorderPage.openTone(hz));
        if (low === undefined || high === undefined) throw new Error("A tone is missing");
        stream.addTrack(low);
        await recorder.startRecording(stream, recordingId);
        const given = recorderPage.mediaRecorder().stream.getTracks();
        const isItself = given.every((track) => stream.getTracks().includes(track));
        await recorderPage.sleep(1_000);
        const before = recorderPage.mixStates();
        const changed = recorderPage.untilSegment("tracks-changed");
        stream.addTrack(high);
        await changed;
        await recorderPage.sleep(1_000);
        // Another picture has to begin a segment, in which the same mix goes on.
        const again = recorderPage.untilSegment("tracks-changed");
        for (const track of stream.getVideoTracks()) stream.removeTrack(track);
        await again;
        await recorderPage.sleep(1_000);
        const silenced = recorderPage.untilSegment("tracks-changed");
        for (const track of recorderPage.openStream({ picture: true, sound: false }).getTracks()) {
          stream.addTrack(track);
        }
        for (const track of stream.getAudioTracks()) stream.removeTrack(track);
        await silenced;
        await recorderPage.untilMore(3);
        await recorder.stopRecording();
        const { errors, reasons } = recorderPage;
        return { isItself, before, errors, reasons, mixes: recorderPage.mixStates() };
      },
      { recordingId: RECORDING_ID, tonesHz: TONES_HZ },
    );
    expect(seen).toEqual({
      isItself: true,
      before: [],
      errors: [],
      reasons: ["start", "tracks-changed", "tracks-changed", "tracks-changed"],
      mixes: ["closed"],
    });
    const segments = await segmentsOf(opened);
    const [first, second, third, fourth] = segments;
    if (first === undefined || second === undefined || third === undefined) {
      throw new Error("A segment is missing");
    }
    expect(await courseOf(opened, first)).toEqual(["440"]);
    expect(await courseOf(opened, second)).toEqual(["both"]);
    expect(third.mimeType).toStartWith("audio/");
    expect(await courseOf(opened, third)).toEqual(["both"]);
    expect(fourth?.mimeType).not.toContain("opus");
  });

  test("goes on with another stream, mixed or not, and ends the mix of the one before", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(
      async ({ recordingId, tonesHz }) => {
        const { recorderPage } = window;
        const recorder = recorderPage.make({ timesliceMs: 200 });
        const open = () => new MediaStream(tonesHz.map((hz) => recorderPage.openTone(hz)));
        await recorder.startRecording(open(), recordingId);
        await recorderPage.untilMore(4);
        const replaced = recorderPage.untilSegment("stream-replaced");
        recorder.replaceStream(open());
        await replaced;
        await recorderPage.untilMore(4);
        recorder.pauseRecording();
        const single = recorderPage.untilSegment("stream-replaced");
        recorder.replaceStream(new MediaStream([recorderPage.openTone(440)]));
        const duringPause = recorderPage.mixStates();
        recorder.resumeRecording();
        await single;
        await recorderPage.untilMore(4);
        await recorder.stopRecording();
        const { errors, reasons } = recorderPage;
        return { errors, reasons, duringPause, mixes: recorderPage.mixStates() };
      },
      { recordingId: RECORDING_ID, tonesHz: TONES_HZ },
    );
    expect(seen).toMatchObject({
      errors: [],
      reasons: ["start", "stream-replaced", "stream-replaced"],
      mixes: ["closed", "closed"],
    });
    const segments = await segmentsOf(opened);
    const courses = await Promise.all(segments.map((segment) => courseOf(opened, segment)));
    expect(courses).toEqual([["both"], ["both"], ["440"]]);
  });

  test("keeps the pictures when none of the tracks gives anything, and says so", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(
      async ({ recordingId, tonesHz }) => {
        const { recorderPage } = window;
        const recorder = recorderPage.make({ timesliceMs: 200 });
        const stream = recorderPage.openStream({ picture: true, sound: false });
        for (const hz of tonesHz) stream.addTrack(recorderPage.openTone(hz));
        await recorder.startRecording(stream, recordingId);
        await recorderPage.untilMore(5);
        const leftOut = recorderPage.untilSegment("stalled");
        await recorderPage.suspendSound(true);
        await leftOut;
        await recorderPage.untilMore(5);
        const returned = recorderPage.untilSegment("unstalled");
        await recorderPage.suspendSound(false);
        await returned;
        await recorderPage.sleep(1_000);
        await recorder.stopRecording();
        const { errors, reasons, stalls } = recorderPage;
        return { errors, reasons, stalls, mixes: recorderPage.mixStates() };
      },
      { recordingId: RECORDING_ID, tonesHz: TONES_HZ },
    );
    expect(seen).toEqual({
      errors: [],
      reasons: ["start", "stalled", "unstalled"],
      stalls: ["asked video audio", "leaving-out audio", "returned audio"],
      mixes: ["closed"],
    });
    const segments = await segmentsOf(opened);
    const stalled = segments.map(({ marks }) =>
      [...marks.values()].flat().some(({ type }) => type === "stalled"),
    );
    expect(stalled).toEqual([false, true, false]);
    const last = segments.at(-1);
    if (last === undefined) throw new Error("Nothing was recorded");
    expect(await courseOf(opened, last)).toEqual(["both"]);
  });

  test("keeps mono in mono, and stereo where one track has it", async () => {
    await using opened = await browser.openPage();
    await opened.page.evaluate(
      async ({ recordingId, tonesHz }) => {
        const { recorderPage } = window;
        // With their echoes taken out they are mono in Chromium.
        const asked = [1, 2].map(() => navigator.mediaDevices.getUserMedia({ audio: true }));
        const mono = (await Promise.all(asked)).flatMap((stream) => stream.getTracks());
        for (const tracks of [mono, [...mono, recorderPage.openTone(tonesHz[0])]]) {
          const recorder = recorderPage.make({ timesliceMs: 200 });
          await recorder.startRecording(new MediaStream(tracks), recordingId);
          await recorderPage.untilMore(4);
          await recorder.stopRecording();
        }
      },
      { recordingId: RECORDING_ID, tonesHz: TONES_HZ },
    );
    const channels: number[] = [];
    for (const segment of await segmentsOf(opened)) {
      const source = new BufferSource(opened.server.bytesOf(segment));
      using input = new Input({ formats: ALL_FORMATS, source });
      const track = await input.getPrimaryAudioTrack();
      channels.push((await track?.getNumberOfChannels()) ?? 0);
    }
    expect(channels).toEqual([1, 2]);
  });
});

describe("ClientRecorder refuses at the start", () => {
  test("several sound tracks where there is no Web Audio", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(
      async ({ recordingId, tonesHz }) => {
        const { recorderPage } = window;
        const recorder = recorderPage.make({});
        const stream = new MediaStream(tonesHz.map((hz) => recorderPage.openTone(hz)));
        Reflect.deleteProperty(window, "AudioContext");
        const code = await recorderPage.codeOf(recorder.startRecording(stream, recordingId));
        return { code, state: recorder.state };
      },
      { recordingId: RECORDING_ID, tonesHz: TONES_HZ },
    );
    expect(seen).toEqual({ code: "not-supported", state: "idle" });
    expect(opened.server.segments.size).toBe(0);
  });

  test("several picture tracks", async () => {
    await using opened = await browser.openPage();
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const open = () => recorderPage.openStream({ picture: true, sound: false });
      const stream = new MediaStream([...open().getTracks(), ...open().getTracks()]);
      const codes = [await recorderPage.codeOf(recorder.startRecording(stream, recordingId))];
      const states = [recorder.state];
      await recorder.startRecording(open(), recordingId);
      await recorderPage.untilMore(2);
      const replace = async (): Promise<void> => recorder.replaceStream(stream);
      codes.push(await recorderPage.codeOf(replace()));
      states.push(recorder.state);
      await recorder.stopRecording();
      return { codes, states, errors: recorderPage.errors };
    }, RECORDING_ID);
    expect(seen).toEqual({
      codes: ["not-supported", "not-supported"],
      states: ["idle", "recording"],
      errors: [],
    });
  });

  test("sound that the browser does not mix before a click", async () => {
    const strict = await RecorderBrowser.start([
      "--autoplay-policy=document-user-activation-required",
    ]);
    try {
      await using opened = await strict.openPage({ isUntouched: true });
      const session = await opened.page.context().newCDPSession(opened.page);
      // By itself, as a page's own script: with no user's gesture.
      const { result } = await session.send("Runtime.evaluate", {
        awaitPromise: true,
        returnByValue: true,
        expression: `(async () => {
          while (!("recorderPage" in window)) await new Promise((resolve) => setTimeout(resolve, 10));
          const { recorderPage } = window;
          const picture = recorderPage.openStream({ picture: true, sound: false });
          // A page that captures a microphone may mix without a click.
          const sounds = [1, 2].map(() => new MediaStreamTrackGenerator({ kind: "audio" }));
          const tracks = [...picture.getTracks(), ...sounds];
          const recorder = recorderPage.make({ timesliceMs: 200 });
          const starting = recorder.startRecording(new MediaStream(tracks), "${RECORDING_ID}");
          const message = await starting.then(() => "started", (error) => error.code + ": " + error.message);
          await recorder.stopRecording().catch(() => undefined);
          return { message, errors: recorderPage.errors, mixes: recorderPage.mixStates() };
        })()`,
      });
      expect(result.value).toEqual({
        message: expect.stringMatching(/^not-supported: The 2 sound tracks .* a click/),
        errors: [],
        mixes: ["closed"],
      });
      expect(opened.server.segments.size).toBe(0);
    } finally {
      await strict.stop();
    }
  });
});
