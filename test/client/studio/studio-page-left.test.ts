import { expect, test } from "bun:test";
import type { BrowserContext } from "playwright-core";
import { launchChromium } from "../../support/chromium.ts";
import { freePort } from "../../support/free-port.ts";
import { RecordingsApi } from "../../support/recordings-api.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import {
  startServer,
  type ServerOptions,
  type TrackCaptureServer,
} from "../../support/track-capture-server.ts";

const TEST_TIMEOUT_MS = 120_000;

/** Records as Ann until the server dies, and leaves when chunks wait on the computer's disk. */
async function leaveBehind(context: BrowserContext, options: ServerOptions): Promise<void> {
  await using server = await startServer(options);
  const page = await context.newPage();
  await page.goto(server.url);
  await page.getByLabel("Your name").fill("Ann");
  await page.getByRole("button", { name: "Record", exact: true }).click();
  await page.waitForFunction(
    `Number(document.querySelector("#acknowledged-chunks").textContent) >= 2`,
  );
  await server.kill();
  await page
    .getByTestId("safety")
    .filter({ hasText: /wait on this computer's disk and are sent as soon as it answers/ })
    .waitFor();
  await page.waitForFunction(`Number(document.querySelector("#pending-chunks").textContent) >= 3`);
  await page.close();
}

/** The browser that somebody recorded with and left, and the server that is there again. */
interface Visited extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly server: TrackCaptureServer;
  readonly api: RecordingsApi;
  readonly recordingId: string;
  /** For downloads. */
  readonly directory: string;
}

/** Has a visit leave chunks behind, and starts the server again. */
async function afterAVisit(): Promise<Visited> {
  await using parts = new AsyncDisposableStack();
  const directory = parts.use(await temporaryDirectory());
  const options = {
    recordingsDirectory: directory.path,
    env: { PORT: String(await freePort()) },
  };
  const browser = parts.use(await launchChromium());
  const context = await browser.newContext();
  await leaveBehind(context, options);
  const server = parts.use(await startServer(options));
  const api = new RecordingsApi(server.url);
  const [summary] = await api.list();
  if (!summary) throw new Error("The recording is gone");
  const whole = parts.move();
  return {
    context,
    server,
    api,
    recordingId: summary.recordingId,
    directory: directory.path,
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  };
}

test(
  "a visit shows what the one before left, saves it, and says so when that is true",
  async () => {
    await using visited = await afterAVisit();
    const { context, server, api, recordingId } = visited;
    const page = await context.newPage();
    await page.goto(server.url);
    await page.getByRole("heading", { name: "Everything left is saved" }).waitFor();
    const sentence = await page.getByTestId("left").innerText();
    expect(sentence).toMatch(/^Everything that an earlier visit recorded is saved on the server/);
    expect(await page.getByTestId("left-segment").innerText()).toMatch(/^Ann: camera .*, saved$/);
    await page.getByRole("button", { name: "Dismiss" }).click();
    expect(await page.getByTestId("left").isVisible()).toBe(false);

    await api.stop(recordingId);
    const recording = await api.ready(recordingId);
    // Not more: the recorder was cut off, perhaps in the middle of a frame.
    expect(recording.participants[0]?.tracks[0]).toMatchObject({
      state: "ready",
      segments: [{ ended: true, missing: [] }],
    });
    await page.reload();
    await page.getByTestId("recording").first().waitFor();
    expect(await page.getByTestId("left").isVisible()).toBe(false);
  },
  TEST_TIMEOUT_MS,
);

test(
  "what the server does not take stays until the person has saved and removed it",
  async () => {
    await using visited = await afterAVisit();
    const { context, server, api, recordingId, directory } = visited;
    await api.stop(recordingId);
    await fetch(`${server.url}/api/recordings/${recordingId}`, { method: "DELETE" });
    const page = await context.newPage();
    await page.goto(server.url);
    await page.getByRole("heading", { name: "Not everything could be saved" }).waitFor();
    const row = page.getByTestId("left-segment");
    await row.filter({ hasText: "The recording was deleted on the server" }).waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      row.getByRole("button", { name: "Save what is left of Ann: camera as a file" }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^Ann camera \(unsaved part\)\.(mkv|webm)$/);
    const saved = `${directory}/left`;
    await download.saveAs(saved);
    expect(Bun.file(saved).size).toBeGreaterThan(10_000);

    await row.getByRole("button", { name: "Remove what is left of Ann: camera" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await row.waitFor({ state: "detached" });
    expect(await page.getByTestId("left").isVisible()).toBe(false);
    await page.reload();
    await page.getByText("Nothing recorded yet.").waitFor();
    expect(await page.getByTestId("left").isVisible()).toBe(false);
  },
  TEST_TIMEOUT_MS,
);
