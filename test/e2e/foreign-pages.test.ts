import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import type { VisitReport, VisitRequest } from "../fixtures/visiting-page-api.ts";
import visitingPage from "../fixtures/visiting-page.html";
import { begunRecording } from "../http/begun-recording.ts";
import { finishedRecording } from "../http/finished-recording.ts";
import { drawMore, openBarcodeTab, servePages } from "../support/barcode-page.ts";
import { launchChromium } from "../support/chromium.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";

const FRAMES_PER_SECOND = 15;
const TEST_TIMEOUT_MS = 120_000;

const TRACK = { participantId: "ada", trackId: "camera" };

const parts = new AsyncDisposableStack();
let server: TrackCaptureServer;
let api: RecordingsApi;
let browser: Browser;
/** Of a page of each origin. */
let visitorPort: string;
let barcodeUrl: string;
let mediaPath: string;
let posterPath: string;

/** Serves the visiting page, under any name. */
function serveVisitors() {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    routes: { "/": visitingPage },
  });
}

beforeAll(async () => {
  const visitors = serveVisitors();
  parts.defer(() => visitors.stop(true));
  visitorPort = String(visitors.port);
  const pages = parts.use(servePages());
  // As a secure context, since only those may record.
  const recordingOrigin = `http://app.example:${new URL(pages.url).port}`;
  barcodeUrl = `${recordingOrigin}/`;
  server = parts.use(
    await startServer({
      env: { ALLOWED_ORIGINS: `http://app.example:${visitorPort},${recordingOrigin}` },
    }),
  );
  api = new RecordingsApi(server.url);
  browser = parts.use(
    await launchChromium({
      args: [
        "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP app.example 127.0.0.1",
        `--unsafely-treat-insecure-origin-as-secure=${recordingOrigin}`,
      ],
    }),
  );
  const finished = await finishedRecording(api, "Finished", [TRACK]);
  const { media, posterUrl } = trackOf(finished, TRACK);
  mediaPath = media?.url ?? "";
  posterPath = posterUrl ?? "";
  await until(async () => (await fetch(server.url + posterPath)).ok || undefined, {
    what: "the poster is made",
    timeoutMs: 60_000,
  });
}, TEST_TIMEOUT_MS);

afterAll(() => parts.disposeAsync());

/** A page of another origin than the server's, in a browser context of its own. */
async function openVisitor(url: string): Promise<Page> {
  const context = await browser.newContext();
  parts.defer(() => context.close());
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction("globalThis.visitingPage !== undefined");
  return page;
}

const begin = async () => begunRecording(api, await recordedSegment("vp9-opus"));

/** What to do to a recording in progress, and to one that is stopped. */
async function requestFor(recordingId: string, serverUrl = server.url): Promise<VisitRequest> {
  const stoppedRecordingId = await api.start("Stopped");
  await api.stop(stoppedRecordingId);
  await api.ready(stoppedRecordingId);
  const [chunk] = (await recordedSegment("vp9-opus")).chunks;
  return {
    serverUrl,
    recordingId,
    stoppedRecordingId,
    chunk: Buffer.from(chunk?.payload ?? []).toString("base64"),
    mediaUrl: serverUrl + mediaPath,
    posterUrl: serverUrl + posterPath,
  };
}

const visit = (page: Page, request: VisitRequest) =>
  page.evaluate<VisitReport>(`visitingPage.visit(${JSON.stringify(request)})`);

const EVERYTHING: VisitReport = {
  listed: true,
  started: true,
  uploaded: true,
  stopped: true,
  deleted: true,
  imported: true,
  image: true,
  video: true,
  readableImage: true,
  readableVideo: true,
};

/** Nothing of `what` works, and nothing that a request could have changed has changed. */
async function expectPowerless(page: Page, serverUrl: string): Promise<void> {
  const { recordingId, look } = await begin();
  const request = await requestFor(recordingId, serverUrl);
  const state = async () => ({ ...(await look()), list: await api.settledList() });
  const before = await state();
  const report = await visit(page, request);
  expect(Object.entries(report).filter(([, works]) => works)).toEqual([]);
  await page.evaluate(`visitingPage.sendBlindly(${JSON.stringify(request)})`);
  expect(await state()).toEqual(before);
}

test.each(["127.0.0.1", "localhost"])(
  "a foreign page can neither see nor change anything at %s",
  async (name) => {
    const page = await openVisitor(`http://evil.example:${visitorPort}/`);
    await expectPowerless(page, server.url.replace("127.0.0.1", name));
  },
  TEST_TIMEOUT_MS,
);

