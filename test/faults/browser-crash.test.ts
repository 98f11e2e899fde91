import { expect, test } from "bun:test";
import { openBarcodeTab } from "../support/barcode-page.ts";
import { FaultBed } from "../support/fault-bed.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { expectJoinedMp4 } from "../support/joined-mp4.ts";
import { longestStepMs } from "../support/media-streams.ts";
import { trackOf } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { DiskPulse } from "./support/disk-pulse.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";

/** Kills of the browser, of which every other one happens while the server cannot be reached. */
const KILLS = campaign({ short: 2, long: 40 });

/**
 * Recorded before a kill, counted from the first acknowledgement or, offline, from the first chunk that
 * waits.
 */
const RECORDED_MS_MIN = 2_000;
const RECORDED_MS_MAX = campaign({ short: 4_000, long: 20_000 });

/** How likely a browser that uploads what another one left is killed as well. */
const KILL_AGAIN_PROBABILITY = campaign({ short: 0, long: 0.4 });

/** When that happens, after it has loaded the library. */
const RESUMED_MS_MAX = 1_500;

/** What a kill may take along beside the slice that the recorder had not handed over. */
const LOST_MS_MAX = 250;

/** A chunk is kept behind the removal of an earlier one and the count of its segment. */
const SYNCS_OF_A_CHUNK = 3;

const TIMESLICE_MS = 1_000;

const UPLOAD_TIMEOUT_MS = 60_000;

