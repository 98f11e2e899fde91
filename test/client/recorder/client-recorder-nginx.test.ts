import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from "bun:test";
import { RecorderBrowser } from "./recorder-browser.ts";
import { freePort } from "../../support/free-port.ts";
import { nginxObstacle, startNginx } from "../../support/nginx.ts";
import { RecordingsApi } from "../../support/recordings-api.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { startServer } from "../../support/track-capture-server.ts";
import { expectNothingLost, recordThrough } from "./recorded-through.ts";
import { testUnless } from "../../faults/support/system-tools.ts";

// Real time passes in the browser, and servers start.
setDefaultTimeout(60_000);

const test = testUnless(nginxObstacle());

let browser: RecorderBrowser;

beforeAll(async () => {
  // The page's upload worker, too, meets a certificate that nobody signed.
  browser = await RecorderBrowser.start(["--ignore-certificate-errors"]);
});

afterAll(async () => {
  await browser.stop();
});

describe("a recording through nginx over HTTP/2", () => {
  test("meets no limit with nginx's defaults, however large its blobs are", async () => {
    await using server = await startServer();
    await using nginx = await startNginx(server.url);
    await using opened = await browser.openPage({ pageUrl: `${nginx.url}/app` });
    const { page } = opened;
    const api = new RecordingsApi(server.url);
    const name = await recordThrough(page, api, nginx.url);
    const retries = await page.evaluate(async () => {
      const { recorderPage } = window;
      // What a screen's key picture, a long slice and a computer's sleep give.
      for (const bytes of [900_000, 1_040_000, 1_048_576, 6_000_000]) recorderPage.giveNoise(bytes);
      // A backlog that goes out in batches.
      for (let i = 0; i < 40; i += 1) recorderPage.giveNoise(60_000 + 997 * i);
      await recorderPage.untilMore(2);
      await recorderPage.untilProgress(({ pending }) => pending.chunks <= 1);
      return recorderPage.retryEvents;
    });
    expect(retries).toEqual([]);
    await expectNothingLost(page, api, name);
    expect(await nginx.errors()).not.toContain("too large");
  });

  test("adapts to a limit that is smaller, whose 413 another origin's page cannot read", async () => {
    await using server = await startServer();
    await using nginx = await startNginx(server.url, "client_max_body_size 100k;");
    await using opened = await browser.openPage();
    const { page } = opened;
    const api = new RecordingsApi(server.url);
    const name = await recordThrough(page, api, nginx.url);
    const told = await page.evaluate(async () => {
      const { recorderPage } = window;
      const parked = recorderPage.untilRetries(1, "body-too-large");
      recorderPage.giveNoise(400_000);
      const { bodyBytes } = await parked;
      recorderPage.giveNoise(400_000);
      // Only the first one waits.
      await recorderPage.untilProgress(({ pending }) => pending.chunks === 1);
      return bodyBytes;
    });
    expect(told).toBeGreaterThan(400_000);
    expect(await nginx.errors()).toContain("too large");
    await nginx.reload("");
    await expectNothingLost(page, api, name);
  });

  test("goes on while the server behind it is away", async () => {
    await using directory = await temporaryDirectory();
    const options = {
      recordingsDirectory: `${directory.path}/recordings`,
      env: { PORT: String(await freePort()) },
    };
    await using first = await startServer(options);
    await using nginx = await startNginx(first.url);
    await using opened = await browser.openPage({ pageUrl: `${nginx.url}/app` });
    const { page } = opened;
    const api = new RecordingsApi(first.url);
    const name = await recordThrough(page, api, nginx.url);
    const waiting = page.evaluate(async () => {
      await window.recorderPage.untilRetries(3, "server-busy");
      await window.recorderPage.untilMore(3);
    });
    await first.kill();
    await waiting;
    await using _second = await startServer(options);
    await expectNothingLost(page, api, name);
  });
});
