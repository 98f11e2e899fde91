import type { Recording } from "../../src/contract/recordings.ts";
import { RequestRefusedError, type ApiClient } from "./api-client.ts";
import { isFinal } from "./describe-recording.ts";

const POLL_EVERY_MS = 500;

/** After a request that failed, the server is given some time. */
const POLL_AFTER_FAILURE_MS = 2_000;

/** What the watch tells; it holds on to no owner. */
export interface RecordingWatchEvents {
  /** The recording as it is now, whether it changed or not. */
  readonly recording: (recording: Recording) => void;
  /** A request failed. Unless the server refused it, the watch goes on. */
  readonly trouble: (error: unknown) => void;
}

/** Follows a recording until nothing more happens to it by itself. */
export class RecordingWatch {
  readonly #api: ApiClient;
  readonly #events: RecordingWatchEvents;
  #run: { isStopped: boolean; timer: ReturnType<typeof setTimeout> | undefined } | null = null;

  constructor(api: ApiClient, events: RecordingWatchEvents) {
    this.#api = api;
    this.#events = events;
  }

  /** Follows this recording from now on, and no other. */
  start(recordingId: string): void {
    this.stop();
    const run = { isStopped: false, timer: undefined as ReturnType<typeof setTimeout> | undefined };
    this.#run = run;
    const poll = async () => {
      const delayMs = await this.#look(recordingId, run);
      if (delayMs !== null && !run.isStopped) run.timer = setTimeout(() => void poll(), delayMs);
    };
    void poll();
  }

  /** No event comes after this. */
  stop(): void {
    if (!this.#run) return;
    this.#run.isStopped = true;
    clearTimeout(this.#run.timer);
    this.#run = null;
  }

  /** Returns when to look again; null for never. */
  async #look(recordingId: string, run: { isStopped: boolean }): Promise<number | null> {
    try {
      const recording = await this.#api.recording(recordingId);
      if (run.isStopped) return null;
      this.#events.recording(recording);
      return isFinal(recording) ? null : POLL_EVERY_MS;
    } catch (error) {
      if (run.isStopped) return null;
      this.#events.trouble(error);
      return error instanceof RequestRefusedError && error.status < 500
        ? null
        : POLL_AFTER_FAILURE_MS;
    }
  }
}
