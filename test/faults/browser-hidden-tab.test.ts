import { expect } from "bun:test";
import type { Page } from "playwright-core";
import { recordingIdSchema, segmentIdSchema } from "../../src/contract/ids.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { chromiumOfThisRun } from "../support/chromium.ts";
import { FaultBed } from "../support/fault-bed.ts";
import { longestStepMs, streamsOf, totalDurationMs } from "../support/media-streams.ts";
import { trackOf } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { testUnless } from "./support/system-tools.ts";

/** Long enough for what a browser does to tabs that are hidden for minutes. */
const HIDDEN_MS = campaign({ short: 12_000, long: 600_000 });

/** Longest time without a chunk that arrives. */
const GAP_MS_MAX = 2_000;

/** What the way to the server may add where a busy machine's recorder itself makes a longer gap. */
const UPLOAD_MS_MAX = 500;

/** How often the page asks for its timer; a browser calls a hidden page's once a second at most. */
const TIMER_MS = 100;

/** A timer that comes so far apart, on average, is throttled and not late. */
const THROTTLED_TIMER_MS = 900;

/** A live track's length as its packets tell it, against the time between its first and last chunk. */
const DURATION_TOLERANCE_MS = 1_500;

// The packaged browser is a headless shell, in which each tab counts as visible.
const { origin } = await chromiumOfThisRun();
const testWithHiddenTabs = testUnless(
  origin === "@sparticuz/chromium" ? "the packaged browser cannot hide a tab" : undefined,
);

testWithHiddenTabs(
  "a hidden tab, whose timers the browser slows down, delivers a chunk at least every 2 s",
  async () => {
    await using bed = await FaultBed.open("same-origin");
    await using browser = await bed.startBrowser();
    const name = { recordingId: await bed.api.start(), participantId: "ann", trackId: "camera" };
    const { barcode, page } = await bed.openCall(browser, { ...name, pictures: "camera" });
    await startTimerWatch(page);
    const other = await browser.context.newPage();
    await other.goto("about:blank");
    await other.bringToFront();
    await page.waitForFunction("document.visibilityState === 'hidden'", undefined, {
      polling: TIMER_MS,
    });
    const hiddenAtMs = Date.now();
    await page.evaluate("timerSteps.length = 0");
    await Bun.sleep(HIDDEN_MS);
    const steps = await page.evaluate<number[]>("timerSteps");
    const hiddenUntilMs = Date.now();
    expect(await page.evaluate<string>("document.visibilityState")).toBe("hidden");

    // Stopped while it is still hidden: the last chunks have no better time than the others.
    await barcode.stopRecorder("camera");
    await bed.ledger.hashed();
    const judge = bed.judge(name.recordingId);
    expect(await judge.undelivered(Infinity)).toEqual([]);
    await judge.expectExact();

    const arrivals = await arrivalTimes(bed, name.recordingId);
    const hidden = arrivals.filter((atMs) => atMs >= hiddenAtMs && atMs <= hiddenUntilMs);
    // The first chunk and the last one are judged by when the tab was hidden, too.
    const worstMs = longestStepMs([hiddenAtMs, ...hidden, hiddenUntilMs]);
    const [run] = bed.ledger.runs;
    if (run === undefined) throw new Error("Nothing was recorded");
    const recorderMs = longestStepMs(run.chunks.map(({ atMs }) => atMs));
    const timerMs = (hiddenUntilMs - hiddenAtMs) / steps.length;
    reportCampaign(
      `Tab hidden for ${Math.round((hiddenUntilMs - hiddenAtMs) / 1000)} s, its ${TIMER_MS} ms timer came every ${Math.round(timerMs)} ms: ${hidden.length} chunks arrived, ${Math.round(worstMs)} ms apart at most (the recorder gave them ${Math.round(recorderMs)} ms apart at most), 0 lost`,
    );
    // The tab was really slowed down all the time, or nothing was shown here.
    expect(timerMs).toBeGreaterThan(THROTTLED_TIMER_MS);
    expect(worstMs).toBeLessThanOrEqual(Math.max(GAP_MS_MAX, recorderMs + UPLOAD_MS_MAX));

    await bed.api.stop(name.recordingId);
    const track = trackOf(await bed.api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    const mp4Path = `${bed.directory}/hidden.mp4`;
    await bed.api.download(bed.api.trackUrl(name, "media.mp4"), mp4Path);
    const recordedMs = (run.chunks.at(-1)?.atMs ?? 0) - run.startedAtMs;
    const durationMs = totalDurationMs(await streamsOf(mp4Path));
    expect(Math.abs(durationMs - recordedMs)).toBeLessThan(DURATION_TOLERANCE_MS);
  },
  CAMPAIGN_TIMEOUT_MS,
);

/** Notes in the page how far apart the calls of an ordinary timer are. */
async function startTimerWatch(page: Page): Promise<void> {
  await page.evaluate(`
    globalThis.timerSteps = [];
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      timerSteps.push(now - last);
      last = now;
    }, ${TIMER_MS});
  `);
  await until(async () => (await page.evaluate<number>("timerSteps.length")) > 0 || undefined, {
    what: "the timer is called",
    timeoutMs: CAMPAIGN_TIMEOUT_MS,
  });
}

/** When each chunk of the recording's only segment arrived, by the server's clock, ascending. */
async function arrivalTimes(bed: FaultBed, recording: string): Promise<number[]> {
  const { participants } = await bed.api.show(recording);
  const [segment] = participants[0]?.tracks[0]?.segments ?? [];
  const store = new FileChunkStore(new RecordingsLayout(bed.recordingsDirectory), () => undefined);
  const reader = await store.read(
    recordingIdSchema.parse(recording),
    segmentIdSchema.parse(segment?.segmentId),
  );
  if (reader === undefined) throw new Error("The segment has no chunk file");
  try {
    const stamps = await Array.fromAsync(reader.stamps());
    return stamps.map(({ receivedAtMs }) => receivedAtMs).toSorted((a, b) => a - b);
  } finally {
    await reader.close();
  }
}
