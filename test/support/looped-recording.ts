import { SqliteCatalog } from "../../src/catalog/sqlite-catalog.ts";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import type { NewChunk, TrackKey } from "../../src/recording/ports.ts";
import { makeDirectory } from "../../src/storage/durable-files.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { SystemClock } from "../../src/system-clock.ts";
import type { LoopedMedia } from "./looped-media.ts";

/** Chunks that are made durable at once. */
const CHUNKS_PER_APPEND = 64;

/**
 * Writes a recording that began as long ago as its media lasts and is still in progress, with all
 * chunks of its one segment, through the real store and catalogue: a server that starts on this
 * directory finds it after a crash. Its upload over HTTP would take a hundred times as long.
 */
export async function writeLongRecording(
  recordingsDirectory: string,
  media: LoopedMedia,
): Promise<TrackKey> {
  const beganAtMs = Date.now() - media.durationMs;
  await makeDirectory(recordingsDirectory);
  const layout = new RecordingsLayout(recordingsDirectory);
  const key = {
    recordingId: recordingIdSchema.parse(Bun.randomUUIDv7()),
    participantId: participantIdSchema.parse("ann"),
    trackId: trackIdSchema.parse("camera"),
  };
  const catalog = await SqliteCatalog.open(layout.catalogPath, new SystemClock());
  await catalog.addRecording({
    recordingId: key.recordingId,
    name: "A long call",
    metadata: {},
    state: "recording",
    reason: null,
    startedAtMs: beganAtMs,
    stoppedAtMs: null,
    finalizedAtMs: null,
    deletedAtMs: null,
  });
  await catalog.addTracks([key]);
  await catalog.close();

  const store = new FileChunkStore(layout, (finding, path) => {
    throw new Error(`${path}: ${finding}`);
  });
  const log = await store.create({
    ...key,
    segmentId: segmentIdSchema.parse(crypto.randomUUID()),
    mimeType: media.mimeType,
    openedAtMs: beganAtMs,
  });
  let waiting: NewChunk[] = [];
  let chunkCount = 0;
  for (const { sequence, beginMs, payload } of media.chunks()) {
    waiting.push({
      sequence,
      payload,
      sha256: new Bun.CryptoHasher("sha256").update(payload).digest(),
      capturedAtMs: beganAtMs + beginMs,
      receivedAtMs: beganAtMs + beginMs + 1_100,
      marks: [],
    });
    chunkCount = sequence + 1;
    if (waiting.length === CHUNKS_PER_APPEND) {
      await log.append(waiting);
      waiting = [];
    }
  }
  await log.append(waiting);
  await log.end(chunkCount);
  await log.close();
  return key;
}

/** Writes the bytes of all chunks into one file, as a recorder that saves to a file would. */
export async function writeSourceFile(path: string, media: LoopedMedia): Promise<void> {
  const writer = Bun.file(path).writer();
  for (const { payload } of media.chunks()) {
    await writer.write(payload);
  }
  await writer.end();
}
