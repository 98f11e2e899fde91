import { ClientRecorder, RecorderError } from "../recorder/client-recorder.ts";
import { RequestRefusedError, ServerUnreachableError, type ApiClient } from "./api-client.ts";
import type { StorageChange } from "../recorder/recorder.d.ts";
import { describeRecorderProblem } from "./describe-recorder-problem.ts";
import type { Trouble } from "./describe-retry.ts";
import type { SessionSnapshot } from "./describe-safety.ts";
import { describeStall, describeStorage } from "./describe-storage.ts";
import { RunningTime } from "./running-time.ts";
import { sumAmounts } from "./sum-amounts.ts";

/** Between two attempts to tell the server that the recording is over. */
const STOP_RETRY_MS = 2_000;

/**
 * The library's default of 1 Mbps is right for a call's small pictures; this page records 720p and
 * shared screens, whose text must stay legible.
 */
const VIDEO_BITS_PER_SECOND = 2_500_000;

/** A stream and the track that it is recorded as. */
export interface TrackSource {
  readonly trackId: "camera" | "microphone" | "screen";
  readonly stream: MediaStream;
}

/** What a session tells; it holds on to no owner. */
export interface RecordingSessionEvents {
  readonly changed: (snapshot: SessionSnapshot) => void;
  /** Nothing is captured any more, though nobody has stopped the session: stop it. */
  readonly captureEnded: () => void;
  /** What the person should know of this browser's storage; null when there is room again. */
  readonly storageChanged: (sentence: string | null) => void;
  /** What the person should know of a track that gives nothing; null when it gives again. */
  readonly stalled: (trackId: string, sentence: string | null) => void;
  /** This browser can keep no more: why capturing ended. What there is, is kept and sent. */
  readonly storageFull: (sentence: string) => void;
}

interface Run {
  readonly recorder: ClientRecorder;
  readonly trackId: TrackSource["trackId"];
  /** Why its uploads fail at the moment. */
  trouble: Trouble | null;
  /** Where its chunks wait; null before it has told. */
  storage: StorageChange | null;
  /** Chunks that it had given at the pause; one more holds what came before the pause. */
  chunksAtPause: number;
}

/**
 * One recording from its start on the server to its stop there: a recorder for each track, and the
 * figures of all of them together.
 */
export class RecordingSession {
  readonly #api: ApiClient;
  readonly #participantId: string;
  readonly #events: RecordingSessionEvents;
  readonly #runs: Run[] = [];
  readonly #time = new RunningTime();
  #recordingId: string | null = null;
  #phase: SessionSnapshot["phase"] = "recording";
  #refusal: string | null = null;
  #trouble: Trouble | null = null;

  constructor(api: ApiClient, participantId: string, events: RecordingSessionEvents) {
    this.#api = api;
    this.#participantId = participantId;
    this.#events = events;
  }

  /** Null before the server has given one. */
  get recordingId(): string | null {
    return this.#recordingId;
  }