test(
  "a page whose name is rebound to this machine can neither see nor change anything",
  async () => {
    // The attacker's server is replaced by ours under the page that came from it.
    const attacker = serveVisitors();
    const port = String(attacker.port);
    const page = await openVisitor(`http://evil.example:${port}/`);
    await attacker.stop(true);
    await using rebound = await startServer({ env: { PORT: port } });
    const reboundApi = new RecordingsApi(rebound.url);
    const { recordingId, look } = await begunRecording(
      reboundApi,
      await recordedSegment("vp9-opus"),
    );
    const before = await look();
    const statuses = await page.evaluate<number[]>(`Promise.all([
      ["GET", "/api/recordings"],
      ["POST", "/api/recordings"],
      ["GET", "/recording/start"],
      ["POST", "/api/recordings/${recordingId}/stop"],
      ["DELETE", "/api/recordings/${recordingId}"],
      ["GET", "/client/recorder.js"],
    ].map(([method, path]) => fetch(path, { method }).then(({ status }) => status)))`);
    expect(statuses).toEqual([421, 421, 421, 421, 421, 421]);
    expect((await page.reload())?.status()).toBe(421);
    expect(await look()).toEqual(before);
    expect(await reboundApi.list()).toHaveLength(1);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a foreign page's link opens the studio, and starts nothing",
  async () => {
    const page = await openVisitor(`http://evil.example:${visitorPort}/`);
    const before = await api.settledList();
    for (const [path, status] of [
      ["/recording/start", 403],
      ["/", 200],
    ] as const) {
      await page.goto(`http://evil.example:${visitorPort}/`);
      await page.evaluate(`document.body.innerHTML = '<a href="${server.url}${path}">open</a>'`);
      const answer = page.waitForResponse((response) => response.url() === server.url + path);
      await page.getByText("open").click();
      expect((await answer).status()).toBe(status);
    }
    await page.getByRole("button", { name: "Record", exact: true }).waitFor();
    expect(await api.list()).toEqual(before);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a foreign page's speculation rules start nothing",
  async () => {
    const asked = new Set<string>();
    await using witness = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url }) => {
        asked.add(new URL(url).pathname);
        return new Response("seen", { status: 403 });
      },
    });
    const before = await api.settledList();
    const page = await openVisitor(`http://evil.example:${visitorPort}/`);
    // One kind after the other, those that the witness sees last: with the first of these the server's
    // own were tried.
    for (const action of ["prefetch", "prerender"]) {
      asked.clear();
      const rules = {
        [action]: [server.url, witness.url.origin].map((root) => ({
          urls: [`${root}/recording/start`, `${root}/api/recording/start`],
          eagerness: "immediate",
        })),
      };
      await page.evaluate(`document.head.append(Object.assign(document.createElement("script"), {
        type: "speculationrules",
        textContent: ${JSON.stringify(JSON.stringify(rules))},
      }))`);
      await until(() => asked.size > 0 || undefined, {
        what: `the browser's ${action}`,
        timeoutMs: 60_000,
      });
    }
    expect(await api.list()).toEqual(before);
  },
  TEST_TIMEOUT_MS,
);

test(
  "no other page has the studio in a frame",
  async () => {
    for (const host of ["evil.example", "app.example", "127.0.0.1"]) {
      const page = await openVisitor(`http://${host}:${visitorPort}/`);
      const answer = page.waitForResponse((response) => response.url() === `${server.url}/`);
      await page.evaluate(
        `document.body.append(Object.assign(document.createElement("iframe"), { src: "${server.url}/" }))`,
      );
      expect((await answer).status()).toBe(403);
    }
    const { headers } = await fetch(server.url);
    expect(headers.get("content-security-policy")).toBe("frame-ancestors 'self'");
  },
  TEST_TIMEOUT_MS,
);

test.each(["app.example", "localhost", "127.0.0.1"])(
  "a page of the allowed or loopback origin %s can do everything",
  async (name) => {
    const page = await openVisitor(`http://${name}:${visitorPort}/`);
    const { recordingId } = await begin();
    expect(await visit(page, await requestFor(recordingId))).toEqual(EVERYTHING);
  },
  TEST_TIMEOUT_MS,
);

test(
  "the library records and plays in a page of an allowed origin",
  async () => {
    await using directory = await temporaryDirectory();
    const context = await browser.newContext();
    parts.defer(() => context.close());
    const { barcode } = await openBarcodeTab(context, barcodeUrl);
    const recordingId = await api.start("Allowed");
    const track = { ...TRACK, recordingId };
    await barcode.openStream({
      streamName: "camera",
      width: 320,
      height: 180,
      framesPerSecond: FRAMES_PER_SECOND,
      firstNumber: 0,
      toneHz: 440,
    });
    await barcode.startRecorder({
      ...track,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: server.url,
      mimeTypes: [],
    });
    await drawMore(barcode, "camera", 3 * FRAMES_PER_SECOND);
    await barcode.stopRecorder("camera");
    await api.stop(recordingId);
    const recorded = trackOf(await api.ready(recordingId), track);
    await expectFaithfulMp4(api, track, recorded, directory.path);
    const played = await barcode.play(server.url + (recorded.media?.url ?? ""));
    expect(played.reachedEnd).toBe(true);
  },
  TEST_TIMEOUT_MS,
);
