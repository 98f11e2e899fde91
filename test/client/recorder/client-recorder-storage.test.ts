import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  expectAllDelivered,
  RECORDING_ID,
  RecorderBrowser,
  summaryOf,
} from "./recorder-browser.ts";
import { problem } from "./scripted-server.ts";

// Real time passes in the browser.
setDefaultTimeout(90_000);

/** Of the real quota, which this Chromium does not tell. */
const QUOTA_BYTES = 12_000_000;

/** Of what it tells instead: some GiB above what is used. */
const THRESHOLDS = { low: 0.000_3, critical: 0.000_6 };

const MEMORY_BYTES_MAX = 2_000_000;

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

describe("ClientRecorder, when the browser's storage is short", () => {
  test("warns, records less, goes on in memory, stops at the very end, and delivers it all", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Storage.overrideQuotaForOrigin", {
      origin: new URL(server.url).origin,
      quotaSize: QUOTA_BYTES,
    });
    server.failWhen(() => ({ answer: () => problem(503, "overloaded") }));
    const seen = await page.evaluate(
      async ({ recordingId, memorySpoolBytesMax, storageThresholds }) => {
        const { recorderPage } = window;
        const recorder = recorderPage.make({
          timesliceMs: 200,
          memorySpoolBytesMax,
          storageThresholds,
        });
        const storage: { state: string; usedBytes: number; share: number; words: string | null }[] =
          [];
        recorder.on("storage", ({ state, usedBytes, quotaBytes, reason }) =>
          storage.push({
            state,
            usedBytes: usedBytes ?? 0,
            share: (usedBytes ?? 0) / (quotaBytes ?? 1),
            words: reason,
          }),
        );
        const reasons: string[] = [];
        recorder.on("segment", (change) => {
          if (change.type === "started") reasons.push(change.reason);
        });
        const stopping = recorderPage.untilState("stopping");
        await recorder.startRecording(
          recorderPage.openStream({ picture: true, sound: true }),
          recordingId,
        );
        // What no encoder makes of a small picture in a short time.
        const pump = setInterval(() => recorderPage.giveNoise(100_000), 50);
        await stopping;
        clearInterval(pump);
        return {
          storage,
          reasons,
          errors: recorderPage.errors,
          recorder: recorder.state,
        };
      },
      {
        recordingId: RECORDING_ID,
        memorySpoolBytesMax: MEMORY_BYTES_MAX,
        storageThresholds: THRESHOLDS,
      },
    );
    expect(seen.storage.map(({ state }) => state)).toEqual(["ok", "low", "critical", "memory"]);
    expect(seen.storage[1]?.share).toBeWithin(THRESHOLDS.low, THRESHOLDS.critical);
    expect(seen.storage[2]?.share).toBeGreaterThanOrEqual(THRESHOLDS.critical);
    expect(seen.storage[2]?.usedBytes).toBeLessThan(QUOTA_BYTES);
    expect(seen.storage[3]?.words).toContain("no more room");
    expect(seen.reasons).toEqual(["start", "storage-critical", "storage-critical"]);
    expect(seen.errors).toEqual(["spool-full"]);

    server.failWhen(() => undefined);
    const end = await page.evaluate(async () => {
      const { recorder } = window.recorderPage;
      return {
        code: await window.recorderPage.codeOf(recorder.stopRecording()),
        state: recorder.state,
        pending: recorder.progress.pending.chunks,
        kept: (await recorder.unacknowledgedChunks()).length,
      };
    });
    expect(end).toEqual({ code: "spool-full", state: "failed", pending: 0, kept: 0 });
    await expectAllDelivered(opened);
  });

  test("says that without a storage all is lost with the page, and delivers it", async () => {
    await using opened = await browser.openPage({ initScript: "delete globalThis.indexedDB" });
    const { page, server } = opened;
    server.failNext({ answer: () => problem(503, "overloaded") });
    const seen = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const storage: string[] = [];
      recorder.on("storage", ({ state, reason }) => storage.push(`${state}: ${reason}`));
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      const { isDurable } = await recorderPage.untilProgress(({ pending }) => pending.chunks > 0);
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
      await recorder.stopRecording();
      const { ClientRecorder } = recorderPage;
      return {
        storage,
        isDurable,
        isDurableAtEnd: recorder.progress.isDurable,
        resumed: (await ClientRecorder.resumePending()).segments.length,
        chunks: (await ClientRecorder.pendingChunks()).length,
      };
    }, RECORDING_ID);
    expect(seen).toEqual({
      storage: ["memory: This browser has no storage here that would outlive the page."],
      isDurable: false,
      isDurableAtEnd: true,
      resumed: 0,
      chunks: 0,
    });
    await expectAllDelivered(opened);
  });

  test("loses no chunk when the storage is taken away in the middle", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
    }, RECORDING_ID);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Storage.clearDataForOrigin", {
      origin: new URL(server.url).origin,
      storageTypes: "indexeddb",
    });
    await page.evaluate(async () => {
      const { recorder } = window.recorderPage;
      const before = recorder.progress.acknowledged.chunks;
      await window.recorderPage.untilProgress(
        ({ acknowledged }) => acknowledged.chunks > before + 5,
      );
      await recorder.stopRecording();
    });
    await expectAllDelivered(opened);
  });
});

