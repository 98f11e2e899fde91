import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../../../support/chromium.ts";
import { bundleForBrowser } from "../recorder-bundle.ts";
import { ScriptedServer } from "../scripted-server.ts";
import { SPOOL_BEHAVIOURS } from "./chunk-spool-suite.ts";

setDefaultTimeout(60_000);

let browser: Browser;
let server: ScriptedServer;
let page: Page;

beforeAll(async () => {
  browser = await launchChromium();
  server = new ScriptedServer({
    "/": '<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>',
    "/page.js": await bundleForBrowser(new URL("spool-page.ts", import.meta.url)),
  }).start();
  page = await browser.newPage();
  await openPage();
});

afterAll(async () => {
  await browser.close();
  await server.stop();
});

async function openPage(): Promise<void> {
  await page.goto(server.url);
  await page.waitForFunction(() => "spoolPage" in window);
}

describe.each(["IndexedDbSpool", "FailoverSpool"] as const)("%s in Chromium", (kind) => {
  test.each(SPOOL_BEHAVIOURS.map(({ name }) => name))("%s", async (name) => {
    await page.evaluate((given) => window.spoolPage.check(given.name, given.kind), { name, kind });
  });
});

describe("IndexedDbSpool in Chromium, when the page is gone", () => {
  const [ownerId, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const [ended, cutOff] = [crypto.randomUUID(), crypto.randomUUID()];

  test("gives a later page all of its owner, with each segment's total so far", async () => {
    await page.evaluate(
      async (ids) => {
        const { spoolPage } = window;
        await spoolPage.put(ids.ownerId, ids.ended, 0, 3);
        await spoolPage.end(ids.ownerId, ids.ended, 3);
        await spoolPage.put(ids.ownerId, ids.cutOff, 0, 5);
        await spoolPage.put(ids.other, crypto.randomUUID(), 0, 2);
        const spool = spoolPage.open(ids.ownerId);
        await spool.load();
        await spool.delete([0, 1, 4].map((sequence) => ({ segmentId: ids.cutOff, sequence })));
      },
      { ownerId, other, ended, cutOff },
    );
    await page.goto("about:blank");
    await openPage();
    const found = await page.evaluate((id) => window.spoolPage.found(id), ownerId);
    expect(found.toSorted((a, b) => b.sequences.length - a.sequences.length)).toEqual([
      { segmentId: ended, chunksPut: 3, chunkCount: 3, sequences: [0, 1, 2] },
      { segmentId: cutOff, chunksPut: 5, chunkCount: null, sequences: [2, 3] },
    ]);
  });

  test("passes over records that it does not understand, and leaves them alone", async () => {
    const before = await page.evaluate((id) => window.spoolPage.found(id), ownerId);
    await page.evaluate(() => window.spoolPage.putForeignRecords());
    expect(await page.evaluate((id) => window.spoolPage.found(id), ownerId)).toEqual(before);
  });

  test("lends what other versions wrote, with the marks that it knows", async () => {
    expect(await page.evaluate(() => window.spoolPage.takeOtherVersions())).toEqual([
      { bytes: 100, marks: [] },
      { bytes: 100, marks: [{ type: "hidden", atMs: 2 }] },
      { bytes: 100, marks: [] },
    ]);
  });

  test("lends a chunk whose bytes are gone as such", async () => {
    const texts = await page.evaluate(() => window.spoolPage.takeWithoutBytes());
    expect(texts.map((text) => text?.length ?? null)).toEqual([100, null, 100]);
  });
});

test("a chunk of 128 KiB is on the disk long before the next one comes", async () => {
  const medianMs = await page.evaluate(() => window.spoolPage.medianPutMs(30, 131_072));
  process.stderr.write(`IndexedDB, strict, 128 KiB: ${medianMs.toFixed(1)} ms (median of 30)\n`);
  expect(medianMs).toBeLessThan(500);
});
