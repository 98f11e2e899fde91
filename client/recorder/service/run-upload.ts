import { EventEmitter } from "../event-emitter.ts";
import type { RecorderError } from "../recorder-error.ts";
import type { StorageChange, UnacknowledgedChunk, UploadRetry } from "../recorder.d.ts";
import { errorOfFields } from "./error-fields.ts";
import type { PostCommand } from "./upload-connection.ts";
import type { UploadCommands, UploadEvent, UploadEvents } from "./upload-messages.ts";

/** How a run uploads. */
export type RunUploadSettings = Omit<UploadCommands["open"], "type" | "runId">;

/** What a run's upload tells, until its end. */
export interface RunUploadEvents {
  readonly kept: UploadEvents["kept"];
  readonly acknowledged: UploadEvents["acknowledged"]["chunks"];
  readonly ended: { readonly segmentId: string; readonly chunkCount: number };
  readonly retry: UploadRetry;
  /** Chunks that are numbered from now on should be no larger. */
  readonly pieces: { readonly bytesMax: number };
  /** Of one chunk, for good; the others are uploaded. */
  readonly refused: { readonly segmentId: string; readonly error: RecorderError };
  /** Nothing is uploaded any more. */
  readonly failed: RecorderError;
  readonly storage: StorageChange;
  /** Record with half the bit rate from now on. */
  readonly reduce: null;
  /** There is no room for more: stop recording. */
  readonly full: null;
}

/** What a run's upload is made of. */
export interface RunUploadParts {
  readonly post: PostCommand;
  readonly list: () => Promise<readonly UnacknowledgedChunk[]>;
}

type RunEvent = Extract<UploadEvent, { readonly runId: string }>;

/** A page's handle of the upload of one run, wherever that works. */
export class RunUpload {
  readonly runId: string;
  readonly events = new EventEmitter<RunUploadEvents>();
  /** With null when everything is acknowledged and every segment ended, else the first final error. */
  readonly finished: Promise<RecorderError | null>;
  readonly #parts: RunUploadParts;
  #resolveFinished: (error: RecorderError | null) => void = () => undefined;

  constructor(runId: string, parts: RunUploadParts) {
    this.runId = runId;
    this.#parts = parts;
    this.finished = new Promise((resolve) => {
      this.#resolveFinished = resolve;
    });
  }

  /** Hands a chunk over, synchronously. Chunks of a segment come in order. */
  add(chunk: UploadCommands["add"]["chunk"]): void {
    this.#parts.post({ type: "add", runId: this.runId, chunk });
  }

  /** Tells a segment's total, after its last `add`. */
  endSegment(segmentId: string, chunkCount: number): void {
    this.#parts.post({ type: "endSegment", runId: this.runId, segmentId, chunkCount });
  }

  /** To be called after the last `endSegment`. */
  finish(): Promise<RecorderError | null> {
    this.#parts.post({ type: "finish", runId: this.runId });
    return this.finished;
  }

  /** Gives the upload up: `finished` will tell `stopped`, and what is left is kept. */
  abandon(message: string): void {
    this.#parts.post({ type: "abandon", runId: this.runId, message });
  }

  /** What is kept since it is not acknowledged, also after the end. */
  list(): Promise<readonly UnacknowledgedChunk[]> {
    return this.#parts.list();
  }

  /** For the host: something happened to this run. */
  receive(event: RunEvent): void {
    const { events } = this;
    switch (event.type) {
      case "kept":
        return events.emit("kept", event);
      case "acknowledged":
        return events.emit("acknowledged", event.chunks);
      case "ended":
        return events.emit("ended", {
          segmentId: event.segmentId,
          chunkCount: event.chunkCount,
        });
      case "retry": {
        const { type: _type, runId: _runId, ...retry } = event;
        return events.emit("retry", retry);
      }
      case "pieces":
        return events.emit("pieces", { bytesMax: event.bytesMax });
      case "refused":
        return events.emit("refused", {
          segmentId: event.segmentId,
          error: errorOfFields(event.error),
        });
      case "failed":
        return events.emit("failed", errorOfFields(event.error));
      case "storage":
        return events.emit("storage", event.change);
      case "reduce":
        return events.emit("reduce", null);
      case "full":
        return events.emit("full", null);
      case "finished":
        return this.#resolveFinished(event.error === null ? null : errorOfFields(event.error));
    }
  }
}
