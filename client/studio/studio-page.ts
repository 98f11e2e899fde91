import type { ApiClient } from "./api-client.ts";
import { describeMediaProblem, type WantedMedia } from "./describe-media-problem.ts";
import { describeRecorderProblem } from "./describe-recorder-problem.ts";
import { describeRequestProblem } from "./describe-request-problem.ts";
import type { SessionSnapshot } from "./describe-safety.ts";
import type { DevicePicker } from "./device-picker.ts";
import type { LevelMeter } from "./level-meter.ts";
import { trackIdOf } from "./media-choice.ts";
import type { NoticeBoard } from "./notice-board.ts";
import type { ProgressView } from "./progress-view.ts";
import { RecorderError } from "../recorder/client-recorder.ts";
import { RecordingSession, type TrackSource } from "./recording-session.ts";
import type { RecordingDetails } from "./recording-details.ts";
import type { RecordingsList } from "./recordings-list.ts";
import { rememberName } from "./remembered-name.ts";
import type { ScreenShare } from "./screen-share.ts";
import type { Stage } from "./stage.ts";
import type { StudioControls, StudioMode } from "./studio-controls.ts";

/** How often the clock of a running recording is drawn. */
const TICK_MS = 250;

/** What the page is made of. */
export interface StudioPageParts {
  readonly api: ApiClient;
  readonly controls: StudioControls;
  readonly details: RecordingDetails;
  readonly level: LevelMeter;
  readonly list: RecordingsList;
  readonly notices: NoticeBoard;
  readonly picker: DevicePicker;
  readonly progress: ProgressView;
  readonly screen: ScreenShare;
  readonly stage: Stage;
}

/**
 * The way of a recording through the page: devices, recording, saving, finalization, player. Holds
 * the mode and what each control does in it.
 */
export class StudioPage {
  readonly #parts: StudioPageParts;
  #mode: StudioMode = "idle";
  #session: RecordingSession | null = null;
  /** The latest opening of devices: two at once would leave a camera open that nobody holds. */
  #opened: Promise<boolean> = Promise.resolve(false);
  #ticker: ReturnType<typeof setInterval> | undefined;

  constructor(parts: StudioPageParts) {
    this.#parts = parts;
  }

  /**
   * Opens the devices that are chosen by the time it is their turn, and shows them. Resolves to
   * whether there is something to show; if not, the person is told why.
   */
  openDevices(): Promise<boolean> {
    this.#opened = this.#opened.then(() => this.#open());
    return this.#opened;
  }

