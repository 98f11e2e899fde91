import { SilenceWatch, soundLevel } from "./sound-level.ts";

/** How often a screen reader's figure changes: the picture follows every frame. */
const SPOKEN_EVERY_MS = 500;

/** The page's elements that the meter moves. */
export interface LevelMeterElements {
  readonly row: HTMLElement;
  readonly meter: HTMLElement;
  readonly fill: HTMLElement;
  readonly silenceHint: HTMLElement;
}

/** Shows how loud the microphone is, and says so when it gives no sound at all. */
export class LevelMeter {
  readonly #elements: LevelMeterElements;
  #ended: AbortController | null = null;
  #context: AudioContext | null = null;

  constructor(elements: LevelMeterElements) {
    this.#elements = elements;
  }

  /** Follows the first microphone of this stream instead of what it followed before. */
  async start(stream: MediaStream): Promise<void> {
    await this.stop();
    const [microphone] = stream.getAudioTracks();
    if (!microphone) return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(new MediaStream([microphone])).connect(analyser);
    const ended = new AbortController();
    this.#ended = ended;
    this.#context = context;
    this.#elements.row.hidden = false;
    this.#follow(analyser, ended.signal);
    // A page that nobody has touched yet gets a suspended context: the next touch starts it.
    const wake = () => void context.resume();
    for (const type of ["pointerdown", "keydown"]) {
      document.addEventListener(type, wake, { signal: ended.signal });
    }
  }

  /** Resolves when the sound device is let go. */
  async stop(): Promise<void> {
    this.#ended?.abort();
    this.#ended = null;
    this.#elements.row.hidden = true;
    const context = this.#context;
    this.#context = null;
    await context?.close();
  }

  #follow(analyser: AnalyserNode, signal: AbortSignal): void {
    const { meter, fill, silenceHint } = this.#elements;
    const samples = new Float32Array(analyser.fftSize);
    const silence = new SilenceWatch(performance.now());
    let shown = 0;
    let spokenAtMs = 0;
    const draw = (nowMs: number) => {
      if (signal.aborted) return;
      analyser.getFloatTimeDomainData(samples);
      const level = soundLevel(samples);
      // Rises at once and falls slowly, so that a syllable can be seen.
      shown = Math.max(level, shown * 0.92);
      fill.style.clipPath = `inset(0 ${100 - shown * 100}% 0 0)`;
      if (nowMs - spokenAtMs >= SPOKEN_EVERY_MS) {
        spokenAtMs = nowMs;
        meter.setAttribute("aria-valuenow", String(Math.round(shown * 100)));
        silenceHint.hidden =
          analyser.context.state !== "running" ||
          !silence.isSilent(shown > 0.01 ? shown : 0, nowMs);
      }
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }
}