  get snapshot(): SessionSnapshot {
    const trouble =
      this.#trouble ?? this.#runs.find((run) => run.trouble !== null)?.trouble ?? null;
    return {
      phase: this.#phase,
      tracks: [...new Set(this.#runs.map(({ trackId }) => trackId))],
      elapsedMs: this.#time.read(performance.now()),
      ...sumAmounts(this.#runs.map(({ recorder }) => recorder.progress)),
      isDurable: this.#runs.every(({ recorder }) => recorder.progress.isDurable),
      holdsBack: this.#runs.some((run) => holdsBack(run)),
      trouble: trouble?.reason ?? null,
      troubleCause: trouble?.cause,
      refusal: this.#refusal,
    };
  }

  /**
   * Starts a recording of these tracks. Rejects with an error of the API or a `RecorderError`; then
   * nothing is captured, and the recording that was begun on the server is taken back.
   */
  async start(name: string | null, sources: readonly TrackSource[]): Promise<void> {
    const { recordingId } = await this.#api.startRecording(name === null ? {} : { name });
    this.#recordingId = recordingId;
    try {
      await Promise.all(sources.map((source) => this.#record(source)));
    } catch (error) {
      await this.#takeBack(recordingId);
      throw error;
    }
    this.#time.run(performance.now());
    this.#tell();
  }

  /** Records one more track from now on. Rejects with a `RecorderError`; the others go on. */
  async addTrack(source: TrackSource): Promise<void> {
    await this.#record(source);
    this.#tell();
  }

  /** Ends one track; its rest is sent like everything else. */
  endTrack(trackId: TrackSource["trackId"]): void {
    for (const run of this.#runs) {
      // Its outcome is asked for again when the session stops.
      if (run.trackId === trackId) void run.recorder.stopRecording().catch(() => this.#tell());
    }
  }

  pause(): void {
    if (this.#phase !== "recording") return;
    for (const run of this.#runs) {
      run.chunksAtPause = run.recorder.progress.recorded.chunks;
      run.recorder.pauseRecording();
    }
    this.#time.halt(performance.now());
    this.#enter("paused");
  }

  resume(): void {
    if (this.#phase !== "paused") return;
    for (const { recorder } of this.#runs) recorder.resumeRecording();
    this.#time.run(performance.now());
    this.#enter("recording");
  }

  /**
   * Stops capturing at once, and resolves when everything that the server takes is saved and it
   * knows that the recording is over: while it is away, that can be long. Does not reject for what
   * was refused: see the snapshot. Rejects when the server refuses the stop itself.
   */
  async stop(): Promise<void> {
    const outcomes = Promise.allSettled(this.#runs.map(({ recorder }) => recorder.stopRecording()));
    this.#time.halt(performance.now());
    this.#enter("sending");
    for (const outcome of await outcomes) {
      if (outcome.status === "rejected") this.#refuse(outcome.reason);
    }
    if (this.#recordingId !== null) await this.#stopOnServer(this.#recordingId);
    this.#enter("ended");
  }

  async #record({ trackId, stream }: TrackSource): Promise<void> {
    const recorder = new ClientRecorder({
      participantId: this.#participantId,
      trackId,
      videoBitsPerSecond: VIDEO_BITS_PER_SECOND,
    });
    const run: Run = { recorder, trackId, trouble: null, storage: null, chunksAtPause: 0 };
    let acknowledged = 0;
    let isLeftOut = false;
    recorder.on("progress", (progress) => {
      if (progress.acknowledged.chunks > acknowledged) run.trouble = null;
      acknowledged = progress.acknowledged.chunks;
      this.#tell();
    });
    recorder.on("retry", (retry) => {
      run.trouble = retry;
      this.#tell();
    });
    recorder.on("storage", (change) => {
      run.storage = change;
      this.#events.storageChanged(this.#describeStorage());
    });
    recorder.on("stall", (stall) => {
      const sentence = describeStall(trackId, stall);
      if (stall.action === "asked") return;
      isLeftOut = stall.action === "leaving-out";
      this.#events.stalled(trackId, sentence);
    });
    recorder.on("error", (error) => {
      if (error.code === "spool-full") this.#events.storageFull(describeRecorderProblem(error));
      this.#refuse(error);
      this.#tell();
    });
    recorder.on("statechange", ({ state }) => {
      // What is said of a recording that goes on is over with it.
      if (state === "stopping" && isLeftOut) this.#events.stalled(trackId, null);
      this.#noticeEnd();
    });
    if (this.#recordingId === null) throw new TypeError("The session has not been started.");
    // In the order of the sources, whichever of them starts first.
    this.#runs.push(run);
    try {
      await recorder.startRecording(stream, this.#recordingId);
    } catch (error) {
      this.#runs.splice(this.#runs.indexOf(run), 1);
      throw error;
    }
  }

  #noticeEnd(): void {
    if (this.#phase !== "recording" && this.#phase !== "paused") return;
    const isCapturing = this.#runs.some(
      ({ recorder }) => recorder.state === "recording" || recorder.state === "paused",
    );
    if (!isCapturing && this.#runs.length > 0) this.#events.captureEnded();
  }

  async #takeBack(recordingId: string): Promise<void> {
    await Promise.allSettled(this.#runs.map(({ recorder }) => recorder.stopRecording()));
    // What cannot be taken back stays in the list, where the person can stop and delete it.
    await Promise.allSettled([
      this.#api.stopRecording(recordingId).then(() => this.#api.deleteRecording(recordingId)),
    ]);
  }

  async #stopOnServer(recordingId: string): Promise<void> {
    for (;;) {
      try {
        await this.#api.stopRecording(recordingId);
        this.#trouble = null;
        return;
      } catch (error) {
        this.#trouble = troubleOfStop(error);
        if (this.#trouble === null) throw error;
        this.#tell();
        await new Promise((resolve) => {
          setTimeout(resolve, STOP_RETRY_MS);
        });
      }
    }
  }

  /** The worst of what the tracks tell, which share one disk. */
  #describeStorage(): string | null {
    const changes = this.#runs.flatMap(({ storage }) => (storage === null ? [] : [storage]));
    const worst = changes.toSorted((a, b) => gravityOf(b) - gravityOf(a))[0];
    return worst === undefined ? null : describeStorage(worst);
  }

  /** The first refusal is the one that explains the others. */
  #refuse(error: unknown): void {
    if (!(error instanceof RecorderError)) throw error;
    // It ended the capturing; everything that was captured is delivered all the same.
    if (error.code === "spool-full") return;
    this.#refusal ??= describeRecorderProblem(error);
  }

  #enter(phase: SessionSnapshot["phase"]): void {
    this.#phase = phase;
    this.#tell();
  }

  #tell(): void {
    this.#events.changed(this.snapshot);
  }
}

function gravityOf({ state }: StorageChange): number {
  return ["ok", "low", "critical", "memory"].indexOf(state);
}

function holdsBack({ recorder, chunksAtPause }: Run): boolean {
  if (recorder.state === "paused") return recorder.progress.recorded.chunks <= chunksAtPause;
  return recorder.state === "recording" || recorder.state === "stopping";
}

/** What a stop that failed waits for; null when the server itself refuses it. */
function troubleOfStop(error: unknown): Trouble | null {
  if (error instanceof ServerUnreachableError) {
    return { cause: "no-answer", reason: "The server cannot be reached." };
  }
  if (!(error instanceof RequestRefusedError)) return null;
  const { code, status, message: reason } = error;
  if (status === 503) return { cause: "server-busy", reason };
  // What a proxy says in the server's place passes.
  if (code !== null) return null;
  const isSignIn = status === 401 || status === 403 || status === 407;
  return { cause: isSignIn ? "sign-in-needed" : "not-the-server", reason };
}