  /** Something else is chosen: what is open follows. */
  async followChoice(): Promise<void> {
    if (this.#mode === "idle") await this.openDevices();
  }

  /** Starts to record what is chosen, after opening it if it is not open yet. */
  async record(): Promise<void> {
    if (this.#mode !== "idle") return;
    const { api, picker, screen, controls, notices, list } = this.#parts;
    this.#enter("starting");
    await this.#opened;
    const isOpen = picker.stream !== null || (await this.openDevices());
    if (!isOpen && !picker.choosesNothing) return this.#enter("idle");
    const sources: TrackSource[] = [];
    if (picker.stream) sources.push({ trackId: trackIdOf(picker.choice), stream: picker.stream });
    if (screen.stream) sources.push({ trackId: "screen", stream: screen.stream });
    if (sources.length === 0) {
      const sentence =
        "There is nothing to record: choose a camera or a microphone, or share your screen.";
      notices.show("recording", { sentence });
      return this.#enter("idle");
    }
    const session = new RecordingSession(api, controls.participantName, {
      changed: (snapshot) => this.#show(snapshot),
      captureEnded: () => void this.stop(),
      storageChanged: (sentence) => this.#tellWarning("storage", sentence),
      stalled: (trackId, sentence) => this.#tellWarning(`stall-${trackId}`, sentence),
      storageFull: (sentence) => notices.show("full", { sentence }),
    });
    try {
      await session.start(controls.recordingName, sources);
    } catch (error) {
      notices.show("recording", { sentence: describeStartProblem(error) });
      return this.#enter("idle");
    }
    this.#session = session;
    notices.clear("recording");
    rememberName(() => localStorage, controls.participantName);
    this.#watchTracks(picker.stream);
    this.#ticker = setInterval(() => this.#show(session.snapshot), TICK_MS);
    this.#enter("recording");
    list.ownRecordingId = session.recordingId;
    await list.refresh();
  }

  togglePause(): void {
    if (this.#mode === "recording") {
      this.#session?.pause();
      this.#enter("paused");
    } else if (this.#mode === "paused") {
      this.#session?.resume();
      this.#enter("recording");
    }
  }

  /** Stops capturing, turns the devices off, and follows the recording until it can be watched. */
  async stop(): Promise<void> {
    const { notices, progress, stage, list, details, controls } = this.#parts;
    const session = this.#session;
    if (!session || (this.#mode !== "recording" && this.#mode !== "paused")) return;
    this.#enter("sending");
    const stopped = session.stop();
    await this.#releaseDevices("Recording has ended.");
    progress.focus();
    try {
      await stopped;
    } catch (error) {
      const sentence = describeRequestProblem(error, "The recording could not be finished");
      notices.show("recording", { sentence });
    }
    clearInterval(this.#ticker);
    const { refusal } = session.snapshot;
    if (refusal !== null) notices.show("saving", { sentence: refusal });
    stage.showOnAir(null);
    this.#session = null;
    list.ownRecordingId = null;
    this.#enter("finished");
    controls.showResult();
    if (session.recordingId !== null) details.show(session.recordingId);
    await list.refresh();
  }

  /** Back to the devices. */
  async startOver(): Promise<void> {
    const { details, notices, progress } = this.#parts;
    details.close();
    progress.hide();
    notices.clear("recording");
    notices.clear("saving");
    notices.clear("storage");
    notices.clear("full");
    this.#enter("idle");
    await this.openDevices();
  }

  /** Shares a screen, or stops sharing it; while recording, its track begins or ends. */
  async toggleScreen(): Promise<void> {
    const { screen, stage, notices, controls } = this.#parts;
    notices.clear("screen");
    if (screen.stream) {
      await this.screenEnded();
      return;
    }
    try {
      const stream = await screen.start();
      await stage.showScreen(stream);
      if (this.#mode === "recording") {
        await this.#session?.addTrack({ trackId: "screen", stream });
      }
      controls.isSharing = true;
    } catch (error) {
      await this.screenEnded();
      this.#tellMediaProblem("screen", error, "screen");
    }
  }

  /** The screen is not shared any more. */
  async screenEnded(): Promise<void> {
    const { screen, stage, controls } = this.#parts;
    this.#session?.endTrack("screen");
    screen.stop();
    controls.isSharing = false;
    await stage.showScreen(null);
  }

  async #open(): Promise<boolean> {
    const { picker, stage, notices, level } = this.#parts;
    notices.clear("devices");
    if (picker.choosesNothing) {
      picker.release();
      await level.stop();
      stage.showWords("Camera and microphone are off.");
      return false;
    }
    const { wanted } = picker;
    try {
      const stream = await picker.open();
      await stage.showDevices(stream);
      await level.start(stream);
      return true;
    } catch (error) {
      await level.stop();
      stage.showWords("See and hear yourself before you record.", true);
      const run = () => void this.openDevices();
      this.#tellMediaProblem("devices", error, wanted, { label: "Try again", run });
      return false;
    }
  }

  #enter(mode: StudioMode): void {
    this.#mode = mode;
    this.#parts.controls.show(mode);
    this.#parts.picker.locked = mode !== "idle";
  }

  #show(snapshot: SessionSnapshot): void {
    this.#parts.progress.show(snapshot);
    this.#parts.stage.showOnAir(snapshot);
  }

  async #releaseDevices(words: string): Promise<void> {
    const { picker, level, stage } = this.#parts;
    picker.release();
    await level.stop();
    stage.showWords(words);
    await this.screenEnded();
  }

  /** A device that goes away leaves the rest of the recording as it is, but has to be told. */
  #watchTracks(stream: MediaStream | null): void {
    for (const track of stream?.getTracks() ?? []) {
      const noun = track.kind === "video" ? "camera" : "microphone";
      track.addEventListener("ended", () => {
        const sentence = `The ${noun} stopped: it was unplugged or taken away. What else there is goes on being recorded; to use another ${noun}, stop and start a new recording.`;
        this.#parts.notices.show(`lost-${noun}`, { sentence, tone: "warning" });
      });
    }
  }

  /** Null where there is nothing to warn of any more. */
  #tellWarning(topic: string, sentence: string | null): void {
    if (sentence === null) this.#parts.notices.clear(topic);
    else this.#parts.notices.show(topic, { sentence, tone: "warning" });
  }

  #tellMediaProblem(
    topic: string,
    error: unknown,
    wanted: WantedMedia,
    action?: { label: string; run: () => void },
  ): void {
    if (!(error instanceof DOMException) && !(error instanceof RecorderError)) throw error;
    const sentence =
      error instanceof RecorderError
        ? describeRecorderProblem(error)
        : describeMediaProblem(error, wanted);
    this.#parts.notices.show(topic, action ? { sentence, action } : { sentence });
  }
}

function describeStartProblem(error: unknown): string {
  return error instanceof RecorderError
    ? describeRecorderProblem(error)
    : describeRequestProblem(error, "The recording was not started");
}
