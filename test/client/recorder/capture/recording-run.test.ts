import { afterEach, beforeEach, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { RecordingRun } from "../../../../client/recorder/capture/recording-run.ts";
import { ANSWER_MS, SILENT_MS_MIN } from "../../../../client/recorder/capture/stall-watch.ts";
import { RunUpload } from "../../../../client/recorder/service/run-upload.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

/** The browser's recorder, which Bun has not; gives data, or hangs, as a test has it. */
class ScriptedRecorder extends EventTarget {
  static made: ScriptedRecorder[] = [];
  readonly mimeType = "video/webm";
  readonly stream: MediaStream;
  state: RecordingState = "inactive";
  isHung = false;

  constructor(stream: MediaStream) {
    super();
    this.stream = stream;
    ScriptedRecorder.made.push(this);
  }

  static isTypeSupported(): boolean {
    return true;
  }

  start(): void {
    this.state = "recording";
    queueMicrotask(() => this.dispatchEvent(new Event("start")));
  }

  /** Nothing is there to be given. */
  requestData(): void {}

  stop(): void {
    this.state = "inactive";
    if (this.isHung) return;
    queueMicrotask(() => {
      this.giveData();
      this.dispatchEvent(new Event("stop"));
    });
  }

  giveData(): void {
    const data = new Blob(["pictures"]);
    this.dispatchEvent(Object.assign(new Event("dataavailable"), { data }));
  }
}

/** A camera's picture, which Bun has not either. */
class CameraTrack extends EventTarget implements MediaStreamTrack {
  readonly kind = "video";
  readonly id = "camera";
  readonly label = "Camera";
  readonly readyState = "live";
  readonly muted = false;
  enabled = true;
  contentHint = "";
  onended = null;
  onmute = null;
  onunmute = null;
  applyConstraints = async () => {};
  clone = () => new CameraTrack();
  getCapabilities = () => ({});
  getConstraints = () => ({});
  getSettings = () => ({ deviceId: "camera" });
  stop = () => {};
}

class CameraStream extends EventTarget implements MediaStream {
  readonly #tracks = [new CameraTrack()];
  readonly id = "camera";
  readonly active = true;
  onaddtrack = null;
  onremovetrack = null;
  addTrack = () => {};
  removeTrack = () => {};
  clone = () => new CameraStream();
  getTrackById = () => null;
  getTracks = () => this.#tracks;
  getVideoTracks = () => this.#tracks;
  getAudioTracks = () => [];
}

function runOf(stream: MediaStream) {
  const clock = new ManualClock();
  const totals: [segmentId: string, chunkCount: number][] = [];
  const upload = new RunUpload("run", {
    list: async () => [],
    post: (command) => {
      if (command.type === "endSegment") totals.push([command.segmentId, command.chunkCount]);
      if (command.type !== "finish") return;
      upload.receive({ type: "finished", runId: "run", error: null });
    },
  });
  let segments = 0;
  const run = new RecordingRun({
    stream,
    address: { recordingId: "recording", participantId: "Ann", trackId: "camera" },
    settings: {
      timesliceMs: 1_000,
      chunkBytesMax: 1_000_000,
      videoBitsPerSecond: 1_000_000,
      audioBitsPerSecond: 100_000,
      mimeTypes: ["video/webm"],
    },
    upload,
    clock,
    newSegmentId: () => {
      segments += 1;
      return `segment ${segments}`;
    },
  });
  return { run, clock, totals };
}

/** What Bun has not itself: these are put there for a test, and taken away after it. */
const BROWSER_GLOBALS = {
  document: Object.assign(new EventTarget(), { visibilityState: "visible" }),
  MediaRecorder: ScriptedRecorder,
};

beforeEach(() => {
  ScriptedRecorder.made = [];
  for (const [name, value] of Object.entries(BROWSER_GLOBALS)) {
    Reflect.set(globalThis, name, value);
  }
});

afterEach(() => {
  for (const name of Object.keys(BROWSER_GLOBALS)) Reflect.deleteProperty(globalThis, name);
});

test("a recorder that hangs after its stream was replaced starts no second one on the new stream", async () => {
  const { run, clock, totals } = runOf(new CameraStream());
  await run.start();
  const [first] = ScriptedRecorder.made;
  if (first === undefined) throw new Error("no recorder was made");
  first.isHung = true;
  first.giveData();
  clock.advance(SILENT_MS_MIN + ANSWER_MS);
  // The stall was noticed: it was told to stop.
  expect(first.state).toBe("inactive");

  run.replaceStream(new CameraStream());
  clock.advance(ANSWER_MS);
  expect(ScriptedRecorder.made.map(({ state }) => state)).toEqual(["inactive", "recording"]);

  run.stop();
  // The second one's last data and end come before the first one is waited for.
  await setImmediate();
  clock.advance(ANSWER_MS);
  expect(await run.outcome).toBeNull();
  expect(ScriptedRecorder.made.map(({ state }) => state)).toEqual(["inactive", "inactive"]);
  expect(totals).toEqual([
    ["segment 2", 1],
    ["segment 1", 1],
  ]);
});
