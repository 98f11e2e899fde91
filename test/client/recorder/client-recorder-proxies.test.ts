import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { RetryCause } from "../../../client/recorder/recorder.d.ts";
import { RecorderBrowser } from "./recorder-browser.ts";
import { type Meddling, startMeddlingProxy } from "../../support/meddling-proxy.ts";
import { RecordingsApi } from "../../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../../support/track-capture-server.ts";
import { campaign } from "../../faults/campaign.ts";
import { expectNothingLost, recordThrough } from "./recorded-through.ts";

// Real time passes in the browser.
setDefaultTimeout(campaign({ short: 60_000, long: 300_000 }));

/** As often the page says what it waits for before that passes. */
const RETRIES = campaign({ short: 3, long: 8 });

const parts = new AsyncDisposableStack();
let browser: RecorderBrowser;
let server: TrackCaptureServer;
let api: RecordingsApi;
/** Of another origin, and without CORS headers. */
let signInPage: Bun.Server<undefined>;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
  parts.defer(() => browser.stop());
  server = parts.use(await startServer());
  api = new RecordingsApi(server.url);
  signInPage = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("<h1>Sign in</h1>", { headers: { "Content-Type": "text/html" } }),
  });
  parts.defer(() => signInPage.stop(true));
});

afterAll(async () => {
  await parts.disposeAsync();
});

const saying =
  (status: number, text: string): Meddling =>
  () =>
    new Response(text, { status, headers: { "Content-Type": "text/html" } });

const redirecting: Meddling = () => Response.redirect(`${signInPage.url.href}login`, 302);

const withoutCorsHeaders: Meddling = async (_request, pass) => {
  const { status, body } = await pass();
  return new Response(body, { status, headers: { "Content-Type": "application/json" } });
};

type Deployment = "same-origin" | "cross-origin";

/** What a proxy does for a while, and what the page says about it. */
const weathers: readonly [
  what: string,
  deployment: Deployment,
  meddling: Meddling,
  cause: RetryCause,
][] = [
  ["asks for a sign-in with 401", "same-origin", saying(401, "Sign in"), "sign-in-needed"],
  ["asks for a sign-in with 403", "same-origin", saying(403, "Sign in"), "sign-in-needed"],
  ["redirects to a sign-in page", "same-origin", redirecting, "sign-in-needed"],
  ["asks for a sign-in with 401", "cross-origin", saying(401, "Sign in"), "sign-in-needed"],
  ["redirects to a sign-in page", "cross-origin", redirecting, "sign-in-needed"],
  ["drops CORS headers", "cross-origin", withoutCorsHeaders, "sign-in-needed"],
  // No page may read it: it looks like a connection that fails.
  ["asks for a sign-in with 407", "same-origin", saying(407, "Sign in"), "no-answer"],
  ["answers 404", "same-origin", saying(404, "Not Found"), "not-the-server"],
  ["answers 413 to everything", "same-origin", saying(413, "Too Large"), "body-too-large"],
  ["shows a page of its own", "same-origin", saying(200, "<h1>Hotel</h1>"), "not-the-server"],
  ["answers 502", "same-origin", saying(502, "Bad Gateway"), "server-busy"],
];

describe("a recording through a proxy goes on and loses nothing", () => {
  for (const [what, deployment, meddling, cause] of weathers) {
    test(`while it ${what} (${deployment})`, async () => {
      await using proxy = startMeddlingProxy(server.url);
      const pageUrl = deployment === "same-origin" ? { pageUrl: `${proxy.url}/app` } : {};
      await using opened = await browser.openPage(pageUrl);
      const { page } = opened;
      const name = await recordThrough(page, api, proxy.url);
      const waiting = page.evaluate(
        async ({ count, expected }) => {
          const { recorderPage } = window;
          const retry = await recorderPage.untilRetries(count, expected);
          await recorderPage.untilMore(3);
          return { reason: retry.reason, pending: recorderPage.recorder.progress.pending.chunks };
        },
        { count: RETRIES, expected: cause },
      );
      proxy.meddle(meddling);
      const { reason, pending } = await waiting;
      expect(reason).toMatch(/\w+ .*\.$/);
      // It recorded meanwhile, and forgot nothing.
      expect(pending).toBeGreaterThanOrEqual(3);
      // Nobody touches the page.
      const drained = page.evaluate(() =>
        window.recorderPage.untilProgress(({ pending: left }) => left.chunks <= 1),
      );
      proxy.meddle(null);
      await drained;
      await expectNothingLost(page, api, name);
    });
  }

  test("while it refuses large bodies with 413 without CORS headers", async () => {
    await using proxy = startMeddlingProxy(server.url);
    await using opened = await browser.openPage();
    const { page } = opened;
    const bytesMax = 120_000;
    proxy.meddle(({ bytes }) =>
      bytes > bytesMax ? new Response("<h1>413</h1>", { status: 413 }) : null,
    );
    const name = await recordThrough(page, api, proxy.url);
    const told = await page.evaluate(async () => {
      const { recorderPage } = window;
      const parked = recorderPage.untilRetries(1, "body-too-large");
      // A key picture of a shared screen, before anything is known of the path.
      recorderPage.giveNoise(300_000);
      const { bodyBytes } = await parked;
      // Such another one is split before it is numbered, and passes.
      const { recorded } = recorderPage.recorder.progress;
      recorderPage.giveNoise(300_000);
      const pieces = recorderPage.recorder.progress.recorded.chunks - recorded.chunks;
      await recorderPage.untilProgress(({ pending }) => pending.chunks === 1);
      return { bodyBytes, pieces };
    });
    expect(told.bodyBytes).toBeGreaterThan(300_000);
    expect(told.pieces).toBeGreaterThan(1);
    const tooLarge = proxy.requests.filter(({ bytes }) => bytes > bytesMax);
    expect(tooLarge.length).toBeLessThan(8);
    proxy.meddle(null);
    await expectNothingLost(page, api, name);
  });
});
