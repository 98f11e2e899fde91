import { expect } from "bun:test";
import { join } from "node:path";
import { RecordingsApi } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { AcknowledgementLedger } from "./support/acknowledgement-ledger.ts";
import { DurabilityModel } from "./support/durability-model.ts";
import { type SegmentUpload, uploadPersistently } from "./support/persistent-uploader.ts";
import { randomSegment } from "./support/random-segment.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";
import type { SystemCall } from "./support/strace-log.ts";
import { testWithStrace } from "./support/system-tools.ts";
import { startTracedServer } from "./support/traced-server.ts";

const test = testWithStrace();

const SEGMENTS = campaign({ short: 20, long: 100 });
const CHUNKS_PER_SEGMENT = campaign({ short: 20, long: 100 });
const CHUNK_BYTES = 60;

test(
  "every answer follows the syncs of all that it promises, new names included: shown by strace",
  async () => {
    const random = new SeededRandom(campaignSeed());
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    await using traced = await startTracedServer(directory.path, { recordingsDirectory });
    const api = new RecordingsApi(traced.server.url);
    const recordingId = await api.start();
    const uploads = Array.from({ length: SEGMENTS }, () =>
      randomSegment(recordingId, random, { chunks: CHUNKS_PER_SEGMENT, chunkBytes: CHUNK_BYTES }),
    );
    const { mimeType, chunks } = await recordedSegment("h264-opus");
    const real: SegmentUpload = {
      recordingId: await api.start(),
      participantId: "ann",
      trackId: "camera",
      segmentId: crypto.randomUUID(),
      mimeType,
      chunks: chunks.map(({ payload }) => payload),
    };
    const ledger = new AcknowledgementLedger();
    await Promise.all(
      [...uploads, real].map(async (upload) => {
        await uploadPersistently(upload, { api, ledger, random, parallel: 3, pauseMsMax: 10 });
        await api.endSegment(upload.recordingId, upload.segmentId, upload.chunks.length);
      }),
    );
    await api.stop(real.recordingId);
    await api.ready(real.recordingId);
    await traced.server.stop();

    const payloads = new Map([...uploads, real].map((upload) => [upload.segmentId, upload.chunks]));
    const model = new DurabilityModel(recordingsDirectory, payloads);
    const calls = await traced.calls();
    const checked = model.run(calls);
    expect(checked.early).toEqual([]);
    expect(checked.chunks).toBeGreaterThanOrEqual(ledger.count);
    // One more for each segment's end, and one for the finished MP4.
    expect(checked.answers).toBeGreaterThan(uploads.length + 1);
    reportCampaign(
      `strace of a run: ${checked.answers} answers that promise ${checked.chunks} chunks, ends of ` +
        `segments and MP4s; each was sent after the syncs that it needs (${countSyncs(calls)})`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "what a failed sync left in doubt is written and synced anew before it is acknowledged",
  async () => {
    const random = new SeededRandom(campaignSeed());
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    await using traced = await startTracedServer(directory.path, { recordingsDirectory }, [
      "fdatasync:error=EIO:when=4+5",
      // Slow enough for other files to be written meanwhile.
      "syncfs:error=EIO:delay_enter=50ms:when=2+3",
    ]);
    const api = new RecordingsApi(traced.server.url);
    const recordingId = await api.start();
    const uploads = Array.from({ length: SEGMENTS }, () =>
      randomSegment(recordingId, random, { chunks: CHUNKS_PER_SEGMENT, chunkBytes: CHUNK_BYTES }),
    );
    const ledger = new AcknowledgementLedger();
    let refusals = 0;
    const onRefused = () => (refusals += 1);
    await Promise.all(
      uploads.map((upload) =>
        uploadPersistently(upload, {
          api,
          ledger,
          random,
          parallel: 3,
          pauseMsMax: 10,
          onRefused,
        }),
      ),
    );
    await traced.server.kill();
    expect(await ledger.check(recordingsDirectory)).toEqual([]);

    const payloads = new Map(uploads.map((upload) => [upload.segmentId, upload.chunks]));
    const model = new DurabilityModel(recordingsDirectory, payloads);
    const calls = await traced.calls();
    const checked = model.run(calls);
    expect(checked.early).toEqual([]);
    expect(checked.chunks).toBeGreaterThanOrEqual(ledger.count);
    const failed = calls.filter(({ injected }) => injected).length;
    expect(failed).toBeGreaterThan(0);
    reportCampaign(
      `strace of a run with ${failed} failed syncs (FAULT_SEED=${random.seed}): ${refusals} ` +
        `refusals, ${checked.chunks} chunks acknowledged, none on the word of a sync that failed ` +
        `(${countSyncs(calls)})`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

function countSyncs(calls: readonly SystemCall[]): string {
  return ["fdatasync", "syncfs", "fsync"]
    .map((name) => `${calls.filter((call) => call.name === name).length} ${name}`)
    .join(", ");
}
