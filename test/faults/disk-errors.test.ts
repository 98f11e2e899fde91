import { afterAll, beforeAll, describe, expect } from "bun:test";
import { join } from "node:path";
import { RecordingsApi, UnexpectedAnswerError } from "../support/recordings-api.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { AcknowledgementLedger } from "./support/acknowledgement-ledger.ts";
import { DurabilityModel } from "./support/durability-model.ts";
import {
  OPEN_CALLS,
  placesOf,
  RENAME_CALLS,
  type SegmentPlaces,
  SYNC_CALLS,
  WRITE_CALLS,
} from "./support/file-calls.ts";
import { type SegmentUpload, uploadPersistently } from "./support/persistent-uploader.ts";
import { randomSegment } from "./support/random-segment.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";
import { testWithStrace } from "./support/system-tools.ts";
import { attachFault, attachTrace } from "./support/traced-server.ts";

const test = testWithStrace();

const CHUNK_BYTES = 200;
/** Calls that fail while a segment's chunk is uploaded. */
interface DiskFault {
  readonly name: string;
  readonly calls: string;
  readonly paths: (places: SegmentPlaces) => string[];
  /** Whether the segment's first chunks are there before. */
  readonly onExisting: boolean;
  /** Whether it is the bytes of chunks whose sync fails. */
  readonly failsSync?: boolean;
  /** Names that were made, but whose directory could not be synced. */
  readonly doubtfulNames?: (places: SegmentPlaces) => string[];
}

const FAULTS: readonly DiskFault[] = [
  {
    name: "the write of a chunk",
    calls: WRITE_CALLS,
    paths: ({ chunkFile }) => [chunkFile],
    onExisting: true,
  },
  {
    name: "the sync of a chunk",
    calls: SYNC_CALLS,
    paths: ({ chunkFile }) => [chunkFile],
    onExisting: true,
    failsSync: true,
  },
  {
    name: "the write of a chunk and the cut after it",
    calls: `${WRITE_CALLS},ftruncate,truncate`,
    paths: ({ chunkFile }) => [chunkFile],
    onExisting: true,
  },
  {
    name: "the sync of a chunk and the cut after it",
    calls: `${SYNC_CALLS},ftruncate,truncate`,
    paths: ({ chunkFile }) => [chunkFile],
    onExisting: true,
    failsSync: true,
  },
  {
    name: "the creation of a chunk file",
    calls: OPEN_CALLS,
    paths: ({ chunkFile, newChunkFile }) => [chunkFile, newChunkFile],
    onExisting: false,
  },
  {
    name: "the first write into a chunk file",
    calls: WRITE_CALLS,
    paths: ({ chunkFile, newChunkFile }) => [chunkFile, newChunkFile],
    onExisting: false,
  },
  {
    name: "the first sync of a chunk file",
    calls: SYNC_CALLS,
    paths: ({ chunkFile, newChunkFile }) => [chunkFile, newChunkFile],
    onExisting: false,
    failsSync: true,
  },
  {
    name: "the rename of a chunk file",
    calls: RENAME_CALLS,
    paths: ({ chunkFile, newChunkFile }) => [chunkFile, newChunkFile],
    onExisting: false,
  },
  {
    name: "the sync of a chunk file's directory",
    calls: SYNC_CALLS,
    paths: ({ segments }) => [segments],
    onExisting: false,
    doubtfulNames: ({ chunkFile }) => [chunkFile],
  },
  {
    name: "the sync of a recording's new directory",
    calls: SYNC_CALLS,
    paths: ({ recording }) => [recording],
    onExisting: false,
    doubtfulNames: ({ segments }) => [segments],
  },
  {
    name: "the sync of the directory of all recordings",
    calls: SYNC_CALLS,
    paths: ({ root }) => [root],
    onExisting: false,
    doubtfulNames: ({ recording }) => [recording],
  },
  {
    name: "the creation of a recording's directory",
    calls: "mkdir,mkdirat",
    paths: ({ recording, segments }) => [recording, segments],
    onExisting: false,
  },
];

const random = new SeededRandom(campaignSeed());
let directory: TemporaryDirectory;
let server: TrackCaptureServer;
let api: RecordingsApi;
let ledger: AcknowledgementLedger;

const send = async (upload: SegmentUpload, sequence: number, count = 1): Promise<void> => {
  const chunks = upload.chunks.slice(sequence, sequence + count);
  ledger.record({ ...upload, sequence }, chunks, await api.upload({ ...upload, sequence, chunks }));
};

const refusalOf = async (request: Promise<unknown>): Promise<UnexpectedAnswerError> => {
  try {
    await request;
  } catch (error) {
    if (error instanceof UnexpectedAnswerError) return error;
    throw error;
  }
  throw new Error("The request was not refused");
};

beforeAll(async () => {
  directory = await temporaryDirectory();
  server = await startServer({ recordingsDirectory: join(directory.path, "recordings") });
  api = new RecordingsApi(server.url);
  ledger = new AcknowledgementLedger();
});

