import { expect, test } from "bun:test";
import { FaultBed } from "../support/fault-bed.ts";
import { trackOf } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";

/** How long the path is silent, each time. */
const SILENT_MS = campaign({ short: [10_000], long: [2_000, 10_000, 30_000, 60_000, 120_000] });

/** How soon after the path is back an upload must succeed. */
const RECOVERY_MS_MAX = 5_000;

/** Beyond the limit, so that a recovery that is too slow is measured and not only missed. */
const GIVE_UP_MS = 60_000;

test(
  "an upload succeeds within 5 s after a path that went silent is back",
  async () => {
    await using bed = await FaultBed.open("same-origin");
    await using browser = await bed.startBrowser();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    const { barcode } = await bed.openCall(browser, { ...name, pictures: { firstNumber: 0 } });
    const judge = bed.judge(name.recordingId);
    const durableChunks = async () =>
      trackOf(await bed.api.show(name.recordingId), name).segments[0]?.chunks ?? 0;

    const recoveriesMs: number[] = [];
    for (const silentMs of SILENT_MS) {
      await until(async () => (await barcode.report("camera")).pendingChunks <= 1 || undefined, {
        what: "hardly anything waits",
        timeoutMs: GIVE_UP_MS,
      });
      bed.path.silence();
      const before = await durableChunks();
      await Bun.sleep(silentMs);
      // The path was silent indeed: nothing but what was on its way came through.
      expect(await durableChunks()).toBeLessThanOrEqual(before + 1);
      const silentChunks = await durableChunks();
      bed.path.restore();
      const restoredAtMs = performance.now();
      await until(async () => (await durableChunks()) > silentChunks || undefined, {
        what: "an upload after the silence",
        timeoutMs: GIVE_UP_MS,
      });
      recoveriesMs.push(performance.now() - restoredAtMs);
    }
    const worstMs = Math.max(...recoveriesMs);
    await barcode.stopRecorder("camera");
    await bed.ledger.hashed();
    reportCampaign(
      `${recoveriesMs.length} silences of a path: an upload succeeded ${Math.round(worstMs)} ms after the path was back at most, ${(await judge.undelivered(Infinity)).length} chunks lost`,
    );
    expect(await judge.undelivered(Infinity)).toEqual([]);
    await judge.expectExact();
    expect(worstMs).toBeLessThanOrEqual(RECOVERY_MS_MAX);

    await bed.api.stop(name.recordingId);
    const track = trackOf(await bed.api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectFaithfulMp4(bed.api, name, track, bed.directory);
  },
  CAMPAIGN_TIMEOUT_MS,
);
