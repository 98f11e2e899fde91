import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ClientRecorder, ClientRecorderOptions } from "../../../client/recorder/recorder.d.ts";
import { RecordingsApi, trackOf } from "../../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../../support/track-capture-server.ts";
import { RecorderBrowser, type OpenedPage } from "./recorder-browser.ts";

// Real time passes in the browser.
setDefaultTimeout(60_000);

let browser: RecorderBrowser;
let server: TrackCaptureServer;
let api: RecordingsApi;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
  server = await startServer();
  api = new RecordingsApi(server.url);
});

afterAll(async () => {
  await browser.stop();
  await server[Symbol.asyncDispose]();
});

/** Records in an app's page with the library as the server serves it. */
async function record(
  { page }: OpenedPage,
  until: "acknowledged" | "retry",
): Promise<{ recordingId: string; reason: string | undefined }> {
  const recordingId = await api.start();
  const reason = await page.evaluate(
    async ({ id, serverUrl, event }) => {
      const libraryUrl = `${serverUrl}/client/recorder.js`;
      const library: { ClientRecorder: new (options: ClientRecorderOptions) => ClientRecorder } =
        await import(libraryUrl);
      const recorder = new library.ClientRecorder({
        serverUrl,
        participantId: "alice",
        timesliceMs: 200,
      });
      const told = new Promise<string | undefined>((resolve) => {
        recorder.on("retry", (retry) => resolve(`${retry.cause}: ${retry.reason}`));
        recorder.on("progress", ({ acknowledged }) => {
          if (event === "acknowledged" && acknowledged.chunks >= 3) resolve(undefined);
        });
      });
      const stream = window.recorderPage.openStream({ picture: true, sound: true });
      await recorder.startRecording(stream, id);
      const words = await told;
      const signal = event === "retry" ? AbortSignal.abort() : undefined;
      await recorder.stopRecording({ signal }).catch(() => undefined);
      return words;
    },
    { id: recordingId, serverUrl: server.url, event: until },
  );
  return { recordingId, reason };
}

/** As the README says. `'self'` is the app's own code. */
const policy = {
  "default-src": "'none'",
  "script-src": () => `'self' ${server.url}`,
  "connect-src": () => server.url,
  "worker-src": "blob:",
};

function header(changes: Readonly<Record<string, string>> = {}): string {
  return Object.entries({ ...policy, ...changes })
    .map(([name, value]) => `${name} ${typeof value === "string" ? value : value()}`)
    .join("; ");
}

describe("the library under a Content Security Policy", () => {
  test("needs script-src, connect-src and worker-src, and nothing else", async () => {
    // Disposing it checks that nothing was reported.
    await using opened = await browser.openPage({ contentSecurityPolicy: header() });
    const { recordingId } = await record(opened, "acknowledged");
    expect(opened.page.workers()).toHaveLength(1);
    const name = { recordingId, participantId: "alice", trackId: "camera" };
    expect(trackOf(await api.show(recordingId), name).segments).toMatchObject([
      { ended: true, missing: [] },
    ]);
  });

  test("uploads in the page without worker-src", async () => {
    const contentSecurityPolicy = header({ "worker-src": "'none'" });
    await using opened = await browser.openPage({ contentSecurityPolicy });
    await record(opened, "acknowledged");
    expect(opened.page.workers()).toHaveLength(0);
    expect(opened.logged.splice(0).join("\n")).toContain("worker-src");
  });

  test("names connect-src among the causes where it forbids the server", async () => {
    const contentSecurityPolicy = header({ "connect-src": "'none'" });
    await using opened = await browser.openPage({ contentSecurityPolicy });
    const { reason } = await record(opened, "retry");
    expect(reason).toMatch(/^no-answer: .*ALLOWED_ORIGINS.*connect-src/);
  });
});

test("says that the permission for access to the local network was denied, where it was", async () => {
  await using opened = await browser.openPage({ pageUrl: "https://app.example/" });
  const { page } = opened;
  const seen = await page.evaluate(
    async ({ id, serverUrl }) => {
      const { recorderPage } = window;
      const recorder = recorderPage.make({ serverUrl, timesliceMs: 200 });
      const outcome = new Promise<string>((resolve) => {
        recorder.on("retry", ({ cause, reason }) => resolve(`${cause}: ${reason}`));
        recorder.on("progress", ({ acknowledged }) => {
          if (acknowledged.chunks > 0) resolve("acknowledged");
        });
      });
      await recorder.startRecording(recorderPage.openStream({ picture: true, sound: true }), id);
      const told = await outcome;
      const stop = recorder.stopRecording({ signal: AbortSignal.abort() });
      return { told, error: await stop.catch((error: unknown) => String(error)) };
    },
    { id: await api.start(), serverUrl: server.url },
  );
  // A headless browser denies what it would ask a person for; older ones ask nobody.
  const state = await page.evaluate<string>(`new Promise((resolve) => {
    const code = "navigator.permissions.query({ name: 'local-network-access' })" +
      ".then(({ state }) => postMessage(state), () => postMessage('unknown'))";
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = ({ data }) => resolve(data);
  })`);
  if (state === "denied") {
    expect(seen.told).toMatch(/^permission-denied: .*https:\/\/app\.example.* was denied\./);
    expect(seen.error).toContain("permission for access to the local network was denied");
  } else {
    expect(seen.told).not.toContain("permission-denied");
  }
});
