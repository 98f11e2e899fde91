import { expect, test } from "bun:test";
import { openBarcodeTab, type BarcodePage } from "../support/barcode-page.ts";
import type { UndeliveredChunk } from "../support/delivery-judge.ts";
import { FaultBed } from "../support/fault-bed.ts";
import { expectJoinedMp4 } from "../support/joined-mp4.ts";
import { trackOf } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";

const TIMEOUT_MS = 60_000;

/** What was recorded so shortly before its tab was closed may be lost with it. */
const TIMESLICE_MS = 1_000;

test(
  "what a living tab keeps is its own; what a closed one left is uploaded by the next page",
  async () => {
    // The page's own server stays within reach, so that tabs can be opened while chunks wait.
    await using bed = await FaultBed.open("cross-origin");
    const { api, path, ledger } = bed;
    await using browser = await bed.startBrowser();
    const recordingId = await api.start();
    const judge = bed.judge(recordingId);
    const [ann, bob] = [
      { recordingId, participantId: "ann", trackId: "camera" },
      { recordingId, participantId: "bob", trackId: "camera" },
    ];
    const annsTab = await bed.openCall(browser, { ...ann, pictures: "camera" });
    const [annsRun] = ledger.runs;
    if (annsRun === undefined) throw new Error("Ann's recorder gave nothing");
    const bobsTab = await bed.openCall(browser, { ...bob, pictures: "camera" });
    path.cut();
    await Promise.all([annsTab, bobsTab].map(somethingWaits));

    const third = await openBarcodeTab(browser.context, bed.pageUrl);
    expect(await third.barcode.resumePending(bed.libraryUrl)).toEqual({
      participantIds: [],
      pendingChunks: 0,
      acknowledgedChunks: 0,
    });

    const closedAtMs = Date.now();
    await annsTab.page.close();
    const fourth = await openBarcodeTab(browser.context, bed.pageUrl);
    const left = await until(
      async () => {
        const report = await fourth.barcode.resumePending(bed.libraryUrl);
        return report.participantIds.length > 0 ? report : undefined;
      },
      { what: "the closed tab's chunks are found", timeoutMs: TIMEOUT_MS },
    );
    expect(left.participantIds).toEqual(["ann"]);
    expect(left.pendingChunks).toBeGreaterThan(0);

    path.restore();
    await bobsTab.barcode.stopRecorder("camera");
    await until(
      async () => {
        const { pendingChunks } = await fourth.barcode.resumePending(bed.libraryUrl);
        const segments = (await api.show(recordingId)).participants.flatMap(({ tracks }) =>
          tracks.flatMap((track) => track.segments),
        );
        return pendingChunks === 0 && segments.every(({ ended }) => ended) ? true : undefined;
      },
      { what: "both tabs' segments are complete", timeoutMs: TIMEOUT_MS },
    );
    await ledger.hashed([annsRun]);
    const lost = await judge.undelivered(Infinity);
    const isOfLastSlice = ({ runId, atMs }: UndeliveredChunk): boolean =>
      runId === annsRun.runId && atMs >= closedAtMs - TIMESLICE_MS;
    expect(lost.filter((chunk) => !isOfLastSlice(chunk))).toEqual([]);
    expect((await judge.expectExact()).size).toBe(2);
    expect(await bobsTab.barcode.report("camera")).toMatchObject({
      state: "stopped",
      pendingChunks: 0,
      errors: [],
    });

    await api.stop(recordingId);
    const recording = await api.ready(recordingId);
    for (const name of [ann, bob]) {
      expect(trackOf(recording, name)).toMatchObject({ verdict: "complete", reason: null });
    }
    const chunks = ledger.runs.reduce((sum, run) => sum + run.chunks.length, 0);
    reportCampaign(
      `4 tabs of one origin: ${chunks} chunks of two participants, ${left.pendingChunks} left by a closed tab and uploaded by the next page, ${lost.length} lost with it`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "what a tab left that crashed is uploaded by the next page",
  async () => {
    await using bed = await FaultBed.open("cross-origin");
    const { api, path, ledger } = bed;
    await using browser = await bed.startBrowser();
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    const judge = bed.judge(name.recordingId);
    const doomed = await bed.openCall(browser, { ...name, pictures: { firstNumber: 0 } });
    path.cut();
    await somethingWaits(doomed);
    const session = await browser.context.newCDPSession(doomed.page);
    const crashedAtMs = Date.now();
    const crashed = doomed.page.waitForEvent("crash");
    // Who would answer is gone: this settles only when the browser ends.
    session.send("Page.crash").catch(() => undefined);
    await crashed;
    const waited = await judge.undelivered(crashedAtMs);

    const next = await openBarcodeTab(browser.context, bed.pageUrl);
    await next.barcode.loadLibrary(bed.libraryUrl);
    path.restore();
    await until(
      async () => trackOf(await api.show(name.recordingId), name).segments[0]?.ended || undefined,
      { what: "the segment is complete on the server", timeoutMs: TIMEOUT_MS },
    );
    await ledger.hashed(ledger.runs);
    const lost = await judge.undelivered(Infinity);
    expect(lost.filter(({ atMs }) => atMs < crashedAtMs - TIMESLICE_MS)).toEqual([]);
    const segments = await judge.expectExact();

    await api.stop(name.recordingId);
    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectJoinedMp4(api, name, track, segments, bed.directory);
    reportCampaign(
      `A tab crashed: ${waited.length} chunks waited in it, ${lost.length} lost, the others uploaded by the next page`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

async function somethingWaits({ barcode }: BarcodePage): Promise<void> {
  await until(async () => (await barcode.report("camera")).pendingChunks >= 2 || undefined, {
    what: "chunks wait",
    timeoutMs: TIMEOUT_MS,
  });
}
