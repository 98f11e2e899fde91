import { RecorderError } from "../recorder-error.ts";
import type { RecorderClock, RecorderFetch } from "../recorder.d.ts";
import { RECORDER_DEFAULTS } from "../recorder-defaults.ts";
import { newUuid } from "../new-uuid.ts";
import type { SegmentRecord } from "../spool/spool-records.ts";
import type { StorageFigures } from "../spool/storage-watch.ts";
import { fieldsOfError } from "./error-fields.ts";
import { adoptRunSpool, openRunSpool, type Disk, type RunSpool } from "./run-spool.ts";
import type { LeftSegment, UploadCommand, UploadCommands, UploadEvent } from "./upload-messages.ts";
import { UploadRun } from "./upload-run.ts";

/** Dead runs whose rest is sent at once, to one server: each has several requests under way. */
const RESUMED_RUNS_AT_ONCE = 2;

/** A dead run that this service has taken over. */
interface AdoptedRun {
  readonly runId: string;
  readonly serverUrl: string;
  readonly spool: RunSpool;
  readonly run: UploadRun;
}

/** What a service is made of. */
export interface UploadServiceParts {
  readonly fetch: RecorderFetch;
  readonly clock: RecorderClock;
  /** Null where there is nothing that outlives the page. */
  readonly disk: Disk | null;
  readonly estimateStorage: () => Promise<StorageFigures | null>;
  readonly tell: (event: UploadEvent) => void;
}

/**
 * Keeps and uploads what pages record: the same in a worker, where no hidden tab slows its timers,
 * and in the page, where there is no worker. It knows pages by their commands alone.
 */
export class UploadService {
  readonly #parts: UploadServiceParts;
  readonly #runs = new Map<string, UploadRun>();

  constructor(parts: UploadServiceParts) {
    this.#parts = parts;
  }

  /** Does what it is told; what comes of it is told as events. */
  handle(command: UploadCommand): void {
    switch (command.type) {
      case "open":
        this.#open(command);
        break;
      case "add":
        this.#runs.get(command.runId)?.add(command.chunk);
        break;
      case "endSegment":
        this.#runs.get(command.runId)?.endSegment(command.segmentId, command.chunkCount);
        break;
      case "finish":
        this.#runs.get(command.runId)?.finish();
        break;
      case "abandon":
        this.#runs.get(command.runId)?.abandon(command.message);
        break;
      case "list":
        void this.#answer(command.callId, () => this.#list(command));
        break;
      case "resume":
        void this.#answer(command.callId, () => this.#resume(command));
        break;
    }
  }