describe("ClientRecorder in a sandboxed page", () => {
  test("works from memory, and leaves no error and no rejection unhandled", async () => {
    await using opened = await browser.openPage({
      contentSecurityPolicy: "sandbox allow-scripts",
      initScript: `
        globalThis.unhandled = [];
        addEventListener("error", (event) => unhandled.push(event.message));
        addEventListener("unhandledrejection", (event) => unhandled.push(String(event.reason)));`,
    });
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const { ClientRecorder } = recorderPage;
      const states: string[] = [];
      // In a worker, if the page may have one, and in the page.
      for (const options of [{}, { fetch: (url: string, init: RequestInit) => fetch(url, init) }]) {
        const started = recorderPage.record(recordingId, options);
        recorderPage.recorder.on("storage", ({ state }) => states.push(state));
        const recorder = await started;
        await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
        await recorder.stopRecording();
        states.push(recorder.state);
      }
      const resumed = await ClientRecorder.resumePending();
      const chunks = await ClientRecorder.pendingChunks();
      const isDiscarded = await ClientRecorder.discardPending(crypto.randomUUID());
      const unhandled: unknown = Reflect.get(globalThis, "unhandled");
      return {
        origin: window.origin,
        states,
        left: resumed.segments.length + chunks.length,
        isDiscarded,
        unhandled,
      };
    }, RECORDING_ID);
    expect(seen).toEqual({
      origin: "null",
      states: ["memory", "stopped", "memory", "stopped"],
      left: 0,
      isDiscarded: false,
      unhandled: [],
    });
    // Chunks of its worker, which is no secure context, come without hashes.
    const { page, server } = opened;
    const given = await page.evaluate(() => window.recorderPage.given());
    const stored = [...server.segments.values()].map((segment) => summaryOf(server, segment));
    const hashes = (of: typeof given) => of.map(({ sha256 }) => sha256).toSorted();
    expect(hashes(stored)).toEqual(hashes(given));
  });
});

describe("ClientRecorder's upload", () => {
  test("runs in a worker, and in the page where a policy forbids workers", async () => {
    for (const [policy, workers] of [
      [undefined, 1],
      ["worker-src 'none'", 0],
    ] as const) {
      await using opened = await browser.openPage({
        contentSecurityPolicy: policy,
      });
      const { page, logged } = opened;
      await page.evaluate(async (recordingId) => {
        const { recorderPage } = window;
        const recorder = await recorderPage.record(recordingId);
        await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
        await recorder.stopRecording();
      }, RECORDING_ID);
      expect(page.workers()).toHaveLength(workers);
      await expectAllDelivered(opened);
      // The browser's own words on the policy.
      if (policy !== undefined) {
        expect(logged.splice(0).join()).toMatch(/Content Security Policy/);
      }
    }
  });
});
