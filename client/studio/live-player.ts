import type { Problem } from "../../src/contract/problem.ts";

/** How far behind the newest picture that has come playing goes on: a chunk, and a little to spare. */
const EDGE_S = 1.25;

/** Farther behind, playing jumps to the edge: a picture is more than a second old when it comes. */
const BEHIND_S_MAX = 2;

/** What is older is forgotten. */
const KEPT_S = 30;

/** When to ask again after the end of a segment, or a failure. */
const RETRY_MS = 500;

/** What the player tells; it holds on to no owner. */
export interface LivePlayerEvents {
  /** How the live view fares, in a sentence for people; null while it plays. */
  readonly status: (sentence: string | null) => void;
}

/** Plays a running track near its live edge, one segment after the other. */
export class LivePlayer {
  readonly #video: HTMLVideoElement;
  readonly #events: LivePlayerEvents;
  #run: AbortController | null = null;

  constructor(video: HTMLVideoElement, events: LivePlayerEvents) {
    this.#video = video;
    this.#events = events;
  }

  /** Plays what is behind this path of the server from now on, and nothing else. */
  start(path: string): void {
    this.stop();
    const run = new AbortController();
    this.#run = run;
    this.#events.status("Connecting …");
    void this.#follow(path, run.signal);
  }

  /** Stops playing and loading; no event comes after this. */
  stop(): void {
    if (this.#run === null) return;
    this.#run.abort();
    this.#run = null;
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  async #follow(path: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let next: "ask-again" | "give-up" = "ask-again";
      try {
        next = await this.#playSegment(path, signal);
      } catch {
        // The network, the server or the decoder failed: the live edge can be joined anew.
        this.#tell(signal, "The live view was interrupted. Trying again …");
      }
      if (next === "give-up") return;
      await delay(RETRY_MS, signal);
    }
  }

  async #playSegment(path: string, signal: AbortSignal): Promise<"ask-again" | "give-up"> {
    const segment = new AbortController();
    try {
      const response = await fetch(path, { signal: AbortSignal.any([signal, segment.signal]) });
      return await this.#playAnswer(response, signal);
    } finally {
      // An answer that is not read to its end keeps its connection. A browser has six to a server,
      // and the uploads of this page need them.
      segment.abort();
    }
  }

  async #playAnswer(response: Response, signal: AbortSignal): Promise<"ask-again" | "give-up"> {
    if (!response.ok) return this.#tellRefusal(response, signal);
    const type = response.headers.get("content-type") ?? "";
    if (typeof MediaSource === "undefined" || !MediaSource.isTypeSupported(type)) {
      this.#tell(
        signal,
        `This browser does not play ${type} live. Watch the MP4 when it is ready.`,
      );
      return "give-up";
    }
    const source = new MediaSource();
    const url = URL.createObjectURL(source);
    try {
      const opened = happened(source, "sourceopen", signal);
      this.#video.src = url;
      await opened;
      await this.#playBody(response, source.addSourceBuffer(type), signal);
      source.endOfStream();
    } finally {
      URL.revokeObjectURL(url);
    }
    this.#tell(signal, `Nothing is being recorded at this moment. ${WAITING}`);
    return "ask-again";
  }

  async #playBody(response: Response, buffer: SourceBuffer, signal: AbortSignal): Promise<void> {
    const reader = response.body?.getReader();
    if (!reader) return;
    let hasPlayed = false;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const appended = happened(buffer, "updateend", signal);
      buffer.appendBuffer(part.value);
      await appended;
      const { error } = this.#video;
      if (error !== null) throw new Error(error.message);
      if (buffer.buffered.length === 0) continue;
      this.#tell(signal, null);
      // Whoever pauses it looks at what stands still.
      if (!hasPlayed || !this.#video.paused) this.#keepAtEdge(buffer);
      if (!hasPlayed) void this.#play();
      hasPlayed = true;
      await forgetOld(buffer, signal);
    }
  }

  #keepAtEdge({ buffered }: SourceBuffer): void {
    const video = this.#video;
    const last = buffered.length - 1;
    const [startS, endS] = [buffered.start(last), buffered.end(last)];
    // Behind a hole, too, which playing does not cross by itself.
    const isInside = video.currentTime >= startS && video.currentTime <= endS;
    if (isInside && endS - video.currentTime <= BEHIND_S_MAX) return;
    video.currentTime = Math.max(startS, endS - EDGE_S);
  }

  async #play(): Promise<void> {
    try {
      await this.#video.play();
    } catch (error) {
      // Without a click on the page a browser plays only what is mute. It also fails when it is
      // stopped meanwhile, and then nothing is to be played.
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      this.#video.muted = true;
      await this.#video.play();
    }
  }

  async #tellRefusal(response: Response, signal: AbortSignal): Promise<"ask-again" | "give-up"> {
    const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json");
    const problem: Problem | null = isProblem ? await response.json() : null;
    if (problem?.code === "not-live") {
      this.#tell(signal, `${problem.detail} ${WAITING}`);
      return "ask-again";
    }
    if (response.status >= 500 || problem === null) {
      this.#tell(signal, "The server does not show it now. Trying again …");
      return "ask-again";
    }
    this.#tell(signal, problem.detail);
    return "give-up";
  }

  #tell(signal: AbortSignal, sentence: string | null): void {
    if (!signal.aborted) this.#events.status(sentence);
  }
}

const WAITING = "Waiting for it to go on …";

async function forgetOld(buffer: SourceBuffer, signal: AbortSignal): Promise<void> {
  const { buffered } = buffer;
  if (buffered.length === 0) return;
  const keptFromS = buffered.end(buffered.length - 1) - KEPT_S;
  // Not each time for a little.
  if (keptFromS - buffered.start(0) < KEPT_S) return;
  const removed = happened(buffer, "updateend", signal);
  buffer.remove(0, keptFromS);
  await removed;
}

/** Resolves at the target's next event of that name; rejects when the signal aborts. */
function happened(target: EventTarget, name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const listening = new AbortController();
    const end = (settle: () => void) => () => {
      listening.abort();
      settle();
    };
    target.addEventListener(name, end(resolve), { signal: listening.signal });
    const fail = () => reject(new DOMException("The live view was stopped", "AbortError"));
    signal.addEventListener("abort", end(fail), { signal: listening.signal });
  });
}

function delay(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delayMs);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
