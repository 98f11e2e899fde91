import { afterAll, beforeAll, expect, test } from "bun:test";
import { RecordingsApi, trackOf, UnexpectedAnswerError } from "../support/recordings-api.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { AcknowledgementLedger } from "./support/acknowledgement-ledger.ts";
import { JudgedMedia } from "./support/judged-media.ts";
import {
  cutIntoChunks,
  type SegmentUpload,
  uploadPersistently,
} from "./support/persistent-uploader.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";

const CHUNKS_PER_SEGMENT = campaign({ short: 60, long: 600 });
const ROUNDS = campaign({ short: 2, long: 40 });

const random = new SeededRandom(campaignSeed());
let directory: TemporaryDirectory;
let server: TrackCaptureServer;
let api: RecordingsApi;

beforeAll(async () => {
  directory = await temporaryDirectory();
  server = await startServer();
  api = new RecordingsApi(server.url);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function recordedUpload(): Promise<SegmentUpload> {
  const { mimeType, chunks } = await recordedSegment("vp9-opus");
  return {
    recordingId: await api.start(),
    participantId: "ann",
    trackId: "camera",
    segmentId: crypto.randomUUID(),
    mimeType,
    chunks: cutIntoChunks(joinChunks(chunks), CHUNKS_PER_SEGMENT, random),
  };
}

test(
  "a segment that comes twice, from two tabs, in parallel and in any order is that of an undisturbed run",
  async () => {
    const media = new JudgedMedia(directory.path);
    for (let round = 0; round < ROUNDS; round += 1) {
      const upload = await recordedUpload();
      const tabs = Array.from({ length: 2 }, async () => {
        const ledger = new AcknowledgementLedger();
        await uploadPersistently(upload, { api, ledger, random, parallel: 6, pauseMsMax: 2 });
        expect(ledger.count).toBe(upload.chunks.length);
      });
      await Promise.all(tabs);
      const { recordingId, segmentId, chunks } = upload;
      const ended = await api.endSegment(recordingId, segmentId, chunks.length);
      expect(ended).toMatchObject({
        nextSequence: chunks.length,
        missing: [],
        bytes: joinChunks(chunks.map((payload) => ({ payload }))).length,
        ended: true,
      });
      await api.stop(recordingId);
      await api.ready(recordingId);
      await media.expectWhole(api, upload);
    }
    reportCampaign(
      `${ROUNDS} segments of ${CHUNKS_PER_SEGMENT} chunks (FAULT_SEED=${random.seed}), each from ` +
        `two tabs over 12 connections: bytes and MP4s as of an undisturbed run`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "of two tabs that send other bytes under one segment, each sequence keeps the bytes that were acknowledged",
  async () => {
    const first = await recordedUpload();
    // The second tab's recorder is another one: from chunk 1 on, nothing is the same.
    const second = {
      ...first,
      chunks: first.chunks.map((chunk, i) => (i === 0 ? chunk : random.bytes(50))),
    };
    const acknowledged = new Map<number, Uint8Array>();
    const conflicts = new Set<number>();
    const sequences = [...first.chunks.keys()];
    await Promise.all(
      [first, second].flatMap((upload) =>
        sequences.map(async (sequence) => {
          const chunk = upload.chunks[sequence] ?? new Uint8Array();
          try {
            await api.upload({ ...upload, sequence, chunks: [chunk] });
            const other = acknowledged.get(sequence);
            expect(other === undefined || Buffer.compare(other, chunk) === 0).toBe(true);
            acknowledged.set(sequence, chunk);
          } catch (error) {
            if (!(error instanceof UnexpectedAnswerError)) throw error;
            expect(error.status).toBe(409);
            conflicts.add(sequence);
          }
        }),
      ),
    );
    expect([...acknowledged.keys()].toSorted((a, b) => a - b)).toEqual(sequences);
    expect(conflicts.size).toBe(sequences.length - 1);
    const source = await (await fetch(api.trackUrl(first, "source"))).bytes();
    const expected = sequences.map((sequence) => acknowledged.get(sequence) ?? new Uint8Array());
    expect(Buffer.compare(source, Buffer.concat(expected))).toBe(0);
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "chunks for another participant's segment are refused, and change nothing of it",
  async () => {
    const upload = await recordedUpload();
    const ledger = new AcknowledgementLedger();
    const intruder = { ...upload, participantId: "eve" };
    await api.upload({ ...upload, sequence: 0, chunks: upload.chunks.slice(0, 1) });
    const intruding = upload.chunks.map(async (chunk, sequence) => {
      const refusal = await api
        .upload({ ...intruder, sequence, chunks: [chunk] })
        .catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(UnexpectedAnswerError);
      expect(refusal).toMatchObject({ status: 409 });
    });
    await Promise.all([
      uploadPersistently(upload, { api, ledger, random, parallel: 4, pauseMsMax: 2 }),
      ...intruding,
    ]);
    await api.endSegment(upload.recordingId, upload.segmentId, upload.chunks.length);
    await api.stop(upload.recordingId);
    const recording = await api.ready(upload.recordingId);
    expect(recording.participants).toMatchObject([{ participantId: "ann" }]);
    expect(trackOf(recording, upload).verdict).toBe("complete");
    const source = await (await fetch(api.trackUrl(upload, "source"))).bytes();
    expect(Buffer.compare(source, Buffer.concat(upload.chunks))).toBe(0);
  },
  CAMPAIGN_TIMEOUT_MS,
);
