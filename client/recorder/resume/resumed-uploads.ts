import { EventEmitter } from "../event-emitter.ts";
import type { RecorderError } from "../recorder-error.ts";
import type {
  PendingProgress,
  PendingSegment,
  PendingUploads,
  PendingUploadsEvents,
} from "../recorder.d.ts";
import type { RunUpload } from "../service/run-upload.ts";
import type { ResumedRun } from "../service/upload-host.ts";

interface Tally {
  chunks: number;
  bytes: number;
  ms: number;
}

/** The uploads of what dead runs left: see `PendingUploads`. Finished as soon as none runs. */
export class ResumedUploads implements PendingUploads {
  readonly finished: Promise<void>;
  readonly #events = new EventEmitter<PendingUploadsEvents>();
  readonly #segments = new Map<string, PendingSegment>();
  readonly #running = new Set<RunUpload>();
  readonly #found: Tally = { chunks: 0, bytes: 0, ms: 0 };
  readonly #acknowledged: Tally = { chunks: 0, bytes: 0, ms: 0 };
  #settle: (error: RecorderError | null) => void = () => undefined;
  #error: RecorderError | null = null;
  #isFinished = false;

  constructor() {
    this.finished = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === null ? resolve() : reject(error));
    });
    // Nobody has to listen: each segment tells its own error.
    this.finished.catch(() => undefined);
  }

  get segments(): readonly PendingSegment[] {
    return [...this.#segments.values()];
  }

  get progress(): PendingProgress {
    const { chunks, bytes, ms } = this.#acknowledged;
    return {
      pending: {
        chunks: this.#found.chunks - chunks,
        bytes: this.#found.bytes - bytes,
        seconds: (this.#found.ms - ms) / 1_000,
      },
      acknowledged: { chunks, bytes, seconds: ms / 1_000 },
    };
  }

  /** Whether `finished` is settled: then nothing can be added any more. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  on<Name extends keyof PendingUploadsEvents>(
    name: Name,
    listener: (event: PendingUploadsEvents[Name]) => void,
  ): () => void {
    return this.#events.on(name, listener);
  }

  /** Adds what was found; without anything it is finished. */
  add(runs: readonly ResumedRun[]): void {
    for (const { upload, segments } of runs) {
      for (const { durationMs, ...segment } of segments) {
        this.#segments.set(segment.segmentId, { ...segment, state: "waiting", error: null });
        this.#found.chunks += segment.chunks;
        this.#found.bytes += segment.bytes;
        this.#found.ms += durationMs;
      }
      this.#running.add(upload);
      this.#attend(upload, new Set(segments.map(({ segmentId }) => segmentId)));
    }
    if (runs.length > 0) this.#events.emit("progress", this.progress);
    this.#finishIfDone();
  }

  /** Gives the uploads up. */
  abandon(): void {
    for (const upload of this.#running) {
      upload.abandon("The upload of what was left was given up.");
    }
  }

  #attend(upload: RunUpload, segmentIds: ReadonlySet<string>): void {
    const { events } = upload;
    events.on("acknowledged", (chunks) => {
      for (const { bytes, durationMs } of chunks) {
        this.#acknowledged.chunks += 1;
        this.#acknowledged.bytes += bytes;
        this.#acknowledged.ms += durationMs;
      }
      this.#events.emit("progress", this.progress);
    });
    events.on("retry", (retry) => this.#events.emit("retry", retry));
    events.on("ended", ({ segmentId }) => this.#become(segmentId, "delivered", null));
    events.on("refused", ({ segmentId, error }) => this.#refuse([segmentId], error));
    events.on("failed", (error) => this.#refuse(segmentIds, error));
    void upload.finished.then((error) => {
      this.#error ??= error;
      this.#running.delete(upload);
      this.#finishIfDone();
      return error;
    });
  }

  #refuse(segmentIds: Iterable<string>, error: RecorderError): void {
    for (const segmentId of segmentIds) this.#become(segmentId, "refused", error);
    this.#events.emit("error", error);
  }

  /** A state is final. */
  #become(segmentId: string, state: PendingSegment["state"], error: RecorderError | null): void {
    const segment = this.#segments.get(segmentId);
    if (segment?.state !== "waiting") return;
    this.#segments.set(segmentId, { ...segment, state, error });
  }

  #finishIfDone(): void {
    if (this.#running.size > 0 || this.#isFinished) return;
    this.#isFinished = true;
    this.#settle(this.#error);
    this.#events.emit("finished", this.progress);
  }
}
