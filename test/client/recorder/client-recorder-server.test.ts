import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ClientRecorder, ClientRecorderOptions } from "../../../client/recorder/recorder.d.ts";
import { recordingSchema, type Recording } from "../../../src/contract/recordings.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../../support/track-capture-server.ts";
import { RecorderBrowser } from "./recorder-browser.ts";

// Real time passes in the browser, and a server starts twice.
setDefaultTimeout(60_000);

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

async function startRecording(server: TrackCaptureServer): Promise<string> {
  const response = await fetch(`${server.url}/api/recordings`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: "{}",
  });
  expect(response.status).toBe(201);
  return recordingSchema.pick({ recordingId: true }).parse(await response.json()).recordingId;
}

async function recordingOf(server: TrackCaptureServer, recordingId: string): Promise<Recording> {
  const response = await fetch(`${server.url}/api/recordings/${recordingId}`);
  return recordingSchema.parse(await response.json());
}

/** SHA-256 of the durable bytes of a track's newest segment. */
async function sourceHash(
  server: TrackCaptureServer,
  recordingId: string,
  participantId: string,
): Promise<string> {
  const participant = encodeURIComponent(participantId);
  const path = `/api/recordings/${recordingId}/participants/${participant}/tracks/camera/source`;
  const response = await fetch(`${server.url}${path}`);
  expect(response.status).toBe(200);
  return new Bun.CryptoHasher("sha256").update(await response.bytes()).digest("hex");
}

describe("ClientRecorder with the server", () => {
  test("is imported from the server by an app that is written to the guide", async () => {
    await using server = await startServer();
    await using opened = await browser.openPage({ pageUrl: `${server.url}/guide-app` });
    const { page } = opened;
    const participantId = "josé+🎥@example.org";
    const recordingId = await page.evaluate(async (userId) => {
      const libraryUrl = "/client/recorder.js";
      const library: { ClientRecorder: new (options?: ClientRecorderOptions) => ClientRecorder } =
        await import(libraryUrl);
      const localStream = window.recorderPage.openStream({ picture: true, sound: true });

      // Start server recording, as the guide does
      const started = await fetch("/recording/start").then((r) => r.json());
      const recorder = new library.ClientRecorder();
      recorder.participantId = userId;
      await recorder.startRecording(localStream, started.recordingId);
      await new Promise<void>((resolve) => {
        recorder.on("progress", ({ acknowledged }) => {
          if (acknowledged.chunks > 1) resolve();
        });
      });
      await recorder.stopRecording();
      return String(started.recordingId);
    }, participantId);

    // The served library brings its worker along.
    expect(page.workers()).toHaveLength(1);
    const given = await page.evaluate(() => window.recorderPage.given());
    expect(await sourceHash(server, recordingId, participantId)).toBe(given[0]?.sha256 ?? "");
    const { participants } = await recordingOf(server, recordingId);
    expect(participants.map((participant) => String(participant.participantId))).toEqual([
      participantId,
    ]);
    expect(participants[0]?.tracks).toMatchObject([
      {
        trackId: "camera",
        segments: [{ ended: true, missing: [], chunkCount: given[0]?.sizes.length }],
      },
    ]);
  });

  test("serves the library's types beside it", async () => {
    await using server = await startServer();
    const response = await fetch(`${server.url}/client/recorder.d.ts`);
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("export class ClientRecorder");
  });

  test("loses nothing from another origin when the server is killed and starts again", async () => {
    await using directory = await temporaryDirectory();
    await using first = await startServer({ recordingsDirectory: directory.path });
    const recordingId = await startRecording(first);
    await using opened = await browser.openPage();
    const { page } = opened;
    await page.evaluate(
      async ({ id, serverUrl }) => {
        const { recorderPage } = window;
        await recorderPage.record(id, { timesliceMs: 150, serverUrl });
        await recorderPage.untilProgress(({ acknowledged }) => acknowledged.chunks >= 5);
      },
      { id: recordingId, serverUrl: first.url },
    );
    const waiting = page.evaluate(async () => {
      const before = window.recorderPage.retries;
      await window.recorderPage.untilProgress(
        ({ pending }) => pending.chunks >= 5 && window.recorderPage.retries > before,
      );
    });
    await first.kill();
    await waiting;
    await using second = await startServer({
      recordingsDirectory: directory.path,
      env: { PORT: new URL(first.url).port },
    });
    const errors = await page.evaluate(async () => {
      await window.recorderPage.recorder.stopRecording();
      return window.recorderPage.errors;
    });
    expect(errors).toEqual([]);
    const given = await page.evaluate(() => window.recorderPage.given());
    expect(await sourceHash(second, recordingId, "alice")).toBe(given[0]?.sha256 ?? "");
    const { participants } = await recordingOf(second, recordingId);
    expect(participants[0]?.tracks[0]?.segments).toMatchObject([
      { ended: true, missing: [], chunkCount: given[0]?.sizes.length },
    ]);
  });
});
