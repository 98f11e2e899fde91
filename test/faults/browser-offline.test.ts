import { expect, test } from "bun:test";
import type { SegmentSummary } from "../../src/contract/recordings.ts";
import { barcodeReady } from "../support/barcode-page.ts";
import { FaultBed } from "../support/fault-bed.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { expectJoinedMp4 } from "../support/joined-mp4.ts";
import { trackOf } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";

const OFFLINE_MS = campaign({ short: 12_000, long: 600_000 });

/** Reloads of the page, evenly over that time. */
const RELOADS = campaign({ short: 1, long: 5 });

/** What was recorded so shortly before a reload may be lost with it. */
const TIMESLICE_MS = 1_000;

/**
 * A backlog must be gone in a quarter of the time that it took to record. A short one is gone in
 * less than the client's longest wait between two attempts: there only that it keeps up is sure.
 */
const DRAIN_RATE_MIN = campaign({ short: 1, long: 4 });

const DRAIN_TIMEOUT_MS = campaign({ short: 60_000, long: 600_000 });

/** Tells the pictures of one page from those of the page after its reload. */
const FRAMES_OF_A_PAGE = 100_000;

test(
  "offline with a reload in the middle, a recording loses nothing but the slice before the reload",
  async () => {
    await using bed = await FaultBed.open("cross-origin");
    const { api, ledger, path } = bed;
    await using browser = await bed.startBrowser();
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    const opened = await bed.openCall(browser, { ...name, pictures: { firstNumber: 0 } });
    const { barcode, page } = opened;
    const judge = bed.judge(name.recordingId);

    path.cut();
    await recordFor(bed, OFFLINE_MS / (RELOADS + 1));
    const reloads: Reload[] = [];
    for (let reload = 1; reload <= RELOADS; reload += 1) {
      const fromMs = Date.now();
      await page.reload();
      await barcodeReady(page);
      reloads.push({ fromMs, toMs: Date.now() });
      await bed.record(opened, {
        ...name,
        pictures: { firstNumber: reload * FRAMES_OF_A_PAGE },
      });
      await recordFor(bed, OFFLINE_MS / (RELOADS + 1));
    }

    const backAtMs = Date.now();
    const backlog = await judge.undelivered(backAtMs);
    path.restore();
    const isLastSlice = ({ atMs }: { readonly atMs: number }) => isOfLastSlice(atMs, reloads);
    await until(async () => (await judge.undelivered(backAtMs)).every(isLastSlice) || undefined, {
      what: "the backlog is delivered",
      timeoutMs: DRAIN_TIMEOUT_MS,
    });
    const drainMs = Date.now() - backAtMs;
    await barcode.stopRecorder("camera");
    await ledger.hashed(ledger.runs.slice(0, RELOADS));
    await until(
      async () => {
        const { segments } = trackOf(await api.show(name.recordingId), name);
        return (segments.length === RELOADS + 1 && segments.every(isWhole)) || undefined;
      },
      { what: "every segment is complete on the server", timeoutMs: DRAIN_TIMEOUT_MS },
    );
    const lost = await judge.undelivered(Infinity);
    const backlogMs = backlog.length * TIMESLICE_MS;
    const drainRate = backlogMs / drainMs;
    reportCampaign(
      `${Math.round(OFFLINE_MS / 1000)} s offline, reloads of the page: ${RELOADS}: ${backlog.length} chunks waited, ${lost.length} lost, delivered in ${Math.round(drainMs)} ms, ${drainRate.toFixed(1)} times real time`,
    );
    expect(lost.length).toBeLessThanOrEqual(RELOADS);
    expect(lost.every(isLastSlice)).toBeTrue();
    expect(drainRate).toBeGreaterThanOrEqual(DRAIN_RATE_MIN);
    const segments = await judge.expectExact();
    expect(ledger.runs.length).toBe(RELOADS + 1);

    await api.stop(name.recordingId);
    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectJoinedMp4(api, name, track, segments, bed.directory);
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "a page that the browser calls offline goes on recording, and delivers all when it is online",
  async () => {
    await using bed = await FaultBed.open("same-origin");
    const { api } = bed;
    await using browser = await bed.startBrowser();
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    const { barcode, page } = await bed.openCall(browser, {
      ...name,
      pictures: { firstNumber: 0 },
    });
    const judge = bed.judge(name.recordingId);
    await browser.context.setOffline(true);
    expect(await page.evaluate<boolean>("navigator.onLine")).toBe(false);
    bed.path.cut();
    await recordFor(bed, OFFLINE_MS / 2);
    const backlog = await judge.undelivered(Date.now());
    expect(backlog.length).toBeGreaterThan(0);
    bed.path.restore();
    await browser.context.setOffline(false);
    const backAtMs = Date.now();
    await until(async () => ((await judge.undelivered(backAtMs)).length === 0 ? true : undefined), {
      what: "the backlog is delivered",
      timeoutMs: DRAIN_TIMEOUT_MS,
    });
    const drainMs = Date.now() - backAtMs;
    const drainRate = (backlog.length * TIMESLICE_MS) / drainMs;
    await barcode.stopRecorder("camera");
    await bed.ledger.hashed();
    expect(await judge.undelivered(Infinity)).toEqual([]);
    reportCampaign(
      `${Math.round(OFFLINE_MS / 2000)} s offline by the browser's own word: ${backlog.length} chunks waited, 0 lost, delivered in ${Math.round(drainMs)} ms, ${drainRate.toFixed(1)} times real time`,
    );
    expect(drainRate).toBeGreaterThanOrEqual(DRAIN_RATE_MIN);
    await judge.expectExact();

    await api.stop(name.recordingId);
    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectFaithfulMp4(api, name, track, bed.directory);
  },
  CAMPAIGN_TIMEOUT_MS,
);

/** Waits until the ledger's newest chunk was handed over so much later than now. */
async function recordFor({ ledger }: FaultBed, durationMs: number): Promise<void> {
  const endMs = Date.now() + durationMs;
  await until(() => (ledger.runs.at(-1)?.chunks.at(-1)?.atMs ?? 0) >= endMs || undefined, {
    what: `${durationMs} ms more are recorded`,
    timeoutMs: durationMs * 2 + 30_000,
  });
}

/** From when to when the one page went and the other came. */
interface Reload {
  readonly fromMs: number;
  readonly toMs: number;
}

function isWhole({ ended, missing }: SegmentSummary): boolean {
  return ended && missing.length === 0;
}

/** Whether the page that was handed a chunk at `atMs` was about to go. */
function isOfLastSlice(atMs: number, reloads: readonly Reload[]): boolean {
  return reloads.some(({ fromMs, toMs }) => atMs >= fromMs - TIMESLICE_MS && atMs <= toMs);
}
