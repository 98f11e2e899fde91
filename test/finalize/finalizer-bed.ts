import { join } from "node:path";
import pino from "pino";
import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import {
  type RecordingId,
  type SegmentId,
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import type { Mark } from "../../src/contract/marks.ts";
import type { RecordingState } from "../../src/contract/recordings.ts";
import type { FinalizeLimits } from "../../src/finalize/finalize-limits.ts";
import { Finalizer, type FinalizerParts } from "../../src/finalize/finalizer.ts";
import {
  type FfmpegBinary,
  resolveFfmpeg,
  systemFfmpegLookup,
} from "../../src/process/ffmpeg-binary.ts";
import type { RecordingRecord, TrackKey, TrackRecord } from "../../src/recording/ports.ts";
import { RecordingEngine } from "../../src/recording/recording-engine.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { FileSystemSpace } from "../../src/storage/free-space.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";

/** Far beyond what any of these tests needs. */
const WAIT_MS = 60_000;

/** The ffmpeg that serves on this machine, as the server would find it. */
export async function testFfmpeg(): Promise<FfmpegBinary> {
  return resolveFfmpeg(
    systemFfmpegLookup({ FFMPEG_PATH: process.env["FFMPEG_PATH"], PATH: process.env["PATH"] }),
  );
}

/** A track of a recording, by plain words. */
export function trackKey(recordingId: RecordingId, trackId = "camera"): TrackKey {
  return {
    recordingId,
    participantId: participantIdSchema.parse("ann@example.org"),
    trackId: trackIdSchema.parse(trackId),
  };
}

/** A new segment's ID, as a client makes it. */
export function newSegmentId(): SegmentId {
  return segmentIdSchema.parse(crypto.randomUUID());
}

/** Chunks as a client sends them; undefined ones are never sent. */
export interface SentSegment {
  readonly chunks: readonly (Uint8Array | undefined)[];
  readonly mimeType?: string;
  readonly segmentId?: SegmentId;
  readonly trackId?: string;
  /** Of each chunk, on the server's clock. */
  readonly capturedAtMs?: readonly number[];
  /** They come with the first chunk. */
  readonly marks?: readonly Mark[];
  /** Whether the client tells the segment's end; it does unless told otherwise. */
  readonly ends?: boolean;
}

/** The real engine, store, catalogue and finalizer in a directory of their own. */
export class FinalizerBed implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly layout: RecordingsLayout;
  catalog!: SqliteCatalog;
  store!: FileChunkStore;
  engine!: RecordingEngine;
  finalizer!: Finalizer;
  readonly #directory: TemporaryDirectory;
  readonly #limits: FinalizeLimits;
  readonly #extras: FinalizerParts["extras"];

  private constructor(
    directory: TemporaryDirectory,
    limits: FinalizeLimits,
    extras: FinalizerParts["extras"],
  ) {
    this.#directory = directory;
    this.#limits = limits;
    this.#extras = extras;
    this.layout = new RecordingsLayout(join(directory.path, "recordings"));
  }

  static async open(
    ffmpeg: FfmpegBinary,
    limits: Partial<FinalizeLimits> = {},
    extras?: FinalizerParts["extras"],
  ): Promise<FinalizerBed> {
    const all = { ...finalizeLimits(readConfig({})), ...limits };
    const bed = new FinalizerBed(await temporaryDirectory(), all, extras);
    await bed.start(ffmpeg);
    return bed;
  }

  /** A directory for the test's own files. */
  get scratchDirectory(): string {
    return this.#directory.path;
  }

  /** Opens the catalogue alone, to bring it into the state that a crash left. */
  async startCatalog(): Promise<void> {
    await Bun.$`mkdir -p ${this.layout.rootDirectory}`;
    this.catalog = await SqliteCatalog.open(this.layout.catalogPath, this.clock);
  }

  async start(ffmpeg: FfmpegBinary): Promise<void> {
    const { clock, layout } = this;
    const log = pino({ level: "silent" });
    await this.startCatalog();
    this.store = new FileChunkStore(layout, () => undefined);
    this.engine = new RecordingEngine({
      store: this.store,
      catalog: this.catalog,
      clock,
      freeSpace: new FileSystemSpace(layout.rootDirectory),
      limits: {
        freeSpaceBytesMin: 0,
        chunkBytesMax: 2 ** 28,
        segmentPendingBytesMax: 2 ** 28,
        totalPendingBytesMax: 2 ** 28,
        segmentGapsMax: 100,
        recordingSegmentsMax: 100,
        openSegmentsMax: 100,
        lateUploadWindowMs: 3_600_000,
      },
      log,
      newRecordingId: () => recordingIdSchema.parse(Bun.randomUUIDv7()),
    });
    this.finalizer = new Finalizer({
      engine: this.engine,
      store: this.store,
      catalog: this.catalog,
      queue: this.catalog.jobs,
      layout,
      ffmpeg,
      clock,
      limits: this.#limits,
      ...(this.#extras === undefined ? {} : { extras: this.#extras }),
      log,
    });
    await this.engine.start();
    this.engine.listen(this.finalizer);
    await this.finalizer.start();
  }

  async stop(): Promise<void> {
    await this.finalizer.stop();
    await this.engine.stop();
    await this.catalog.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#directory[Symbol.asyncDispose]();
  }

  /** Sends a segment's chunks to the engine. */
  async send(recordingId: RecordingId, segment: SentSegment): Promise<SegmentId> {
    const segmentId = segment.segmentId ?? newSegmentId();
    const key = { ...trackKey(recordingId, segment.trackId), segmentId };
    for (const [firstSequence, payload] of segment.chunks.entries()) {
      if (payload === undefined) continue;
      await this.engine.append({
        ...key,
        mimeType: segment.mimeType ?? "",
        firstSequence,
        chunks: [
          {
            payload,
            claimedSha256: undefined,
            capturedAtMs: segment.capturedAtMs?.[firstSequence] ?? null,
            marks: firstSequence === 0 ? (segment.marks ?? []) : [],
          },
        ],
      });
    }
    if (segment.ends ?? true) {
      await this.engine.endSegment(recordingId, segmentId, segment.chunks.length);
    }
    return segmentId;
  }

  /** Records the segments, stops, and waits for the end. */
  async finalize(...segments: readonly SentSegment[]): Promise<RecordingRecord> {
    const { recordingId } = await this.engine.startRecording({});
    for (const segment of segments) await this.send(recordingId, segment);
    await this.engine.stopRecording(recordingId);
    return this.untilState(recordingId, "ready", "failed");
  }

  /** Waits until the recording is in one of the states. */
  async untilState(
    recordingId: RecordingId,
    ...states: readonly RecordingState[]
  ): Promise<RecordingRecord> {
    return until(
      async () => {
        const record = await this.catalog.findRecording(recordingId);
        return record !== undefined && states.includes(record.state) ? record : undefined;
      },
      { what: `recording is ${states.join(" or ")}`, timeoutMs: WAIT_MS },
    );
  }

  /** Waits until the track satisfies `condition`. */
  async untilTrack(
    recordingId: RecordingId,
    what: string,
    condition: (track: TrackRecord) => boolean,
  ): Promise<TrackRecord> {
    return until(
      async () => (await this.catalog.tracks(recordingId)).find((track) => condition(track)),
      { what, timeoutMs: WAIT_MS },
    );
  }

  /** Waits until nothing but time makes anything happen. */
  async untilWaiting(): Promise<void> {
    await until(() => this.clock.pendingTimers > 0 || undefined, {
      what: "something waits for the clock",
      timeoutMs: WAIT_MS,
    });
  }

  /** The only track of a recording. */
  async track(recordingId: RecordingId): Promise<TrackRecord> {
    const [track, ...others] = await this.catalog.tracks(recordingId);
    if (track === undefined || others.length > 0) throw new Error("There should be one track.");
    return track;
  }
}
