import { EventEmitter } from "../event-emitter.ts";
import { RecorderError } from "../recorder-error.ts";
import type { PendingUploads, ResumeOptions, UnacknowledgedChunk } from "../recorder.d.ts";
import { resolvedServerUrl } from "../recorder-options.ts";
import { browserDisk } from "../service/browser-storage.ts";
import type { Disk } from "../service/run-spool.ts";
import { connectInPage, connectWorker } from "../service/upload-connection.ts";
import { UploadHost } from "../service/upload-host.ts";
import { orphanedChunks, orphanedSegments, removeOrphanedSegment } from "./orphaned-segments.ts";
import { ResumedUploads } from "./resumed-uploads.ts";

/** What all recorders of a page share: the upload service, and what earlier pages left behind. */
export class PageUploads {
  readonly #events = new EventEmitter<{ readonly resumed: PendingUploads }>();
  #host: UploadHost | null = null;
  #resumed: ResumedUploads | null = null;
  #hasAskedToPersist = false;

  /** The page's upload service, in a worker where that is possible; begun at the first call. */
  get host(): UploadHost {
    this.#host ??= new UploadHost(connectWorker);
    return this.#host;
  }

  /** See `ClientRecorder.resumed`. */
  get resumed(): PendingUploads | null {
    return this.#resumed;
  }

  /** See `ClientRecorder.onResumed`. */
  onResumed(listener: (uploads: PendingUploads) => void): () => void {
    const remove = this.#events.on("resumed", listener);
    if (this.#resumed !== null) listener(this.#resumed);
    return remove;
  }

  /**
   * Uploads what was left behind, when there is something: without it not even a worker is started.
   * Rejects with nothing: an app asks again with `resumePending`, and is told what is wrong.
   */
  async resumeInBackground(): Promise<void> {
    try {
      const disk = browserDisk();
      if (disk === null) return;
      const orphans = await orphanedSegments(disk);
      await disk.database.close();
      if (orphans.some(({ needsAppFetch }) => !needsAppFetch)) await this.resume();
    } catch (cause) {
      if (cause instanceof DOMException || cause instanceof RecorderError) return;
      throw cause;
    }
  }

  /** See `ClientRecorder.resumePending`. */
  async resume({ serverUrl, fetch, signal }: ResumeOptions = {}): Promise<PendingUploads> {
    const host = fetch === undefined ? this.host : new UploadHost(connectInPage(fetch));
    const wanted = {
      serverUrl: serverUrl === undefined ? null : resolvedServerUrl(serverUrl),
      hasAppFetch: fetch !== undefined,
    };
    let uploads = new ResumedUploads();
    await host.resume(wanted, (runs) => {
      const running = this.#resumed?.isFinished === false ? this.#resumed : null;
      uploads = running ?? uploads;
      uploads.add(runs);
      if (running !== null || runs.length === 0) return;
      this.#resumed = uploads;
      this.#events.emit("resumed", uploads);
    });
    const abandon = (): void => uploads.abandon();
    if (signal?.aborted === true) abandon();
    else signal?.addEventListener("abort", abandon, { once: true });
    return uploads;
  }

  /**
   * Asks the browser, once, not to clear what waits on the disk when the disk gets full. Nothing
   * waits for the answer: Firefox puts the question to the person.
   */
  askToPersist(): void {
    const storage: StorageManager | undefined = globalThis.navigator?.storage;
    if (this.#hasAskedToPersist || storage === undefined) return;
    this.#hasAskedToPersist = true;
    storage.persist().catch(() => {
      // Refused, as in a frame of another site: then it is kept as long as the browser likes.
    });
  }

  /** See `ClientRecorder.pendingChunks`. */
  pendingChunks(segmentId?: string): Promise<readonly UnacknowledgedChunk[]> {
    return this.#onDisk([], (disk) => orphanedChunks(disk, segmentId));
  }

  /** See `ClientRecorder.discardPending`. */
  discard(segmentId: string): Promise<boolean> {
    return this.#onDisk(false, (disk) => removeOrphanedSegment(disk, segmentId));
  }

  async #onDisk<T>(without: T, act: (disk: Disk) => Promise<T>): Promise<T> {
    const disk = browserDisk();
    if (disk === null) return without;
    try {
      return await act(disk);
    } catch (cause) {
      const message = "What is kept in this browser cannot be read.";
      throw new RecorderError("spool-failed", message, { cause });
    } finally {
      await disk.database.close();
    }
  }
}
