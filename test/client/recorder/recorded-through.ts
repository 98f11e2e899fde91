import { expect } from "bun:test";
import type { Page } from "playwright-core";
import type { GivenSegment } from "./recorder-page.ts";
import { type RecordingsApi, trackOf, type TrackName } from "../../support/recordings-api.ts";

/** Short, so that a test is soon over. */
const TIMESLICE_MS = 200;

/** A track that a page records, uploading it by way of a proxy. */
export async function recordThrough(
  page: Page,
  api: RecordingsApi,
  serverUrl: string,
): Promise<TrackName> {
  const recordingId = await api.start();
  await page.evaluate(
    async ({ id, url, timesliceMs }) => {
      const { recorderPage } = window;
      await recorderPage.record(id, { timesliceMs, serverUrl: url });
      await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 3);
    },
    { id: recordingId, url: serverUrl, timesliceMs: TIMESLICE_MS },
  );
  return { recordingId, participantId: "alice", trackId: "camera" };
}

/**
 * Stops the recorder and expects that it had recorded all the time, that it tells no error, and that
 * the server has every byte that the browser's recorder gave, and knows that it has all.
 */
export async function expectNothingLost(
  page: Page,
  api: RecordingsApi,
  name: TrackName,
): Promise<void> {
  const end = await page.evaluate(async () => {
    const { recorder, errors } = window.recorderPage;
    const before = recorder.state;
    await recorder.stopRecording();
    return { before, state: recorder.state, errors, pending: recorder.progress.pending.chunks };
  });
  expect(end).toEqual({ before: "recording", state: "stopped", errors: [], pending: 0 });
  const given: GivenSegment[] = await page.evaluate(() => window.recorderPage.given());
  expect(given).toHaveLength(1);
  const source = await fetch(api.trackUrl(name, "source"));
  expect(source.status).toBe(200);
  const sha256 = new Bun.CryptoHasher("sha256").update(await source.bytes()).digest("hex");
  expect(sha256).toBe(given[0]?.sha256 ?? "");
  const { segments } = trackOf(await api.show(name.recordingId), name);
  expect(segments).toMatchObject([{ ended: true, missing: [] }]);
}