afterAll(async () => {
  await server.kill();
  expect(await ledger.check(server.recordingsDirectory)).toEqual([]);
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

describe("EIO", () => {
  test.each(FAULTS)(
    "at $name is not acknowledged, harms no other segment, and is made good afterwards",
    async ({ calls, paths, onExisting, failsSync, doubtfulNames }) => {
      const sizes = { chunks: 4, chunkBytes: CHUNK_BYTES };
      const upload = randomSegment(await api.start(), random, sizes);
      const bystander = randomSegment(await api.start(), random, sizes);
      await send(bystander, 0);
      if (onExisting) await send(upload, 0);
      const places = placesOf(server.recordingsDirectory, upload);
      const sequence = onExisting ? 1 : 0;

      const fault = await attachFault(server.pid, directory.path, {
        calls,
        outcome: "error=EIO",
        paths: paths(places),
      });
      const refusal = await refusalOf(send(upload, sequence));
      await send(bystander, 1, 3);
      const injected = (await fault.detach()).filter((call) => call.injected);
      expect(injected.length).toBeGreaterThan(0);
      expect(refusal.status).toBe(503);
      expect(Number(refusal.retryAfter)).toBeGreaterThan(0);
      expect(refusal.message).toContain("storage-failed");

      // Nothing that was done before counts: what is acknowledged now must be made durable now.
      const model = new DurabilityModel(
        server.recordingsDirectory,
        new Map([[upload.segmentId, upload.chunks]]),
      );
      await model.distrustBytes(places.chunkFile, failsSync === true);
      model.distrustNames(doubtfulNames?.(places) ?? []);
      const trace = await attachTrace(server.pid, directory.path);
      await send(upload, sequence, 2);
      const checked = model.run(await trace.detach());
      expect(checked.early).toEqual([]);
      expect(checked.chunks).toBe(2);
      await send(upload, 0, 4);
    },
    CAMPAIGN_TIMEOUT_MS,
  );

  test(
    "at every sync, the catalogue's too, refuses chunks, new tracks, recordings and stops with 503",
    async () => {
      const sizes = { chunks: 2, chunkBytes: CHUNK_BYTES };
      const recordingId = await api.start();
      const known = Array.from({ length: 6 }, () => randomSegment(recordingId, random, sizes));
      const unknown = randomSegment(recordingId, random, sizes);
      await Promise.all(known.map((upload) => send(upload, 0)));
      const requests: (() => Promise<unknown>)[] = [
        ...known.map((upload) => () => send(upload, 1)),
        () => send(unknown, 0),
        () => api.start(),
        () => api.stop(recordingId),
      ];
      const fault = await attachFault(server.pid, directory.path, {
        calls: SYNC_CALLS,
        outcome: "error=EIO",
        paths: [],
      });
      const refusals = await Promise.all(requests.map((request) => refusalOf(request())));
      await fault.detach();
      for (const { status, retryAfter, message } of refusals) {
        expect([status, message]).toEqual([503, message]);
        expect(Number(retryAfter)).toBeGreaterThan(0);
      }
      for (const request of requests) await request();
    },
    CAMPAIGN_TIMEOUT_MS,
  );

  test(
    "at any call on any file, again and again, loses nothing that was acknowledged",
    async () => {
      // A server of its own, since it is killed in the end.
      const recordingsDirectory = join(directory.path, "campaign");
      await using harmed = await startServer({ recordingsDirectory });
      const client = new RecordingsApi(harmed.url);
      const own = new AcknowledgementLedger();
      const rounds = campaign({ short: 5, long: 150 });
      const recordingId = await client.start();
      const sizes = { chunks: campaign({ short: 200, long: 4_000 }), chunkBytes: CHUNK_BYTES };
      const uploads = Array.from({ length: 8 }, () => randomSegment(recordingId, random, sizes));
      let refusals = 0;
      const uploading = Promise.all(
        uploads.map((upload) =>
          uploadPersistently(upload, {
            api: client,
            ledger: own,
            random,
            parallel: 3,
            pauseMsMax: 60,
            onRefused: () => (refusals += 1),
          }),
        ),
      );
      const total = uploads.length * sizes.chunks;
      let faults = 0;
      const harming = (async () => {
        for (let round = 0; round < rounds && own.count < total; round += 1) {
          // Most calls are these; the others come only with new files and after failures.
          const common = `${WRITE_CALLS},${SYNC_CALLS}`;
          const kinds = [WRITE_CALLS, SYNC_CALLS, common, "ftruncate", OPEN_CALLS];
          const chosen = uploads.filter(() => random.chance(0.5));
          const fault = await attachFault(harmed.pid, directory.path, {
            calls: round === 0 ? common : random.pick(kinds),
            // Each thread counts for itself.
            outcome: `error=EIO:when=${random.int(1, 3)}+${random.int(1, 3)}`,
            paths: (chosen.length === 0 ? uploads : chosen).flatMap((upload) => {
              const { chunkFile, newChunkFile, segments } = placesOf(recordingsDirectory, upload);
              return [chunkFile, newChunkFile, segments];
            }),
          });
          // For how long these calls fail.
          await Bun.sleep(random.int(50, 300));
          faults += (await fault.detach()).filter((call) => call.injected).length;
        }
      })();
      await Promise.all([uploading, harming]);
      await harmed.kill();
      expect(await own.check(recordingsDirectory)).toEqual([]);
      expect(own.count).toBe(total);
      expect(faults).toBeGreaterThan(0);
      reportCampaign(
        `${faults} system calls failed with EIO (FAULT_SEED=${random.seed}): ${refusals} requests ` +
          `refused with 503, ${own.count} chunks acknowledged, 0 lost`,
      );
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});
