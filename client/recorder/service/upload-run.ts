import { RecorderError } from "../recorder-error.ts";
import type { RecorderClock, RecorderFetch, StorageThresholds } from "../recorder.d.ts";
import type { SpooledChunk } from "../spool/chunk-spool.ts";
import { StorageWatch, type StorageFigures } from "../spool/storage-watch.ts";
import { ChunkUploader } from "../upload/chunk-uploader.ts";
import { localNetworkPermission } from "../upload/describe-silence.ts";
import { IngestApi } from "../upload/ingest-api.ts";
import { ServerClock } from "../upload/server-clock.ts";
import { fieldsOfError } from "./error-fields.ts";
import type { RunSpool } from "./run-spool.ts";
import type { UploadCommands, UploadEvent } from "./upload-messages.ts";

/** What a run is made of. */
export interface UploadRunParts {
  readonly runId: string;
  readonly serverUrl: string;
  readonly parallelUploads: number;
  readonly memoryBytesMax: number;
  readonly thresholds: StorageThresholds;
  readonly fetch: RecorderFetch;
  readonly clock: RecorderClock;
  readonly estimateStorage: () => Promise<StorageFigures | null>;
  readonly openSpool: (onTrouble: (cause: unknown) => void) => Promise<RunSpool>;
  readonly tell: (event: UploadEvent) => void;
}

interface OpenedRun {
  readonly spool: RunSpool;
  readonly uploader: ChunkUploader;
  readonly watch: StorageWatch;
}

/**
 * The upload of one run, from the chunks that a page hands over, or that a dead page left, to the
 * last acknowledgement. Commands take effect in their order, once the spool is open.
 */
export class UploadRun {
  readonly #parts: UploadRunParts;
  readonly #api: IngestApi;
  readonly #serverClock: ServerClock;
  readonly #opened: Promise<OpenedRun>;
  readonly #onOnline = (): void => this.#then(({ uploader }) => uploader.retryNow());

  constructor(parts: UploadRunParts) {
    this.#parts = parts;
    const { serverUrl, fetch, clock } = parts;
    this.#api = new IngestApi({
      serverUrl,
      fetch,
      clock,
      clockOffsetMs: (signal) => this.#serverClock.measuredOffsetMs(signal),
      pageOrigin: globalThis.origin ?? null,
      localNetworkPermission,
    });
    this.#serverClock = new ServerClock({
      clock,
      fetchServerTimeMs: (signal) => this.#api.serverTimeMs(signal),
    });
    this.#opened = this.#open();
  }

  add(chunk: UploadCommands["add"]["chunk"]): void {
    this.#then(({ uploader }) =>
      uploader.add({ ...chunk, clockOffsetMs: this.#serverClock.offsetMsAt(chunk.beganAtMs) }),
    );
  }

  endSegment(segmentId: string, chunkCount: number): void {
    this.#then(({ uploader }) => uploader.endSegment(segmentId, chunkCount));
  }

  /** Nothing more comes: `finished` is told when nothing is left that can be delivered. */
  finish(): void {
    this.#then(({ uploader }) => void this.#finish(uploader));
  }

  /** Gives the upload up; `finished` tells it. */
  abandon(message: string): void {
    this.#then(({ uploader }) => void uploader.stop(new RecorderError("stopped", message)));
  }

  /** What is not acknowledged and can be read, also after the end. */
  async list(): Promise<readonly SpooledChunk[]> {
    const { spool } = await this.#opened;
    return spool.spool.list();
  }

  /** Sends what the spool held when it was opened, ends its segments, and finishes. */
  async sendFound(): Promise<void> {
    const { spool, uploader } = await this.#opened;
    for (const { segment, chunks } of spool.found) {
      uploader.adopt(segment, chunks.length, segment.chunkCount ?? segment.chunksPut);
    }
    await this.#finish(uploader);
  }

  #then(act: (run: OpenedRun) => void): void {
    void this.#opened.then(act);
  }

  async #open(): Promise<OpenedRun> {
    const { clock, parallelUploads, openSpool, thresholds, memoryBytesMax } = this.#parts;
    const troubles: unknown[] = [];
    let report = (cause: unknown): void => void troubles.push(cause);
    const spool = await openSpool((cause) => report(cause));
    const watch = new StorageWatch({
      clock,
      thresholds,
      memoryBytesMax,
      noDiskReason: spool.noDiskReason,
      estimate: this.#parts.estimateStorage,
    });
    report = (cause) => watch.diskFailed(cause);
    troubles.forEach(report);
    const uploader = new ChunkUploader({
      spool: spool.spool,
      api: this.#api,
      clock,
      parallelUploads,
      random: Math.random,
    });
    this.#forward(uploader, watch, spool);
    globalThis.addEventListener("online", this.#onOnline);
    watch.start();
    // A chunk that was left behind has its own stamp, if it ever had one.
    const isStamped = spool.found.every(({ chunks }) =>
      chunks.every(({ clockOffsetMs }) => clockOffsetMs !== null),
    );
    if (spool.found.length === 0 || !isStamped) this.#serverClock.start();
    return { spool, uploader, watch };
  }

  #forward({ events }: ChunkUploader, watch: StorageWatch, { memory }: RunSpool): void {
    const { runId, tell } = this.#parts;
    events.on("kept", ({ chunk: { segmentId, sequence, payload }, keptIn }) => {
      if (keptIn === "disk") watch.wroteToDisk(payload.size);
      else watch.memoryIs(memory.bytes);
      tell({ type: "kept", runId, segmentId, sequence, keptIn });
    });
    events.on("acknowledged", (acknowledged) => {
      watch.memoryIs(memory.bytes);
      const chunks = acknowledged.map(({ segmentId, sequence, payload, durationMs }) => ({
        segmentId,
        sequence,
        bytes: payload?.size ?? 0,
        durationMs,
      }));
      tell({ type: "acknowledged", runId, chunks });
    });
    events.on("ended", (ended) => tell({ type: "ended", runId, ...ended }));
    events.on("retry", (retry) => tell({ type: "retry", runId, ...retry }));
    events.on("pieces", ({ bytesMax }) => tell({ type: "pieces", runId, bytesMax }));
    events.on("refused", ({ segmentId, error }) =>
      tell({ type: "refused", runId, segmentId, error: fieldsOfError(error) }),
    );
    events.on("failed", (error) => tell({ type: "failed", runId, error: fieldsOfError(error) }));
    watch.events.on("changed", (change) => tell({ type: "storage", runId, change }));
    watch.events.on("reduce", () => tell({ type: "reduce", runId }));
    watch.events.on("full", () => tell({ type: "full", runId }));
  }

  async #finish(uploader: ChunkUploader): Promise<void> {
    const error = await uploader.finish();
    globalThis.removeEventListener("online", this.#onOnline);
    const { spool, watch } = await this.#opened;
    watch.stop();
    await this.#serverClock.stop();
    spool.release();
    const { runId, tell } = this.#parts;
    tell({ type: "finished", runId, error: error === null ? null : fieldsOfError(error) });
  }
}
