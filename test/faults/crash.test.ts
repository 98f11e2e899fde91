import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { RecordingsApi, UnexpectedAnswerError } from "../support/recordings-api.ts";
import { joinChunks, recordedSegment, type RecordedName } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { AcknowledgementLedger } from "./support/acknowledgement-ledger.ts";
import { CrashingServer } from "./support/crashing-server.ts";
import { JudgedMedia } from "./support/judged-media.ts";
import {
  cutIntoChunks,
  persistently,
  type SegmentUpload,
  uploadPersistently,
} from "./support/persistent-uploader.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";

const PARTICIPANTS = 20;
const KILLS = campaign({ short: 6, long: 200 });
/** Of each recording; the next recording takes the kills that are left. */
const KILLS_PER_RECORDING = 6;
const CHUNKS_PER_SEGMENT = 120;
const PARALLEL_REQUESTS = 4;
/** So long that the uploads of a recording last for about two thirds of its kills. */
const PAUSE_MS_MAX = 200;
/** How long a server may serve before it is killed. */
const UPTIME_MS_MAX = 700;
/** How often a restarted server is killed before it serves. */
const CRASH_WHILE_STARTING_PROBABILITY = 0.25;

/** All of them are copied, so that 20 MP4s of each recording are made in little time. */
const RECORDED: readonly RecordedName[] = ["h264-opus", "vp9-opus", "av1-opus", "audio-opus"];

async function participantUploads(
  recordingId: string,
  random: SeededRandom,
): Promise<SegmentUpload[]> {
  return Promise.all(
    Array.from({ length: PARTICIPANTS }, async (_, i): Promise<SegmentUpload> => {
      const { mimeType, chunks } = await recordedSegment(RECORDED[i % RECORDED.length]!);
      return {
        recordingId,
        participantId: `participant ${i}`,
        trackId: "camera",
        segmentId: crypto.randomUUID(),
        mimeType,
        chunks: cutIntoChunks(joinChunks(chunks), CHUNKS_PER_SEGMENT, random),
      };
    }),
  );
}

/** What the participants were at when a server was killed. */
type Phase = "uploading" | "finalizing" | "done";

/** Uploads all segments, ends them, stops the recording and waits for its MP4s, through every crash. */
async function record(
  api: RecordingsApi,
  ledger: AcknowledgementLedger,
  random: SeededRandom,
  enter: (phase: Phase) => void,
): Promise<readonly SegmentUpload[]> {
  enter("uploading");
  const recordingId = await persistently(() => api.start());
  const uploads = await participantUploads(recordingId, random);
  await Promise.all(
    uploads.map(async (upload) => {
      await uploadPersistently(upload, {
        api,
        ledger,
        random,
        parallel: PARALLEL_REQUESTS,
        pauseMsMax: PAUSE_MS_MAX,
      });
      await persistently(() => api.endSegment(recordingId, upload.segmentId, upload.chunks.length));
    }),
  );
  enter("finalizing");
  await persistently(() => api.stop(recordingId));
  await persistently(() => api.ready(recordingId));
  enter("done");
  return uploads;
}

/**
 * Starts, fills, stops and deletes one small recording after the other, through every crash, until
 * `isOver`. Gives their IDs.
 */
async function keepDeleting(
  api: RecordingsApi,
  random: SeededRandom,
  isOver: () => boolean,
): Promise<string[]> {
  const deleted: string[] = [];
  const { mimeType, chunks } = await recordedSegment("audio-opus");
  const payloads = chunks.map(({ payload }) => payload);
  while (!isOver()) {
    const recordingId = await persistently(() => api.start());
    for (let i = random.int(1, 5); i > 0; i -= 1) {
      const name = { recordingId, participantId: `participant ${i}`, trackId: "camera" };
      const segmentId = crypto.randomUUID();
      await persistently(() =>
        api.upload({ ...name, segmentId, mimeType, sequence: 0, chunks: payloads }),
      );
    }
    await persistently(() => api.stop(recordingId));
    await persistently(() => remove(api, recordingId));
    deleted.push(recordingId);
  }
  return deleted;
}

async function remove(api: RecordingsApi, recordingId: string): Promise<void> {
  const path = `/api/recordings/${recordingId}`;
  const response = await fetch(`${api.serverUrl}${path}`, { method: "DELETE" });
  // 404: the answer to an earlier request was lost with its server.
  if (response.status === 204 || response.status === 404) return;
  throw new UnexpectedAnswerError(
    `DELETE ${path}`,
    response.status,
    await response.text(),
    response.headers.get("retry-after"),
  );
}

test(
  "kill -9 at random moments loses and changes no acknowledged chunk, and every MP4 is right",
  async () => {
    const random = new SeededRandom(campaignSeed());
    await using directory = await temporaryDirectory();
    const media = new JudgedMedia(directory.path);
    const ledger = new AcknowledgementLedger();
    await using server = await CrashingServer.start(join(directory.path, "recordings"));
    const api = new RecordingsApi(server.url);
    let phase: Phase = "done";
    const killedWhile: Record<Phase, number> = { uploading: 0, finalizing: 0, done: 0 };
    let acknowledged = 0;
    let judged = 0;
    let deletions = 0;
    reportCampaign(`crash campaign: FAULT_SEED=${random.seed}`);

    while (server.crashes < KILLS) {
      const crashesAtEnd = Math.min(KILLS, server.crashes + KILLS_PER_RECORDING);
      const killing = (async () => {
        while (server.crashes < crashesAtEnd) {
          await Bun.sleep(random.int(0, UPTIME_MS_MAX));
          killedWhile[phase] += 1;
          await server.crash();
          expect(await ledger.check(server.recordingsDirectory)).toEqual([]);
          while (server.crashes < crashesAtEnd && random.chance(CRASH_WHILE_STARTING_PROBABILITY)) {
            await server.crashWhileStarting(random);
            expect(await ledger.check(server.recordingsDirectory)).toEqual([]);
          }
          await server.restart();
        }
      })();
      const [uploads, deleted] = await Promise.all([
        record(api, ledger, random, (entered) => (phase = entered)),
        keepDeleting(api, random, () => server.crashes >= crashesAtEnd),
        killing,
      ]);
      for (const upload of uploads) await media.expectWhole(api, upload);
      const there = await readdir(server.recordingsDirectory);
      expect(there.filter((name) => deleted.includes(name))).toEqual([]);
      deletions += deleted.length;
      expect(ledger.count).toBe(PARTICIPANTS * CHUNKS_PER_SEGMENT);
      acknowledged += PARTICIPANTS * CHUNKS_PER_SEGMENT;
      judged += uploads.length;
      ledger.forget(uploads[0]!.recordingId);
    }
    const { serving, starting, recoveries, tornTails } = server.counts;
    expect(recoveries).toBe(serving);
    expect(killedWhile.uploading).toBeGreaterThan(0);
    reportCampaign(
      `${serving + starting} kills (${starting} of a server that was starting, ` +
        `${killedWhile.uploading} while uploading, ${killedWhile.finalizing} while finalizing): ` +
        `${acknowledged} chunks acknowledged, 0 lost, 0 changed; ` +
        `${judged} MP4s right; ${deletions} recordings deleted; ${tornTails} torn tails cut off`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);
