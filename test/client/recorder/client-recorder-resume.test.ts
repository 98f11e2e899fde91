import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { RecordingsApi, trackOf } from "../../support/recordings-api.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { startServer } from "../../support/track-capture-server.ts";
import { RECORDING_ID, RecorderBrowser, type OpenedPage } from "./recorder-browser.ts";
import { problem } from "./scripted-server.ts";

// Real time passes in the browser, and servers start.
setDefaultTimeout(90_000);

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

interface Left {
  /** All that the recorder had given when the page was left. */
  readonly bytes: Buffer;
  readonly recordedChunks: number;
}

/** Records until so many chunks wait on the disk, and then leaves the page in the middle of it. */
async function leaveBehind(
  { page }: OpenedPage,
  recording: { readonly recordingId: string; readonly serverUrl: string },
  chunks = 5,
): Promise<Left> {
  const left = await page.evaluate(
    async ({ recordingId, serverUrl, count }) => {
      const { recorderPage } = window;
      await recorderPage.record(recordingId, { serverUrl });
      const { recorded } = await recorderPage.untilProgress(
        ({ pending, isDurable }) => isDurable && pending.chunks >= count,
      );
      // Nothing more is recorded from here on, as if the browser had died now.
      recorderPage.silence(true);
      return { bytes: await recorderPage.givenBytes(), recordedChunks: recorded.chunks };
    },
    { ...recording, count: chunks },
  );
  await page.goto("about:blank");
  return { bytes: Buffer.from(left.bytes), recordedChunks: left.recordedChunks };
}

/** Waits for the uploads that loading the library began, and tells what came of them. */
async function resumed({ page }: OpenedPage) {
  return page.evaluate(async () => {
    const { recorderPage } = window;
    const uploads = await new Promise<NonNullable<typeof recorderPage.ClientRecorder.resumed>>(
      (resolve) => {
        recorderPage.ClientRecorder.onResumed(resolve);
      },
    );
    const code = await recorderPage.codeOf(uploads.finished);
    const segments = uploads.segments.map(({ error, ...segment }) => ({
      ...segment,
      code: error?.code ?? null,
    }));
    return { code, segments, progress: uploads.progress };
  });
}

/** Segments that another page could take over. */
const orphans = ({ page }: OpenedPage) =>
  page.evaluate(async () => {
    const { segments } = await window.recorderPage.ClientRecorder.resumePending();
    return segments.length;
  });

