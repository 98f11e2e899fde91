import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { dressedRecording } from "../support/dressed-recording.ts";
import { type Dress, PLAIN_DRESS } from "../support/matroska-writer.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { streamsOf } from "../support/media-streams.ts";
import type { RecordedName } from "../support/recorded-media.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { readLive } from "./live-reader.ts";

const PIECES = 12;

let server: TrackCaptureServer;
let api: RecordingsApi;
let directory: TemporaryDirectory;

beforeAll(async () => {
  directory = await temporaryDirectory();
  server = await startServer();
  api = new RecordingsApi(server.url);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

/** What a viewer has who watches from the beginning to the end. */
async function seen(name: RecordedName, own: Partial<Dress>, lost: number | undefined) {
  const { mimeType, chunks } = await dressedRecording(name, { ...PLAIN_DRESS, ...own }, PIECES);
  const recordingId = await api.start();
  const track = { recordingId, participantId: "ada", trackId: "camera" };
  const segment = { segmentId: crypto.randomUUID(), mimeType };
  const upload = (from: number, to: number) =>
    Promise.all(
      chunks.slice(from, to).map(async (chunk, i) => {
        const sequence = from + i;
        if (sequence === lost) return;
        await api.upload({ ...track, ...segment, sequence, chunks: [chunk] });
      }),
    );
  await upload(0, 3);
  const live = await readLive(api.trackUrl(track, "source"));
  expect(live.status).toBe(200);
  await upload(3, PIECES);
  await api.endSegment(recordingId, segment.segmentId, PIECES);
  await live.ended;
  const path = join(directory.path, crypto.randomUUID());
  await Bun.write(path, live.bytes());
  const streams = await streamsOf(path);
  const sound = streams.find(({ kind }) => kind === "audio");
  const numbers = (await decodeFrameNumbers(path)).map(({ number }) => number);
  return { numbers, soundMs: sound?.timesMs ?? [] };
}

const DRESSES = [
  { clustersAreSized: true, clusterSizeBytes: 2, inCluster: ["crc"] },
  { inCluster: ["crc", "void", "position", "prevSize"], betweenClusters: ["cues", "tags"] },
  { form: "group", lacing: "xiph", lacedFrames: 4, blocksBeforeTime: 3 },
  { clusterTicks: Infinity, clustersAreSized: true },
] as const satisfies Partial<Dress>[];

test.each(DRESSES)("viewers see the same, however it is written: %p", async (own) => {
  for (const name of ["vp8-opus", "h264-opus"] as const) {
    const plain = await seen(name, {}, undefined);
    const dressed = await seen(name, own, undefined);
    expect(plain.numbers.length).toBeGreaterThan(100);
    expect(plain.soundMs.length).toBeGreaterThan(80);
    expect(dressed.numbers).toEqual(plain.numbers);
    expect(dressed.soundMs).toHaveLength(plain.soundMs.length);
  }
});

test.each(DRESSES.slice(0, 2))("and go on behind a lost piece: %p", async (own) => {
  const plain = await seen("h264-opus", {}, undefined);
  const { numbers, soundMs } = await seen("h264-opus", own, 4);
  expect(numbers.length).toBeGreaterThan(plain.numbers.length / 2);
  expect(numbers.at(-1)).toBe(plain.numbers.at(-1) ?? 0);
  expect(soundMs.length).toBeGreaterThan(plain.soundMs.length * 0.8);
});