  #open(command: UploadCommands["open"]): void {
    const { runId, serverUrl, needsAppFetch } = command;
    const disk = command.isPersistent ? this.#parts.disk : null;
    const owner = { ownerId: runId, serverUrl, needsAppFetch };
    const run = this.#newRun(command, (onTrouble) => openRunSpool(disk, owner, onTrouble));
    this.#runs.set(runId, run);
  }

  async #list({ runId, callId }: UploadCommands["list"]): Promise<void> {
    const chunks = (await this.#runs.get(runId)?.list()) ?? [];
    this.#parts.tell({ type: "listed", callId, chunks });
  }

  async #resume({ callId, ...wanted }: UploadCommands["resume"]): Promise<void> {
    const { disk, tell } = this.#parts;
    if (disk === null) return tell({ type: "resumed", callId, runs: [] });
    const owners = new Map<string, SegmentRecord>();
    for (const segment of await disk.database.segments()) {
      if (wanted.serverUrl !== null && wanted.serverUrl !== segment.serverUrl) continue;
      // Without the app's own `fetch` the server would refuse it, for want of a header for example.
      if (segment.needsAppFetch && !wanted.hasAppFetch) continue;
      owners.set(segment.ownerId, segment);
    }
    const adopted: AdoptedRun[] = [];
    let failure: { readonly cause: unknown } | null = null;
    // One after another: of the runs that two tabs find at once, each takes some.
    for (const owner of owners.values()) {
      try {
        const run = await this.#adopt(disk, owner);
        if (run !== null) adopted.push(run);
      } catch (cause) {
        failure = { cause };
      }
    }
    // What could be taken over must be sent: it is locked.
    if (adopted.length === 0 && failure !== null) throw failure.cause;
    const runs = adopted.map(({ runId, spool }) => ({ runId, segments: leftOf(spool) }));
    // First the answer, then what becomes of it.
    tell({ type: "resumed", callId, runs });
    for (const serverUrl of new Set(adopted.map((run) => run.serverUrl))) {
      const queue = adopted.filter((run) => run.serverUrl === serverUrl).values();
      for (let i = 0; i < RESUMED_RUNS_AT_ONCE; i += 1) void this.#sendFound(queue);
    }
  }

  async #adopt(disk: Disk, owner: SegmentRecord): Promise<AdoptedRun | null> {
    const { ownerId, serverUrl, needsAppFetch } = owner;
    // Its run, which is told of its troubles, is made only if there is something for it.
    let report: ((cause: unknown) => void) | undefined;
    const spool = await adoptRunSpool(disk, { ownerId, serverUrl, needsAppFetch }, (cause) =>
      report?.(cause),
    );
    if (spool === null) return null;
    const runId = newUuid();
    const settings = {
      runId,
      serverUrl,
      parallelUploads: RECORDER_DEFAULTS.parallelUploads,
      memoryBytesMax: RECORDER_DEFAULTS.memorySpoolBytesMax,
      lowShare: RECORDER_DEFAULTS.storageThresholds.low,
      criticalShare: RECORDER_DEFAULTS.storageThresholds.critical,
    };
    const run = this.#newRun(settings, async (onTrouble) => {
      report = onTrouble;
      return spool;
    });
    this.#runs.set(runId, run);
    return { runId, serverUrl, spool, run };
  }

  /** Several that share a queue send side by side. */
  async #sendFound(queue: Iterable<AdoptedRun>): Promise<void> {
    for (const { runId, run } of queue) {
      await run.sendFound();
      this.#runs.delete(runId);
    }
  }

  #newRun(
    settings: Omit<UploadCommands["open"], "type" | "isPersistent" | "needsAppFetch">,
    openSpool: (onTrouble: (cause: unknown) => void) => Promise<RunSpool>,
  ): UploadRun {
    const { fetch, clock, estimateStorage } = this.#parts;
    const { runId, serverUrl, parallelUploads, memoryBytesMax, lowShare, criticalShare } = settings;
    return new UploadRun({
      runId,
      serverUrl,
      parallelUploads,
      memoryBytesMax,
      thresholds: { low: lowShare, critical: criticalShare },
      fetch,
      clock,
      estimateStorage,
      openSpool,
      tell: (event) => {
        // Nothing is left that anybody could ask for. A run that failed keeps what it has.
        if (event.type === "finished" && event.error === null) this.#runs.delete(runId);
        this.#parts.tell(event);
      },
    });
  }

  async #answer(callId: number, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (cause) {
      const message = "What is kept in this browser cannot be read.";
      const error = fieldsOfError(new RecorderError("spool-failed", message, { cause }));
      this.#parts.tell({ type: "callFailed", callId, error });
    }
  }
}

function leftOf({ found }: RunSpool): readonly LeftSegment[] {
  return found.map(({ segment, chunks }) => ({
    recordingId: segment.recordingId,
    participantId: segment.participantId,
    trackId: segment.trackId,
    segmentId: segment.segmentId,
    chunks: chunks.length,
    bytes: chunks.reduce((sum, { bytes }) => sum + bytes, 0),
    durationMs: chunks.reduce((sum, { durationMs }) => sum + durationMs, 0),
  }));
}