describe("ClientRecorder, after its page was left in the middle of a recording", () => {
  test("uploads the rest on the next visit by itself, after the recording's stop too", async () => {
    await using directory = await temporaryDirectory();
    await using opened = await browser.openPage();
    await using first = await startServer({ recordingsDirectory: directory.path });
    const recordingId = await new RecordingsApi(first.url).start();
    const track = { recordingId, participantId: "alice", trackId: "camera" };
    await opened.page.evaluate(
      async ({ id, serverUrl }) => {
        const { recorderPage } = window;
        // A first segment that is delivered as a whole, so that the recording is known.
        const recorder = await recorderPage.record(id, { serverUrl });
        await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 2);
        await recorder.stopRecording();
      },
      { id: recordingId, serverUrl: first.url },
    );
    await first.kill();
    await opened.open();
    const left = await leaveBehind(opened, { recordingId, serverUrl: first.url });

    await using second = await startServer({
      recordingsDirectory: directory.path,
      env: { PORT: new URL(first.url).port },
    });
    const api = new RecordingsApi(second.url);
    await api.stop(recordingId);
    await opened.open();
    const outcome = await resumed(opened);
    expect(outcome).toMatchObject({
      code: undefined,
      segments: [{ ...track, chunks: left.recordedChunks, state: "delivered", code: null }],
      progress: { pending: { chunks: 0, bytes: 0 } },
    });
    const { segments } = trackOf(await api.ready(recordingId), track);
    expect(segments).toHaveLength(2);
    const late = segments.find(({ segmentId }) => segmentId === outcome.segments[0]?.segmentId);
    expect(late).toMatchObject({ ended: true, missing: [], chunkCount: left.recordedChunks });
    expect(late?.bytes).toBe(left.bytes.length);
    // Nothing is left: the next visit does not even look for a worker.
    await opened.open();
    expect(await orphans(opened)).toBe(0);
  });

  test("has every byte and its time, on the server's clock of then", async () => {
    await using opened = await browser.openPage();
    const { server } = opened;
    server.timeOffsetMs = 3_600_000;
    const gate = Promise.withResolvers<void>();
    server.failWhen(({ sequences }) =>
      sequences.includes(2) ? { hold: gate.promise } : undefined,
    );
    const startedAtMs = Date.now();
    const left = await leaveBehind(opened, { recordingId: RECORDING_ID, serverUrl: server.url });
    const leftAtMs = Date.now();
    gate.resolve();
    // The computer's clock is the same, and the server's is told wrongly now.
    server.timeOffsetMs = -9_000_000;
    server.failWhen(() => undefined);
    await opened.open();
    expect((await resumed(opened)).code).toBeUndefined();
    const [segment] = [...server.segments.values()];
    if (segment === undefined) throw new Error("No segment arrived");
    expect(Buffer.from(server.bytesOf(segment)).equals(left.bytes)).toBe(true);
    expect(segment.chunkCount).toBe(left.recordedChunks);
    // The first may have been handed over before the first answer about the time.
    for (let n = 1; n < left.recordedChunks; n += 1) {
      const capturedAtMs = segment.capturedAtMs.get(n) ?? 0;
      expect(capturedAtMs).toBeGreaterThan(startedAtMs + 3_600_000 - 1_000);
      expect(capturedAtMs).toBeLessThan(leftAtMs + 3_600_000 + 1_000);
    }
  });

  test("another tab touches nothing of a tab that lives", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    server.failWhen(() => ({ answer: () => problem(503, "overloaded") }));
    const living = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ pending, isDurable }) => isDurable && pending.chunks > 3);
      return (await recorder.unacknowledgedChunks())[0]?.segmentId ?? "";
    }, RECORDING_ID);
    expect(living).not.toBe("");
    {
      await using beside = await browser.openPage({ beside: opened });
      expect(await orphans(beside)).toBe(0);
      const taken = await beside.page.evaluate(async (segmentId) => {
        const { ClientRecorder } = window.recorderPage;
        return {
          isDiscarded: await ClientRecorder.discardPending(segmentId),
          chunks: (await ClientRecorder.pendingChunks()).length,
          resumed: ClientRecorder.resumed,
        };
      }, living);
      expect(taken).toEqual({ isDiscarded: false, chunks: 0, resumed: null });
    }
    server.failWhen(() => undefined);
    const state = await page.evaluate(async () => {
      await window.recorderPage.recorder.stopRecording();
      return window.recorderPage.recorder.state;
    });
    expect(state).toBe("stopped");
    const [segment] = [...server.segments.values()];
    expect(segment?.chunkCount).toBe(segment?.chunks.size ?? -1);
  });

  test("two tabs share what several pages left, and nothing is sent twice", async () => {
    await using opened = await browser.openPage();
    const { server } = opened;
    const lefts: Left[] = [];
    for (let i = 0; i < 3; i += 1) {
      server.failWhen(() => ({ answer: () => problem(503, "overloaded") }));
      // Not what the page before left: it comes from another address.
      lefts.push(
        await leaveBehind(opened, { recordingId: RECORDING_ID, serverUrl: server.url }, 3),
      );
      await opened.open();
    }
    await opened.page.goto("about:blank");
    const before = server.arrived.length;
    server.failWhen(() => undefined);
    await using beside = await browser.openPage({ beside: opened });
    await opened.open();
    await Promise.all(
      [opened, beside].map(({ page }) =>
        page.evaluate(async () => {
          const uploads = await window.recorderPage.ClientRecorder.resumePending();
          await uploads.finished;
        }),
      ),
    );
    await server.until(
      () =>
        server.segments.size === 3 &&
        [...server.segments.values()].every(({ chunkCount }) => chunkCount !== null),
    );
    const sent = server.arrived.slice(before).flatMap(({ sequences }) => sequences);
    expect(sent).toHaveLength(lefts.reduce((sum, { recordedChunks }) => sum + recordedChunks, 0));
    const stored = [...server.segments.values()].map((segment) =>
      new Bun.CryptoHasher("sha256").update(server.bytesOf(segment)).digest("hex"),
    );
    const expected = lefts.map(({ bytes }) =>
      new Bun.CryptoHasher("sha256").update(bytes).digest("hex"),
    );
    expect(stored.toSorted()).toEqual(expected.toSorted());
  });

  test("what the server refuses for good is told, kept, offered, and removed only on demand", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    server.failWhen(() => ({ answer: () => problem(503, "overloaded") }));
    const left = await leaveBehind(opened, { recordingId: RECORDING_ID, serverUrl: server.url });
    server.failWhen(() => ({ answer: () => problem(410, "recording-closed") }));
    for (let visit = 0; visit < 2; visit += 1) {
      await opened.open();
      const outcome = await resumed(opened);
      expect(outcome.code).toBe("recording-closed");
      expect(outcome.segments).toMatchObject([{ state: "refused", code: "recording-closed" }]);
      expect(outcome.progress.pending.chunks).toBe(left.recordedChunks);
    }
    const kept = await page.evaluate(async () => {
      const { ClientRecorder } = window.recorderPage;
      const chunks = await ClientRecorder.pendingChunks();
      const blob = new Blob(chunks.map(({ payload }) => payload));
      const segmentId = chunks[0]?.segmentId ?? "";
      return {
        bytes: [...new Uint8Array(await blob.arrayBuffer())],
        ofOther: (await ClientRecorder.pendingChunks("another")).length,
        isOtherDiscarded: await ClientRecorder.discardPending("another"),
        isDiscarded: await ClientRecorder.discardPending(segmentId),
        after: (await ClientRecorder.pendingChunks()).length,
      };
    });
    expect(Buffer.from(kept.bytes).equals(left.bytes)).toBe(true);
    expect(kept).toMatchObject({
      ofOther: 0,
      isOtherDiscarded: false,
      isDiscarded: true,
      after: 0,
    });
    await opened.open();
    expect(await orphans(opened)).toBe(0);
  });

  test("a segment of which nothing is left is asked about once more at most", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    server.failWhen(({ sequences }) =>
      sequences.length === 0 ? { answer: () => problem(503, "overloaded") } : undefined,
    );
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks > 2);
      const ended = new Promise<void>((resolve) => {
        recorder.on("retry", () => resolve());
      });
      // Its outcome is the next page's.
      void recorder.stopRecording();
      await ended;
    }, RECORDING_ID);
    // Else the answer may be that to the first page's next attempt.
    await page.goto("about:blank");
    server.failWhen(() => ({ answer: () => problem(410, "recording-closed") }));
    await opened.open();
    expect(await resumed(opened)).toMatchObject({
      code: "recording-closed",
      segments: [{ chunks: 0, bytes: 0, state: "refused" }],
    });
    await opened.open();
    expect(await orphans(opened)).toBe(0);
  });

  test("what was recorded with the app's own fetch waits until the app gives it again", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      await recorderPage.record(recordingId, {
        fetch: () => Promise.reject(new TypeError("no network")),
      });
      await recorderPage.untilProgress(({ pending, isDurable }) => isDurable && pending.chunks > 3);
    }, RECORDING_ID);
    expect(page.workers()).toHaveLength(0);
    await opened.open();
    expect(await orphans(opened)).toBe(0);
    const { requests, outcome } = await page.evaluate(async () => {
      let count = 0;
      const uploads = await window.recorderPage.ClientRecorder.resumePending({
        fetch: (url, init) => {
          count += 1;
          return fetch(url, init);
        },
      });
      await uploads.finished;
      return { requests: count, outcome: uploads.segments.map(({ state }) => state) };
    });
    expect(requests).toBeGreaterThan(1);
    expect(outcome).toEqual(["delivered"]);
    const [segment] = [...server.segments.values()];
    expect(segment?.chunkCount).toBe(segment?.chunks.size ?? -1);
  });

  test("a run that was given up goes on when the app asks for it", async () => {
    await using opened = await browser.openPage();
    const { page, server } = opened;
    server.failWhen(() => ({ answer: () => problem(503, "overloaded") }));
    const states = await page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const recorder = await recorderPage.record(recordingId);
      await recorderPage.untilProgress(({ pending, isDurable }) => isDurable && pending.chunks > 3);
      const code = await recorderPage.codeOf(
        recorder.stopRecording({ signal: AbortSignal.timeout(100) }),
      );
      const kept = await recorder.unacknowledgedChunks();
      const giveUp = new AbortController();
      const first = await recorderPage.ClientRecorder.resumePending({ signal: giveUp.signal });
      giveUp.abort();
      const again = await recorderPage.codeOf(first.finished);
      return { code, kept: kept.length, again, found: first.progress.pending.chunks };
    }, RECORDING_ID);
    expect(states).toMatchObject({ code: "stopped", again: "stopped" });
    expect(states.found).toBe(states.kept);
    server.failWhen(() => undefined);
    const outcome = await page.evaluate(async () => {
      const uploads = await window.recorderPage.ClientRecorder.resumePending();
      await uploads.finished;
      const left = await window.recorderPage.recorder.unacknowledgedChunks();
      return { states: uploads.segments.map(({ state }) => state), left: left.length };
    });
    expect(outcome).toEqual({ states: ["delivered"], left: 0 });
    const [segment] = [...server.segments.values()];
    expect(segment?.chunkCount).toBe(states.kept);
  });
});
