import { expect } from "bun:test";
import { join } from "node:path";
import { RecordingsApi, type TrackName, UnexpectedAnswerError } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { AcknowledgementLedger } from "./support/acknowledgement-ledger.ts";
import { type SegmentUpload, uploadPersistently } from "./support/persistent-uploader.ts";
import { randomSegment } from "./support/random-segment.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";
import { smallDisk, smallDiskObstacle } from "./support/small-disk.ts";
import { testUnless, testWithPrlimit } from "./support/system-tools.ts";

/** These disks are full on purpose, and smaller than what is kept free by default. */
const NO_FLOOR = { FREE_SPACE_BYTES_MIN: "0" };

const MIB = 1024 * 1024;
const SEGMENTS = 6;
/** More than a page, so that no chunk fits into what is left of the last one. */
const CHUNK_BYTES = 10_000;
const CHUNKS_PER_SEGMENT = 150;
const FILLS = campaign({ short: 2, long: 20 });
/** What each recording finds free: a third of what it needs. */
const ROOM_BYTES = (SEGMENTS * CHUNKS_PER_SEGMENT * CHUNK_BYTES) / 3;
/** For all recordings, each of them twice. */
const DISK_BYTES = 2 * FILLS * SEGMENTS * CHUNKS_PER_SEGMENT * CHUNK_BYTES + 16 * MIB;
const WAIT_TIMEOUT_MS = 60_000;

const testOnSmallDisk = testUnless(smallDiskObstacle());
const testWithLimit = testWithPrlimit();

/** Uploads segments in the background, counting what is refused. */
function uploadAll(
  api: RecordingsApi,
  uploads: readonly SegmentUpload[],
  ledger: AcknowledgementLedger,
  random: SeededRandom,
) {
  const refusals = new Map(uploads.map(({ segmentId }): [string, number[]] => [segmentId, []]));
  const done = Promise.all(
    uploads.map((upload) =>
      uploadPersistently(upload, {
        api,
        ledger,
        random,
        parallel: 3,
        pauseMsMax: 50,
        onRefused: ({ status }) => refusals.get(upload.segmentId)?.push(status),
      }),
    ),
  );
  return { done, refusals };
}

