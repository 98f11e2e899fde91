import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { problem } from "./scripted-server.ts";
import {
  expectAllDelivered,
  RECORDING_ID,
  RecorderBrowser,
  summaryOf,
} from "./recorder-browser.ts";

// Real time passes in the browser.
setDefaultTimeout(60_000);

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

describe("ClientRecorder in Chromium, when something fails", () => {
  test("delivers every byte to a server that fails, loses answers and is away for a while", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    server.timeOffsetMs = 3_600_000;
    let requests = 0;
    server.failWhen(() => {
      requests += 1;
      if (requests % 3 === 0) {
        return { answer: () => problem(503, "overloaded", { "Retry-After": "0" }) };
      }
      return requests % 4 === 0 ? { losesAnswer: true } : undefined;
    });
    const startedAtMs = Date.now();
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      await recorderPage.record(recordingId, { timesliceMs: 150 });
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 5);
    }, RECORDING_ID);

    const waiting = page.evaluate(async () => {
      const before = window.recorderPage.retries;
      return window.recorderPage.untilProgress(
        ({ pending }) => pending.chunks >= 6 && window.recorderPage.retries > before,
      );
    });
    await server.stop();
    const { recorded, acknowledged, pending } = await waiting;
    expect(pending.bytes).toBeGreaterThan(0);
    for (const unit of ["chunks", "bytes"] as const) {
      expect(recorded[unit]).toBe(acknowledged[unit] + pending[unit]);
    }
    // Back, but for the answer to the segment's end.
    let ends = 0;
    server.failWhen(({ sequences }) => {
      if (sequences.length > 0) return undefined;
      ends += 1;
      return ends === 1 ? { losesAnswer: true } : undefined;
    });
    server.start();
    const progress = await page.evaluate(async () => {
      await window.recorderPage.recorder.stopRecording();
      return window.recorderPage.recorder.progress;
    });
    expect(progress.pending).toMatchObject({ chunks: 0, bytes: 0 });
    expect(progress.acknowledged).toEqual(progress.recorded);

    const [segment] = await expectAllDelivered(opened);
    expect(progress.recorded.bytes).toBe(
      segment === undefined ? -1 : server.bytesOf(segment).length,
    );
    const elapsedMs = Date.now() - startedAtMs;
    expect(progress.recorded.seconds * 1_000).toBeLessThan(elapsedMs);
    // On the server's clock, an hour ahead of the page's.
    const captured = [...(segment?.capturedAtMs ?? [])].toSorted(([a], [b]) => a - b);
    expect(captured.length).toBe(segment?.chunks.size ?? 0);
    let previousMs = startedAtMs + 3_600_000 - 100;
    for (const [, capturedAtMs] of captured) {
      expect(capturedAtMs).toBeGreaterThan(previousMs - 50);
      previousMs = capturedAtMs;
    }
    expect(previousMs).toBeLessThan(startedAtMs + 3_600_000 + elapsedMs);
  });

  test("keeps and offers what a closed recording refuses, and says so", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    const outcome = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 3);
      return recorder.progress.acknowledged.chunks;
    }, RECORDING_ID);
    expect(outcome).toBeGreaterThan(2);
    server.failWhen(() => ({ answer: () => problem(410, "recording-closed") }));
    const end = await page.evaluate(async () => {
      const { recorderPage } = window;
      const { recorder } = recorderPage;
      if (recorder.state !== "failed") await recorderPage.untilState("failed");
      const kept = await recorder.unacknowledgedChunks();
      return {
        code: await recorderPage.codeOf(recorder.stopRecording()),
        again: await recorderPage.codeOf(recorder.stopRecording()),
        errors: recorderPage.errors,
        keptBytes: kept.reduce((sum, { payload }) => sum + payload.size, 0),
        keptChunks: kept.length,
        pending: recorder.progress.pending,
      };
    });
    expect(end).toMatchObject({
      code: "recording-closed",
      again: "recording-closed",
      errors: ["recording-closed"],
    });
    expect(end.keptChunks).toBe(end.pending.chunks);
    expect(end.keptBytes).toBe(end.pending.bytes);
    const given = await page.evaluate(() => window.recorderPage.given());
    const givenBytes = (given[0]?.sizes ?? []).reduce((sum, size) => sum + size, 0);
    const [segment] = [...server.segments.values()];
    const storedBytes = segment === undefined ? 0 : server.bytesOf(segment).length;
    expect(end.keptBytes + storedBytes).toBe(givenBytes);
  });

  test("gives up waiting for an unreachable server when its signal says so, and keeps the chunks", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      recorderPage.make({});
      recorderPage.openStream({ picture: true, sound: true });
      await recorderPage.recorder.startRecording(recorderPage.stream, recordingId);
    }, RECORDING_ID);
    await server.stop();
    const end = await page.evaluate(async () => {
      const { recorderPage } = window;
      const { recorder } = recorderPage;
      const giveUp = new AbortController();
      const retried = new Promise<void>((resolve) => {
        const off = recorder.on("retry", () => {
          off();
          resolve();
        });
      });
      const code = recorderPage.codeOf(recorder.stopRecording({ signal: giveUp.signal }));
      await retried;
      giveUp.abort();
      return {
        code: await code,
        state: recorder.state,
        kept: (await recorder.unacknowledgedChunks()).length,
        pending: recorder.progress.pending.chunks,
      };
    });
    expect(end).toMatchObject({ code: "stopped", state: "failed" });
    expect(end.kept).toBeGreaterThan(0);
    expect(end.kept).toBe(end.pending);
  });

  test("records sound alone, on a page without a secure context, without hashes", async () => {
    await using opened = await browser.openPage({ hostName: "insecure.test" });
    const { page, server } = opened;
    const isSecure = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      await recorder.startRecording(
        recorderPage.openStream({ picture: false, sound: true }),
        recordingId,
      );
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 2);
      await recorder.stopRecording();
      return window.isSecureContext;
    }, RECORDING_ID);
    expect(isSecure).toBe(false);
    const [segment] = [...server.segments.values()];
    const given = await page.evaluate(() => window.recorderPage.given());
    if (segment === undefined) throw new Error("No segment arrived");
    expect(summaryOf(server, segment).sizes).toEqual([...(given[0]?.sizes ?? [])]);
    expect(segment.mimeType).toBe("audio/webm;codecs=opus");
    expect(segment.sha256.size).toBe(0);
    expect(segment.chunkCount).toBe(segment.chunks.size);
  });

  test("leaves an empty first blob out, and keeps empty and one-byte blobs in the middle", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const give = (text: string) =>
        recorderPage
          .mediaRecorder()
          .dispatchEvent(new BlobEvent("dataavailable", { data: new Blob([text]) }));
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      give("");
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks >= 2);
      give("");
      give("x");
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks >= 5);
      await recorder.stopRecording();
    }, RECORDING_ID);
    const given = await page.evaluate(() => window.recorderPage.given());
    expect(given[0]?.sizes[0]).toBe(0);
    const [segment] = await expectAllDelivered(opened);
    const sizes = [...(segment?.chunks.values() ?? [])].map(({ length }) => length);
    expect(sizes).toContain(0);
    expect(sizes).toContain(1);
  });

  test("begins a new segment when the browser's recorder fails", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const seen = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const reasons: string[] = [];
      recorder.on("segment", (change) => {
        if (change.type === "started") reasons.push(change.reason);
      });
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 2);
      const error = new DOMException("The encoder is gone", "UnknownError");
      recorderPage.mediaRecorder().dispatchEvent(new ErrorEvent("error", { error }));
      const before = recorder.progress.recorded.chunks;
      await recorderPage.untilProgress(({ recorded }) => recorded.chunks >= before + 4);
      await recorder.stopRecording();
      return { reasons, errors: recorderPage.errors };
    }, RECORDING_ID);
    expect(seen).toEqual({ reasons: ["start", "recorder-error"], errors: [] });
    expect(await expectAllDelivered(opened)).toHaveLength(2);
  });

  test("says so when the browser's recorder fails again and again, and saves what there is", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const end = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      let runs = 0;
      recorder.on("segment", (change) => {
        if (change.type === "ended") return;
        runs += 1;
        recorderPage.mediaRecorder().dispatchEvent(new ErrorEvent("error"));
      });
      const failed = recorderPage.untilState("failed");
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await failed;
      const code = await recorderPage.codeOf(recorder.stopRecording());
      return { code, errors: recorderPage.errors, runs, pending: recorder.progress.pending.chunks };
    }, RECORDING_ID);
    expect(end).toEqual({
      code: "recorder-failed",
      errors: ["recorder-failed"],
      runs: 10,
      pending: 0,
    });
    await expectAllDelivered(opened);
  });

  test("tries again at once when the browser is online again", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    server.failNext({ answer: () => problem(503, "overloaded") });
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      // No wait ever ends by itself.
      const clock = { nowMs: () => Date.now(), after: () => () => undefined };
      const recorder = recorderPage.make({ timesliceMs: 200, clock });
      const failed = new Promise<void>((resolve) => {
        recorder.on("retry", () => resolve());
      });
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await failed;
      globalThis.dispatchEvent(new Event("online"));
      await recorder.stopRecording();
    }, RECORDING_ID);
    await expectAllDelivered(opened);
  });

  test("is not disturbed by a listener that throws, whose error is reported as uncaught", async () => {
    await using opened = await browser.openPage();
    const { page } = opened;
    const { reported, thrown } = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ timesliceMs: 200 });
      const messages: string[] = [];
      let count = 0;
      window.addEventListener("error", (event) => {
        messages.push(event.message);
        event.preventDefault();
      });
      recorder.on("progress", () => {
        count += 1;
        throw new Error("The app's own mistake");
      });
      await recorder.startRecording(
        recorderPage.openStream({ picture: true, sound: true }),
        recordingId,
      );
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 2);
      await recorder.stopRecording();
      return { reported: messages, thrown: count };
    }, RECORDING_ID);
    expect(thrown).toBeGreaterThan(3);
    expect(reported).toHaveLength(thrown);
    expect(new Set(reported)).toEqual(new Set(["Uncaught Error: The app's own mistake"]));
    await expectAllDelivered(opened);
  });
});
