import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { RecordingRun } from "../../../../client/recorder/capture/recording-run.ts";
import {
  EMPTY_RUN_MS_MAX,
  FIRST_DATA_MS_MAX,
  FIRST_MP4_DATA_MS_MAX,
} from "../../../../client/recorder/capture/first-data-watch.ts";
import { STOP_MS_MAX } from "../../../../client/recorder/capture/segment-recorder.ts";
import { ANSWER_MS, SILENT_MS_MIN } from "../../../../client/recorder/capture/stall-watch.ts";
import { RunUpload } from "../../../../client/recorder/service/run-upload.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

/** The browser's recorder, which Bun has not; gives data, or hangs, as a test has it. */
class ScriptedRecorder extends EventTarget {
  static made: ScriptedRecorder[] = [];
  /** Whether recorders say that they start; some never do. */
  static saysStart = true;
  /** What they give when they are stopped; null for nothing at all. */
  static rest: string | null = "pictures";
  static mimeType = "video/webm";
  readonly mimeType = ScriptedRecorder.mimeType;
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
    if (!ScriptedRecorder.saysStart) return;
    queueMicrotask(() => this.dispatchEvent(new Event("start")));
  }

  pause(): void {
    this.state = "paused";
  }

  resume(): void {
    this.state = "recording";
  }

  /** Nothing is there to be given. */
  requestData(): void {}

  stop(): void {
    this.state = "inactive";
    if (this.isHung) return;
    queueMicrotask(() => {
      if (ScriptedRecorder.rest !== null) this.giveData(ScriptedRecorder.rest);
      this.dispatchEvent(new Event("stop"));
    });
  }

  giveData(text = "pictures"): void {
    const data = new Blob([text]);
    this.dispatchEvent(Object.assign(new Event("dataavailable"), { data }));
  }
}

/** A camera's picture, which Bun has not either. */
class CameraTrack extends EventTarget implements MediaStreamTrack {
  readonly kind = "video";
  readonly id = "camera";
  readonly label = "Camera";
  readonly readyState = "live";
  muted = false;
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

function newestRecorder(): ScriptedRecorder {
  const newest = ScriptedRecorder.made.at(-1);
  if (newest === undefined) throw new Error("no recorder was made");
  return newest;
}

/** Code and message of what a promise rejects with; null when it resolves. */
function rejectionOf(promise: Promise<void>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

function runOf(stream: MediaStream) {
  const clock = new ManualClock();
  /** How far the wall clock was set. */
  const wall = { aheadMs: 0 };
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
    clock: {
      nowMs: () => clock.nowMs() + wall.aheadMs,
      monotonicMs: () => clock.nowMs(),
      after: (delayMs, callback) => clock.after(delayMs, callback),
    },
    newSegmentId: () => {
      segments += 1;
      return `segment ${segments}`;
    },
  });
  return { run, clock, wall, totals };
}

/** What Bun has not itself: these are put there for a test, and taken away after it. */
const BROWSER_GLOBALS = {
  document: Object.assign(new EventTarget(), { visibilityState: "visible" }),
  MediaRecorder: ScriptedRecorder,
};