testOnSmallDisk(
  "a full disk (ENOSPC) takes no chunk, and the uploads go on by themselves when it has space",
  async () => {
    const random = new SeededRandom(campaignSeed());
    await using disk = await smallDisk(DISK_BYTES);
    const recordingsDirectory = join(disk.path, "recordings");
    await using server = await startServer({ recordingsDirectory, env: NO_FLOOR });
    const api = new RecordingsApi(server.url);
    const ledger = new AcknowledgementLedger();
    let refused = 0;
    for (let fill = 1; fill <= FILLS; fill += 1) {
      const recordingId = await api.start();
      const uploads = Array.from({ length: SEGMENTS }, () =>
        randomSegment(recordingId, random, {
          chunks: CHUNKS_PER_SEGMENT,
          chunkBytes: CHUNK_BYTES,
        }),
      );
      await disk.fill(ROOM_BYTES);
      const { done, refusals } = uploadAll(api, uploads, ledger, random);
      const untilRefused = (times: number) =>
        until(() => [...refusals.values()].every(({ length }) => length >= times) || undefined, {
          what: `every segment was refused ${times} times`,
          timeoutMs: WAIT_TIMEOUT_MS,
        });
      await untilRefused(1);
      await disk.fill();
      // Requests that were under way when the disk became full have their answers then.
      await untilRefused(4);
      const acknowledged = ledger.count;
      await untilRefused(12);
      expect(ledger.count).toBe(acknowledged);
      expect(await api.segmentStatus(recordingId, uploads[0]!.segmentId)).toBeDefined();
      await disk.free();
      await done;
      const statuses = [...refusals.values()].flat();
      expect(new Set(statuses)).toEqual(new Set([507]));
      refused += statuses.length;
      for (const upload of uploads) await expectSource(api, upload);
      expect(ledger.count).toBe(SEGMENTS * CHUNKS_PER_SEGMENT * fill);
    }
    await server.kill();
    expect(await ledger.check(recordingsDirectory)).toEqual([]);
    reportCampaign(
      `disk full ${FILLS} times: ${refused} requests refused with 507, ` +
        `${ledger.count} chunks acknowledged, 0 lost`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

testWithLimit(
  "a chunk file at the largest size that is allowed (EFBIG) takes no chunk, and the others go on",
  async () => {
    const random = new SeededRandom(campaignSeed());
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    await using server = await startServer({ recordingsDirectory, env: NO_FLOOR });
    const api = new RecordingsApi(server.url);
    const ledger = new AcknowledgementLedger();
    const recordingId = await api.start();
    const [large, ...small] = Array.from({ length: SEGMENTS }, (_, i) =>
      randomSegment(recordingId, random, {
        chunks: i === 0 ? 2 * CHUNKS_PER_SEGMENT : CHUNKS_PER_SEGMENT / 3,
        chunkBytes: CHUNK_BYTES,
      }),
    );
    if (large === undefined) throw new RangeError("There is no segment");
    await limitFileSize(server.pid, String(CHUNKS_PER_SEGMENT * CHUNK_BYTES));
    const largeUpload = uploadAll(api, [large], ledger, random);
    const smallUploads = uploadAll(api, small, ledger, random);
    await until(() => (largeUpload.refusals.get(large.segmentId)?.length ?? 0) >= 5 || undefined, {
      what: "the large segment is refused",
      timeoutMs: WAIT_TIMEOUT_MS,
    });
    await smallUploads.done;
    expect([...smallUploads.refusals.values()].flat()).toEqual([]);
    const { bytes } = await api.segmentStatus(recordingId, large.segmentId);
    expect(bytes).toBeLessThan(CHUNKS_PER_SEGMENT * CHUNK_BYTES);
    await limitFileSize(server.pid, "unlimited");
    await largeUpload.done;
    expect(new Set([...largeUpload.refusals.values()].flat())).toEqual(new Set([507]));
    for (const upload of [large, ...small]) await expectSource(api, upload);
    await server.kill();
    expect(await ledger.check(recordingsDirectory)).toEqual([]);
  },
  CAMPAIGN_TIMEOUT_MS,
);

/** Sets the soft limit RLIMIT_FSIZE of a running process (setrlimit(2)). */
async function limitFileSize(pid: number, limit: string): Promise<void> {
  const child = Bun.spawn(["prlimit", "--pid", String(pid), `--fsize=${limit}:unlimited`]);
  expect(await child.exited).toBe(0);
}

async function expectSource(
  api: RecordingsApi,
  upload: TrackName & Pick<SegmentUpload, "chunks">,
): Promise<void> {
  const source = await (await fetch(api.trackUrl(upload, "source"))).bytes();
  expect(Buffer.compare(source, Buffer.concat(upload.chunks))).toBe(0);
}

testOnSmallDisk(
  "a full disk refuses new recordings, new tracks and stops with 507 as it does chunks",
  async () => {
    const random = new SeededRandom(campaignSeed());
    await using disk = await smallDisk(DISK_BYTES);
    await using server = await startServer({
      recordingsDirectory: join(disk.path, "recordings"),
      env: NO_FLOOR,
    });
    const api = new RecordingsApi(server.url);
    const recordingId = await api.start();
    const sizes = { chunks: 1, chunkBytes: CHUNK_BYTES };
    const [known, other] = [
      randomSegment(recordingId, random, sizes),
      randomSegment(recordingId, random, sizes),
    ];
    await api.upload({ ...known, sequence: 0 });
    await disk.fill();
    const requests: (() => Promise<unknown>)[] = [
      () => api.start(),
      () => api.upload({ ...other, sequence: 0 }),
      () => api.stop(recordingId),
    ];
    for (const request of requests) {
      const refusal = await request().catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(UnexpectedAnswerError);
      expect(refusal).toMatchObject({ status: 507, retryAfter: expect.stringMatching(/^\d+$/) });
    }
    await disk.free();
    for (const request of requests) await request();
  },
  CAMPAIGN_TIMEOUT_MS,
);
