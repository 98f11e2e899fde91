import { existsSync } from "node:fs";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { SqliteCatalog } from "../../../src/catalog/sqlite-catalog.ts";
import {
  participantIdSchema,
  type RecordingId,
  recordingIdSchema,
  type SegmentId,
  segmentIdSchema,
  trackIdSchema,
} from "../../../src/contract/ids.ts";
import type { RecordingLimits } from "../../../src/recording/limits.ts";
import { type AppendRequest, RecordingEngine } from "../../../src/recording/recording-engine.ts";
import { FileChunkStore } from "../../../src/storage/file-chunk-store.ts";
import { FileSystemSpace } from "../../../src/storage/free-space.ts";
import { RecordingsLayout } from "../../../src/storage/layout.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { type ModelAppend, modelPayload } from "./segment-model.ts";

/** None of them is reached. */
const LIMITS: RecordingLimits = {
  chunkBytesMax: 1_000,
  segmentPendingBytesMax: 1_000_000,
  totalPendingBytesMax: 1_000_000,
  segmentGapsMax: 100,
  recordingSegmentsMax: 100,
  openSegmentsMax: 2,
  lateUploadWindowMs: 60_000,
  freeSpaceBytesMin: 1,
};

/** In memory where the system has such a directory: what a sync costs is not the subject. */
const fastDirectory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** One life of the engine. */
interface Life {
  readonly catalog: SqliteCatalog;
  readonly store: FileChunkStore;
  readonly engine: RecordingEngine;
}

/** The recording engine on real files, which can be restarted as often as one likes. */
export class EngineBed implements AsyncDisposable {
  readonly recordingId: RecordingId;
  readonly #directory: string;
  readonly #segmentIds: readonly SegmentId[];
  readonly #clock = new ManualClock();
  #life: Life;
  /** Lives that were left without a word; their files are closed at the very end. */
  readonly #abandoned: Life[] = [];

  private constructor(directory: string, life: Life, recordingId: RecordingId, segments: number) {
    this.#directory = directory;
    this.#life = life;
    this.recordingId = recordingId;
    this.#segmentIds = Array.from({ length: segments }, () =>
      segmentIdSchema.parse(crypto.randomUUID()),
    );
  }

  /** Starts an engine on a new directory, with one recording. */
  static async start(segments: number): Promise<EngineBed> {
    const directory = await mkdtemp(join(fastDirectory, "track-capture-test-"));
    const life = await begin(directory, new ManualClock());
    const { recordingId } = await life.engine.startRecording({});
    return new EngineBed(directory, life, recordingId, segments);
  }

  get engine(): RecordingEngine {
    return this.#life.engine;
  }

  segmentId(segment: number): SegmentId {
    const segmentId = this.#segmentIds[segment];
    if (segmentId === undefined) throw new RangeError(`There is no segment ${segment}`);
    return segmentId;
  }

  /** A request of the model as the engine takes it. */
  request({ segment, participant, firstSequence, variants, wrongHashAt }: ModelAppend) {
    const request: AppendRequest = {
      recordingId: this.recordingId,
      participantId: participantIdSchema.parse(`participant ${participant}`),
      trackId: trackIdSchema.parse("camera"),
      segmentId: this.segmentId(segment),
      mimeType: "video/webm",
      firstSequence,
      chunks: variants.map((variant, i) => ({
        payload: modelPayload(segment, firstSequence + i, variant),
        claimedSha256: i === wrongHashAt ? "0".repeat(64) : undefined,
        capturedAtMs: null,
        marks: [],
      })),
    };
    return request;
  }

  /** What the store holds of a segment; undefined when it does not exist. */
  async stored(segment: number): Promise<{ sequence: number; payload: Buffer }[] | undefined> {
    const reader = await this.#life.store.read(this.recordingId, this.segmentId(segment));
    if (reader === undefined) return undefined;
    try {
      const damaged: number[] = [];
      const chunks = await Array.fromAsync(reader.chunks((sequence) => damaged.push(sequence)));
      if (damaged.length > 0) throw new Error(`Chunks ${damaged.join()} are damaged`);
      return chunks.map(({ sequence, payload }) => ({ sequence, payload: Buffer.from(payload) }));
    } finally {
      await reader.close();
    }
  }

  /** Ends the engine in order and starts it again. */
  async restart(): Promise<void> {
    await end(this.#life);
    this.#life = await begin(this.#directory, this.#clock);
  }

  /**
   * Starts another engine without a word to the one that ran, as after a crash.
   *
   * @param tornTail what the crash left behind the last frame of each chunk file
   */
  async crash(tornTail: Uint8Array): Promise<void> {
    this.#abandoned.push(this.#life);
    const layout = new RecordingsLayout(this.#directory);
    for (const segmentId of this.#segmentIds) {
      const path = layout.segmentPath(this.recordingId, segmentId);
      if (tornTail.length > 0 && existsSync(path)) await appendFile(path, tornTail);
    }
    this.#life = await begin(this.#directory, this.#clock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const life of [this.#life, ...this.#abandoned]) await end(life);
    await rm(this.#directory, { recursive: true });
  }
}

async function begin(directory: string, clock: ManualClock): Promise<Life> {
  const layout = new RecordingsLayout(directory);
  const catalog = await SqliteCatalog.open(layout.catalogPath, clock);
  const store = new FileChunkStore(layout, () => undefined);
  const engine = new RecordingEngine({
    store,
    catalog,
    clock,
    freeSpace: new FileSystemSpace(directory),
    limits: LIMITS,
    log: pino({ level: "silent" }),
    newRecordingId: () => recordingIdSchema.parse(Bun.randomUUIDv7()),
  });
  await engine.start();
  return { catalog, store, engine };
}

async function end({ engine, catalog }: Life): Promise<void> {
  await engine.stop();
  await catalog.close();
}
