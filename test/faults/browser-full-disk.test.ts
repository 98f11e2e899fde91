import { expect } from "bun:test";
import { FaultBed } from "../support/fault-bed.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { trackOf } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { smallDisk, smallDiskObstacle } from "./support/small-disk.ts";
import { testUnless } from "./support/system-tools.ts";

const DISK_BYTES = campaign({ short: 64, long: 256 }) * 1_048_576;

/** Chunks that wait for the disk before there is space again. */
const WAITING_CHUNKS = campaign({ short: 4, long: 120 });

const TIMEOUT_MS = campaign({ short: 60_000, long: 600_000 });

const testOnSmallDisk = testUnless(smallDiskObstacle());

testOnSmallDisk(
  "while the server's disk is full the browser keeps what it records, and delivers it by itself",
  async () => {
    await using disk = await smallDisk(DISK_BYTES);
    await using bed = await FaultBed.open("same-origin", {
      recordingsDirectory: `${disk.path}/recordings`,
      // The floor under which no recording starts is not what is tested here.
      env: { FREE_SPACE_BYTES_MIN: "0" },
    });
    await using browser = await bed.startBrowser();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    const { barcode, page } = await bed.openCall(browser, {
      ...name,
      pictures: { firstNumber: 0 },
    });
    const refusals: number[] = [];
    page.on("response", (response) => {
      if (response.status() >= 500) refusals.push(response.status());
    });
    await disk.fill();
    const waiting = await until(
      async () => {
        const { pendingChunks } = await barcode.report("camera");
        return pendingChunks >= WAITING_CHUNKS ? pendingChunks : undefined;
      },
      { what: "chunks wait for the disk", timeoutMs: TIMEOUT_MS },
    );
    await disk.free();
    await barcode.stopRecorder("camera");
    await bed.ledger.hashed();
    const judge = bed.judge(name.recordingId);
    expect(await judge.undelivered(Infinity)).toEqual([]);
    await judge.expectExact();
    expect(await barcode.report("camera")).toMatchObject({ state: "stopped", errors: [] });
    reportCampaign(
      `A full disk under a browser that records: ${refusals.length} answers ${[...new Set(refusals)].join(", ")}, ${waiting} chunks waited, 0 lost`,
    );
    expect(new Set(refusals)).toEqual(new Set([507]));

    await bed.api.stop(name.recordingId);
    const track = trackOf(await bed.api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectFaithfulMp4(bed.api, name, track, bed.directory);
  },
  CAMPAIGN_TIMEOUT_MS,
);