beforeEach(() => {
  ScriptedRecorder.made = [];
  ScriptedRecorder.saysStart = true;
  ScriptedRecorder.rest = "pictures";
  ScriptedRecorder.mimeType = "video/webm";
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
  const first = newestRecorder();
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

describe("a run that gives not a single byte", () => {
  test("rejects its start within seconds, and never succeeds", async () => {
    ScriptedRecorder.saysStart = false;
    ScriptedRecorder.rest = null;
    const { run, clock } = runOf(new CameraStream());
    const reported: string[] = [];
    run.events.on("error", ({ code }) => reported.push(code));
    const rejection = rejectionOf(run.start());
    clock.advance(FIRST_DATA_MS_MAX);
    expect(await rejection).toMatchObject({
      code: "recorder-failed",
      message: expect.stringContaining("Nothing was recorded"),
    });
    expect(await run.outcome).toMatchObject({ code: "recorder-failed" });
    // Whoever waits for the start has it already.
    expect(reported).toEqual([]);
  });

  test("fails by an event when its recorder said that it started, and gave empty blobs", async () => {
    ScriptedRecorder.rest = "";
    const { run, clock } = runOf(new CameraStream());
    const reported: string[] = [];
    run.events.on("error", ({ code }) => reported.push(code));
    await run.start();
    for (let i = 0; i < FIRST_DATA_MS_MAX; i += 1_000) {
      newestRecorder().giveData("");
      clock.advance(1_000);
      // A recorder that was told to stop ends.
      await setImmediate();
    }
    expect(reported).toEqual(["recorder-failed"]);
    expect(await run.outcome).toMatchObject({ code: "recorder-failed" });
  });

  test("waits longer for the first data of an MP4", async () => {
    ScriptedRecorder.mimeType = "video/mp4";
    const { run, clock } = runOf(new CameraStream());
    await run.start();
    clock.advance(FIRST_MP4_DATA_MS_MAX - 4_000);
    newestRecorder().giveData();
    clock.advance(FIRST_MP4_DATA_MS_MAX);
    run.stop();
    expect(await run.outcome).toBeNull();
  });

  test("is not waited for while it is paused, or muted by the system", async () => {
    const stream = new CameraStream();
    const { run, clock } = runOf(stream);
    await run.start();
    run.pause();
    clock.advance(FIRST_DATA_MS_MAX * 2);
    for (const track of stream.getTracks()) track.muted = true;
    run.resume();
    clock.advance(FIRST_DATA_MS_MAX * 2);
    for (const track of stream.getTracks()) track.muted = false;
    newestRecorder().giveData();
    run.stop();
    expect(await run.outcome).toBeNull();
  });

  test("has failed when it is stopped after a second, and not when it is stopped before", async () => {
    ScriptedRecorder.rest = null;
    const outcomes: unknown[] = [];
    for (const recordedMs of [100, EMPTY_RUN_MS_MAX + 100]) {
      const { run, clock } = runOf(new CameraStream());
      await run.start();
      clock.advance(recordedMs);
      run.stop();
      outcomes.push(await run.outcome);
    }
    expect(outcomes).toEqual([null, expect.objectContaining({ code: "recorder-failed" })]);
  });
});

test("a recorder that does not end when it is stopped ends the run all the same, with an error", async () => {
  const { run, clock, totals } = runOf(new CameraStream());
  await run.start();
  newestRecorder().giveData();
  newestRecorder().isHung = true;
  run.stop();
  clock.advance(STOP_MS_MAX - 1);
  expect(totals).toEqual([]);
  clock.advance(1);
  expect(await run.outcome).toMatchObject({
    code: "recorder-failed",
    message: expect.stringContaining("did not end"),
  });
  expect(totals).toEqual([["segment 1", 1]]);
});

test("a recorder that fails and does not end is given up, and another one goes on", async () => {
  const { run, clock } = runOf(new CameraStream());
  await run.start();
  newestRecorder().giveData();
  newestRecorder().isHung = true;
  newestRecorder().dispatchEvent(new Event("error"));
  clock.advance(STOP_MS_MAX);
  expect(ScriptedRecorder.made.map(({ state }) => state)).toEqual(["inactive", "recording"]);
  run.stop();
  await setImmediate();
  clock.advance(ANSWER_MS);
  expect(await run.outcome).toBeNull();
});

test("a recorder that never says that it started has, once it gives data", async () => {
  ScriptedRecorder.saysStart = false;
  const { run } = runOf(new CameraStream());
  const started = run.start();
  newestRecorder().giveData();
  await started;
  run.stop();
  expect(await run.outcome).toBeNull();
});

test.each([3_600_000, -3_600_000])(
  "a clock that is set by %d ms neither shows in the recorded time nor hides a stall",
  async (setByMs) => {
    const { run, clock, wall } = runOf(new CameraStream());
    const stalls: string[] = [];
    run.events.on("stall", ({ action }) => stalls.push(action));
    await run.start();
    clock.advance(1_000);
    newestRecorder().giveData();
    wall.aheadMs += setByMs;
    clock.advance(1_000);
    newestRecorder().giveData();
    expect(run.progress.recorded.seconds).toBe(2);
    run.pause();
    wall.aheadMs -= setByMs;
    clock.advance(5_000);
    run.resume();
    clock.advance(1_000);
    newestRecorder().giveData();
    expect(run.progress.recorded.seconds).toBe(3);
    wall.aheadMs += setByMs;
    clock.advance(SILENT_MS_MIN);
    expect(stalls).toEqual(["asked"]);
    run.stop();
    expect(await run.outcome).toBeNull();
  },
);
