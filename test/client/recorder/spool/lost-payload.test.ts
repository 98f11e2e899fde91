import { expect, test } from "bun:test";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { startPersistentChromium } from "../../../support/persistent-chromium.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { bundleForBrowser } from "../recorder-bundle.ts";
import { ScriptedServer } from "../scripted-server.ts";

/** From 64 KiB on Chromium keeps a value in a file of its own. */
const SIZES = [1_000, 100_000, 2_000];

async function openPage(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.waitForFunction(() => "spoolPage" in window);
}

test("a chunk whose file the disk has lost is lent as lost, and keeps no other one back", async () => {
  await using directory = await temporaryDirectory();
  await using server = new ScriptedServer({
    "/": '<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>',
    "/page.js": await bundleForBrowser(new URL("spool-page.ts", import.meta.url)),
  }).start();
  const profile = join(directory.path, "profile");
  const ids = { ownerId: crypto.randomUUID(), segmentId: crypto.randomUUID() };
  {
    await using browser = await startPersistentChromium(profile);
    const page = await browser.context.newPage();
    await openPage(page, server.url);
    await page.evaluate(
      ({ ownerId, segmentId, sizes }) => window.spoolPage.putRandom(ownerId, segmentId, sizes),
      { ...ids, sizes: SIZES },
    );
  }
  const files = await readdir(profile, { recursive: true, withFileTypes: true });
  const values = files.filter(
    (file) => file.isFile() && file.parentPath.includes(".indexeddb.blob"),
  );
  expect(values).toHaveLength(1);
  for (const { parentPath, name } of values) await rm(join(parentPath, name));

  await using browser = await startPersistentChromium(profile);
  const page = await browser.context.newPage();
  await openPage(page, server.url);
  const found = await page.evaluate((id) => window.spoolPage.sizesOf(id), ids.ownerId);
  expect(found).toEqual({ lent: [1_000, null, 2_000], listed: [1_000, 2_000] });
}, 120_000);
