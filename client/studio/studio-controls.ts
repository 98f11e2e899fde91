import { requireElement, setText } from "./element.ts";

/** What the page is doing. */
export type StudioMode = "idle" | "starting" | "recording" | "paused" | "sending" | "finished";

const TITLES: Record<StudioMode, string> = {
  idle: "Track Capture",
  starting: "Track Capture",
  recording: "● Recording – Track Capture",
  paused: "Paused – Track Capture",
  sending: "Saving – Track Capture",
  finished: "Track Capture",
};

/** What the controls ask for. */
export interface StudioCommands {
  readonly openDevices: () => void;
  readonly record: () => void;
  readonly togglePause: () => void;
  readonly stop: () => void;
  readonly toggleScreen: () => void;
  readonly startOver: () => void;
}

/** The form and the buttons: what can be pressed in which mode, and where the keyboard goes. */
export class StudioControls {
  readonly #live = requireElement("live", HTMLElement);
  readonly #setup = requireElement("setup", HTMLFormElement);
  readonly #recordingName = requireElement("recording-name", HTMLInputElement);
  readonly #participantName = requireElement("participant-name", HTMLInputElement);
  readonly #openDevices = requireElement("open-devices", HTMLButtonElement);
  readonly #record = requireElement("record", HTMLButtonElement);
  readonly #stop = requireElement("stop", HTMLButtonElement);
  readonly #pause = requireElement("pause", HTMLButtonElement);
  readonly #pauseIcon = requireElement("pause-icon", SVGUseElement);
  readonly #pauseLabel = requireElement("pause-label", HTMLElement);
  readonly #share = requireElement("share-screen", HTMLButtonElement);
  readonly #shareLabel = requireElement("share-screen-label", HTMLElement);
  readonly #result = requireElement("result", HTMLElement);
  readonly #resultHeading = requireElement("result-heading", HTMLElement);
  readonly #newRecording = requireElement("new-recording", HTMLButtonElement);

  /** Fills in a name, unless somebody has begun to type one. */
  suggestName(participantName: string): void {
    const field = this.#participantName;
    if (field.value === "" && document.activeElement !== field) field.value = participantName;
  }

  /** Binds and enables the controls. */
  start(commands: StudioCommands): void {
    this.#setup.addEventListener("submit", (event) => {
      event.preventDefault();
      commands.record();
    });
    // A name of blanks is no name; the browser's own check lets it pass.
    this.#participantName.addEventListener("input", () => {
      const isBlank = this.#participantName.value.trim() === "";
      this.#participantName.setCustomValidity(isBlank ? "Enter your name." : "");
    });
    this.#openDevices.addEventListener("click", commands.openDevices);
    this.#pause.addEventListener("click", commands.togglePause);
    this.#stop.addEventListener("click", commands.stop);
    this.#share.addEventListener("click", commands.toggleScreen);
    this.#newRecording.addEventListener("click", commands.startOver);
    this.#openDevices.disabled = false;
    this.show("idle");
  }

  /** Phones have no screen to share. */
  hideShare(): void {
    this.#share.hidden = true;
  }

  /** Null where none was given. */
  get recordingName(): string | null {
    return this.#recordingName.value.trim() || null;
  }

  get participantName(): string {
    return this.#participantName.value.trim();
  }

  set isSharing(isSharing: boolean) {
    this.#share.setAttribute("aria-pressed", String(isSharing));
    setText(this.#shareLabel, isSharing ? "Stop sharing" : "Share screen");
  }

  show(mode: StudioMode): void {
    const isPrepared = mode === "idle" || mode === "starting";
    const isRunning = mode === "recording" || mode === "paused";
    const hadKeyboard = this.#live.contains(document.activeElement);
    document.title = TITLES[mode];
    this.#live.hidden = mode === "finished";
    this.#result.hidden = mode !== "finished";
    this.#setup.hidden = !isPrepared;
    this.#record.hidden = !isPrepared;
    this.#record.disabled = mode === "starting";
    this.#stop.hidden = !isRunning;
    this.#pause.hidden = !isRunning;
    this.#pauseIcon.setAttribute("href", mode === "paused" ? "#icon-resume" : "#icon-pause");
    setText(this.#pauseLabel, mode === "paused" ? "Resume" : "Pause");
    // A recorder that starts paused would have to begin with an empty chunk.
    this.#share.disabled = mode === "paused" || mode === "sending";
    // The button that was pressed is gone. Not to Stop: a key pressed twice would end it at once.
    if (isRunning && hadKeyboard && document.activeElement !== this.#pause) this.#pause.focus();
  }

  /** Leads the keyboard to the finished recording. */
  showResult(): void {
    setText(this.#resultHeading, this.recordingName ?? "Your recording");
    this.#resultHeading.focus();
  }
}