test(
  "a browser that is killed loses one slice, and its next start uploads the rest",
  async () => {
    const random = new SeededRandom(campaignSeed());
    reportCampaign(`browser crash campaign: FAULT_SEED=${random.seed}`);
    // The page is within reach all the time; the path to the recordings' server is not.
    await using bed = await FaultBed.open("cross-origin", { env: { STOP_GRACE_MS: "300" } });
    const { api, ledger } = bed;
    await using disk = new DiskPulse(bed.directory);
    const figures = {
      again: 0,
      chunks: 0,
      waited: 0,
      worstLostMs: 0,
      worstSliceMs: 0,
      worstSyncMs: 0,
    };
    for (let kill = 0; kill < KILLS; kill += 1) {
      const isOffline = kill % 2 === 1;
      ledger.clear();
      const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
      const judge = bed.judge(name.recordingId);
      await using doomed = await bed.startBrowser();
      const { barcode: doomedBarcode } = await bed.openCall(doomed, {
        ...name,
        pictures: { firstNumber: 0 },
      });
      if (isOffline) {
        bed.path.cut();
        await until(
          async () => (await doomedBarcode.report("camera")).pendingChunks >= 1 || undefined,
          { what: "a chunk waits for the path", timeoutMs: UPLOAD_TIMEOUT_MS },
        );
      }
      await Bun.sleep(random.int(RECORDED_MS_MIN, RECORDED_MS_MAX));
      const killedAtMs = await doomed.kill();
      const syncMs = disk.worstMs(killedAtMs - LOST_MS_MAX);
      const lostMsMax = LOST_MS_MAX + SYNCS_OF_A_CHUNK * syncMs;
      const waited = await judge.undelivered(killedAtMs);
      bed.path.restore();
      if (isOffline) {
        // The call ends without it: its MP4 is made of what is there.
        expect(waited.length).toBeGreaterThan(0);
        await api.stop(name.recordingId);
        const early = trackOf(await api.ready(name.recordingId), name);
        expect(early.verdict).toBe("degraded");
      }

      while (random.chance(KILL_AGAIN_PROBABILITY)) {
        await using another = await bed.startBrowser();
        const tab = await openBarcodeTab(another.context, bed.pageUrl);
        await tab.barcode.loadLibrary(bed.libraryUrl);
        await Bun.sleep(random.int(0, RESUMED_MS_MAX));
        await another.kill();
        figures.again += 1;
      }
      await using next = await bed.startBrowser();
      const { barcode } = await openBarcodeTab(next.context, bed.pageUrl);
      await barcode.loadLibrary(bed.libraryUrl);
      await until(
        async () => {
          const [segment] = trackOf(await api.show(name.recordingId), name).segments;
          return segment?.ended === true && segment.missing.length === 0 ? true : undefined;
        },
        { what: "the segment is complete on the server", timeoutMs: UPLOAD_TIMEOUT_MS },
      );
      await ledger.hashed(ledger.runs);
      const segments = await judge.expectExact();
      const [[run, segment] = []] = [...segments];
      if (run === undefined || segment === undefined) throw new Error("There is no segment");
      const lost = await judge.undelivered(Infinity);
      const lostMs = killedAtMs - (run.chunks[segment.chunks - 1]?.atMs ?? 0);
      const sliceMs = longestStepMs([run.startedAtMs, ...run.chunks.map(({ atMs }) => atMs)]);
      figures.chunks += segment.chunks;
      figures.waited += waited.length;
      figures.worstSyncMs = Math.max(figures.worstSyncMs, syncMs);
      figures.worstLostMs = Math.max(figures.worstLostMs, lostMs);
      figures.worstSliceMs = Math.max(figures.worstSliceMs, sliceMs);
      // What was handed over a quarter of a second before the kill was on the disk, if the disk
      // itself was not busier than that.
      expect(lost.filter(({ atMs }) => atMs < killedAtMs - lostMsMax)).toEqual([]);
      // A busy machine's recorder hands its slices over later than by its clock.
      expect(lostMs).toBeLessThanOrEqual(Math.max(TIMESLICE_MS, sliceMs) + lostMsMax);

      if (!isOffline) await api.stop(name.recordingId);
      const track = await until(
        async () => {
          const latest = trackOf(await api.ready(name.recordingId), name);
          return latest.verdict === "complete" ? latest : undefined;
        },
        { what: "the whole MP4 is made", timeoutMs: UPLOAD_TIMEOUT_MS },
      );
      await expectJoinedMp4(api, name, track, segments, bed.directory);
    }
    reportCampaign(
      `${KILLS} kills of the browser, every other one offline and uploaded after the recording's stop, and ${figures.again} of those that uploaded: ${figures.chunks} chunks delivered, ${figures.waited} of them by the next start; ${Math.round(figures.worstLostMs)} ms before a kill lost at most, with slices of up to ${Math.round(figures.worstSliceMs)} ms and a disk that took ${Math.round(figures.worstSyncMs)} ms for a sync`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "a server that is killed again and again while a browser records gets every chunk",
  async () => {
    const kills = campaign({ short: 2, long: 30 });
    await using bed = await FaultBed.open("same-origin");
    await using browser = await bed.startBrowser();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    const { barcode } = await bed.openCall(browser, { ...name, pictures: { firstNumber: 0 } });
    const judge = bed.judge(name.recordingId);
    for (let kill = 0; kill < kills; kill += 1) {
      const { acknowledgedChunks } = await barcode.report("camera");
      await until(
        async () =>
          (await barcode.report("camera")).acknowledgedChunks > acknowledgedChunks || undefined,
        { what: "a chunk is acknowledged", timeoutMs: UPLOAD_TIMEOUT_MS },
      );
      await bed.killServer();
      await until(async () => (await barcode.report("camera")).pendingChunks >= 2 || undefined, {
        what: "chunks wait for the server",
        timeoutMs: UPLOAD_TIMEOUT_MS,
      });
      await bed.startServerAgain();
    }
    await barcode.stopRecorder("camera");
    await bed.ledger.hashed();
    expect(await judge.undelivered(Infinity)).toEqual([]);
    await judge.expectExact();
    const { recordedChunks } = await barcode.report("camera");
    reportCampaign(
      `${kills} kills of the server under a browser that records: ${recordedChunks} chunks, 0 lost`,
    );

    await bed.api.stop(name.recordingId);
    const track = trackOf(await bed.api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectFaithfulMp4(bed.api, name, track, bed.directory);
  },
  CAMPAIGN_TIMEOUT_MS,
);
