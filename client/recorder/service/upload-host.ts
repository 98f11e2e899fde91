import { newUuid } from "../new-uuid.ts";
import type { RecorderError } from "../recorder-error.ts";
import { errorOfFields } from "./error-fields.ts";
import { RunUpload, type RunUploadSettings } from "./run-upload.ts";
import type { ConnectUpload, PostCommand } from "./upload-connection.ts";
import type { UploadCommands, UploadEvent, UploadEvents } from "./upload-messages.ts";

type Answer = UploadEvents["listed"] | UploadEvents["resumed"];

/** A run that a service has begun with what a dead one left. */
export interface ResumedRun {
  readonly upload: RunUpload;
  readonly segments: UploadEvents["resumed"]["runs"][number]["segments"];
}

/** A page's side of an upload service: hands out runs, and gives each its events. */
export class UploadHost {
  readonly #post: PostCommand;
  readonly #runs = new Map<string, RunUpload>();
  readonly #calls = new Map<
    number,
    { readonly resolve: (answer: Answer) => void; readonly reject: (error: RecorderError) => void }
  >();
  #nextCallId = 0;

  constructor(connect: ConnectUpload) {
    this.#post = connect((event) => this.#receive(event));
  }

  /** Begins a run. */
  openRun(settings: RunUploadSettings): RunUpload {
    const upload = this.#newRun(newUuid());
    this.#post({ type: "open", runId: upload.runId, ...settings });
    return upload;
  }

  /**
   * Looks for what dead runs left and begins to upload it. `onRuns` is called, before any of them
   * tells anything, and then the promise resolves. Rejects with `RecorderError` (`spool-failed`).
   */
  async resume(
    wanted: Pick<UploadCommands["resume"], "serverUrl" | "hasAppFetch">,
    onRuns: (runs: readonly ResumedRun[]) => void,
  ): Promise<void> {
    await this.#call(
      (callId) => this.#post({ type: "resume", callId, ...wanted }),
      (answer) => {
        if (answer.type !== "resumed") return;
        onRuns(
          answer.runs.map(({ runId, segments }) => ({ upload: this.#newRun(runId), segments })),
        );
      },
    );
  }

  #newRun(runId: string): RunUpload {
    const upload = new RunUpload(runId, {
      post: this.#post,
      list: async () => {
        let chunks: UploadEvents["listed"]["chunks"] = [];
        await this.#call(
          (callId) => this.#post({ type: "list", runId, callId }),
          (answer) => {
            if (answer.type === "listed") chunks = answer.chunks;
          },
        );
        return chunks;
      },
    });
    this.#runs.set(runId, upload);
    return upload;
  }

  #call(ask: (callId: number) => void, onAnswer: (answer: Answer) => void): Promise<void> {
    const callId = this.#nextCallId;
    this.#nextCallId += 1;
    return new Promise((resolve, reject) => {
      this.#calls.set(callId, {
        resolve: (answer) => {
          onAnswer(answer);
          resolve();
        },
        reject,
      });
      ask(callId);
    });
  }

  #receive(event: UploadEvent): void {
    switch (event.type) {
      case "ready":
        break;
      case "listed":
      case "resumed":
        this.#calls.get(event.callId)?.resolve(event);
        this.#calls.delete(event.callId);
        break;
      case "callFailed":
        this.#calls.get(event.callId)?.reject(errorOfFields(event.error));
        this.#calls.delete(event.callId);
        break;
      default:
        this.#runs.get(event.runId)?.receive(event);
        // A handle outlives it where somebody holds it.
        if (event.type === "finished") this.#runs.delete(event.runId);
    }
  }
}
