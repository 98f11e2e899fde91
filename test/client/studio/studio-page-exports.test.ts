import { expect, test } from "bun:test";
import { finishedRecording } from "../../http/finished-recording.ts";
import { ExportsApi } from "../../support/exports-api.ts";
import { streamsOf } from "../../support/media-streams.ts";
import { openTestBed } from "../../support/test-bed.ts";

const TEST_TIMEOUT_MS = 120_000;
const PHONE_WIDTH = 390;

test(
  "a person asks for exports, follows, cancels, retries, downloads and deletes them",
  async () => {
    await using bed = await openTestBed();
    const track = { participantId: "Ann", trackId: "camera" };
    const { recordingId } = await finishedRecording(bed.api, "Weekly", [track]);
    const api = new ExportsApi(bed.server.url, recordingId);
    const page = await bed.browser.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(bed.server.url);
    await page.getByRole("button", { name: "Open Weekly" }).click();
    const exports = page.getByTestId("recording").getByTestId("exports");
    await exports.getByText("Exports", { exact: true }).click();

    await exports.getByRole("button", { name: "Sound only" }).click();
    const rows = exports.getByTestId("export");
    const row = (state: string) => exports.locator(`[data-testid=export][data-state=${state}]`);
    await row("done").filter({ hasText: "Sound only" }).filter({ hasText: "Ready" }).waitFor();
    const links = await row("done").getByRole("link").allTextContents();
    expect(links.map((text) => text.replace(/ \(.*/, ""))).toEqual(["Ann.flac", "Ann.m4a"]);
    const [flac] = await Promise.all([
      page.waitForEvent("download"),
      row("done").getByRole("link", { name: "Ann.flac" }).click(),
    ]);
    expect(flac.suggestedFilename()).toBe("Weekly - Ann.flac");
    const path = `${bed.directory}/ann.flac`;
    await flac.saveAs(path);
    expect(await Bun.file(path).slice(0, 4).text()).toBe("fLaC");

    await row("done").getByRole("button", { name: "Delete: Sound only" }).click();
    await rows.waitFor({ state: "detached" });
    expect(await api.list()).toEqual([]);

    // Asked for by somebody else, and cancelled before it could be made.
    const { exportId } = await api.request({ kind: "compatible", frameRate: 60 });
    expect((await api.cancel(exportId)).status).toBe(200);
    await page.getByRole("button", { name: "Close Weekly" }).click();
    await page.getByRole("button", { name: "Open Weekly" }).click();
    await exports.getByText("Exports", { exact: true }).click();
    await row("cancelled").getByRole("button", { name: "Try again: For editors" }).click();
    await row("done").filter({ hasText: "Ann-camera.mp4" }).waitFor();
    expect(faults).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);

test(
  "beside an MP4 that iPhones may not play, the compatible one is a click away",
  async () => {
    await using bed = await openTestBed();
    const track = { participantId: "Ann", trackId: "camera" };
    await finishedRecording(bed.api, "Weekly", [track], "vp9-opus");
    const page = await bed.browser.newPage({ viewport: { width: PHONE_WIDTH, height: 844 } });
    await page.goto(bed.server.url);
    await page.getByRole("button", { name: "Open Weekly" }).click();
    const offer = page.getByTestId("recording").getByTestId("compatible");
    expect(await offer.getByText("iPhone and QuickTime").textContent()).toBe(
      "iPhone and QuickTime may not play this MP4, since it has VP9 and Opus.",
    );
    await offer.getByRole("button", { name: "Make a compatible MP4 of Ann: camera" }).click();
    const link = offer.getByRole("link", { name: "Download compatible MP4 of Ann: camera" });
    await link.waitFor();
    expect(await offer.getByRole("button").count()).toBe(0);
    expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(PHONE_WIDTH);
    const [file] = await Promise.all([page.waitForEvent("download"), link.click()]);
    const path = `${bed.directory}/ann.mp4`;
    await file.saveAs(path);
    expect((await streamsOf(path)).map(({ codec }) => codec)).toEqual(["avc", "aac"]);

    // Whoever comes later finds the link at once.
    await page.reload();
    await page.getByRole("button", { name: "Open Weekly" }).click();
    await link.waitFor();
  },
  TEST_TIMEOUT_MS,
);

test(
  "the sentence that the exports are not shown goes away when they are",
  async () => {
    await using bed = await openTestBed();
    const track = { participantId: "Ann", trackId: "camera" };
    const { recordingId } = await finishedRecording(bed.api, "Weekly", [track]);
    const api = new ExportsApi(bed.server.url, recordingId);
    await api.done((await api.request({ kind: "aligned" })).exportId);
    const page = await bed.browser.newPage();
    await page.route("**/exports", (route) => route.abort(), { times: 1 });
    await page.goto(bed.server.url);
    await page.getByRole("button", { name: "Open Weekly" }).click();
    const exports = page.getByTestId("recording").getByTestId("exports");
    await exports.getByText("Exports", { exact: true }).click();
    const trouble = exports.getByRole("alert");
    await trouble.filter({ hasText: "The exports are not shown" }).waitFor();
    await exports.getByTestId("export").waitFor();
    expect(await trouble.count()).toBe(0);
  },
  TEST_TIMEOUT_MS,
);

test(
  "the long name of an export's file does not widen the page of a phone",
  async () => {
    await using bed = await openTestBed();
    const track = { participantId: "m".repeat(64), trackId: "n".repeat(64) };
    const { recordingId } = await finishedRecording(bed.api, "Weekly", [track]);
    const api = new ExportsApi(bed.server.url, recordingId);
    await api.done((await api.request({ kind: "aligned" })).exportId);
    const page = await bed.browser.newPage({ viewport: { width: PHONE_WIDTH, height: 844 } });
    await page.goto(bed.server.url);
    await page.getByRole("button", { name: "Open Weekly" }).click();
    const exports = page.getByTestId("recording").getByTestId("exports");
    await exports.getByText("Exports", { exact: true }).click();
    await exports.getByRole("link").waitFor();
    expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(PHONE_WIDTH);
  },
  TEST_TIMEOUT_MS,
);
