import { expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { finishedRecording } from "../../http/finished-recording.ts";
import { openTestBed } from "../../support/test-bed.ts";

const TEST_TIMEOUT_MS = 120_000;

/** Long enough that a pause which ended up in the media would show in its duration. */
const PAUSE_MS = 3_000;

/** Resolves when the page shows at least this elapsed time. */
async function elapsed(page: Page, seconds: number): Promise<void> {
  await page.waitForFunction(
    `Number(document.querySelector("[data-testid=elapsed]").textContent.split(":")[1]) >= ${seconds}`,
  );
}

/** What a person sees there; a table's cells with tabs between. */
const textOf = (page: Page, testId: string) => page.getByTestId(testId).innerText();

const secondsOf = (clock: string) => {
  const [minutes, seconds] = clock.split(":").map(Number);
  return (minutes ?? 0) * 60 + (seconds ?? 0);
};

test(
  "a person records, pauses, stops, watches, downloads and deletes a recording",
  async () => {
    await using bed = await openTestBed();
    // Granted: the packaged browser else says that it would ask, and then does not.
    const page = await bed.browser.newPage({ permissions: ["camera", "microphone"] });
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(bed.server.url);
    await page.getByText("Nothing recorded yet.").waitFor();

    // Names of recordings are other people's text: never markup.
    const name = "Sync <img src=x onerror=alert(1)>";
    await page.getByLabel("Recording name").fill(name);
    await page.getByLabel("Your name").fill("Ann");
    // The devices are permitted from the start, so the preview opens by itself.
    await page.waitForFunction(`document.querySelector("#preview").videoWidth > 0`);
    expect(
      await page.getByLabel("Camera", { exact: true }).locator("option").allTextContents(),
    ).toEqual(["fake_device_0", "No camera (sound only)"]);
    await page.waitForFunction(
      `Number(document.querySelector("[role=meter]").getAttribute("aria-valuenow")) > 0`,
    );

    const calledAtMs = performance.now();
    await page.getByRole("button", { name: "Record", exact: true }).click();
    await elapsed(page, 4);
    await page
      .getByTestId("acknowledged")
      .filter({ hasText: /Saved on the server\s*0:0[2-9]/ })
      .waitFor();
    const safety = page.getByTestId("safety");
    await safety
      .filter({ hasText: "Everything recorded so far is saved, up to the newest" })
      .waitFor();

    await page.getByRole("button", { name: "Pause" }).click();
    // With its begun chunk handed over and acknowledged, a paused recording is saved to the end.
    await safety.filter({ hasText: /^Everything recorded so far is saved\.$/ }).waitFor();
    expect(await textOf(page, "pending")).toBe("Waiting to be saved\t0:00\t0 KB\t0");
    const atPause = await textOf(page, "elapsed");
    await page.waitForTimeout(PAUSE_MS);
    expect(await textOf(page, "elapsed")).toBe(atPause);
    await page.getByRole("button", { name: "Resume" }).click();
    await elapsed(page, secondsOf(atPause) + 2);
    const recordedS = secondsOf(await textOf(page, "elapsed"));
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    const calledForS = (performance.now() - calledAtMs) / 1_000;

    const result = page.getByRole("region", { name });
    await result
      .getByTestId("track")
      .filter({ hasText: "Ann: camera" })
      .filter({ hasText: "Complete" })
      .waitFor();
    // It is made after the MP4, and asked for until it is there.
    await result.getByTestId("poster").waitFor();
    const durationS = await page.evaluate<number>(`(async () => {
      const player = document.querySelector("#result video");
      player.muted = true;
      await player.play();
      return player.duration;
    })()`);
    // The MP4 keeps the pause, as a picture that stands still and silence.
    expect(durationS).toBeGreaterThan(recordedS + PAUSE_MS / 1_000 - 0.7);
    expect(durationS).toBeLessThan(calledForS + 0.5);
    await page.waitForFunction(`document.querySelector("#result video").currentTime > 1`);

    const [mp4] = await Promise.all([
      page.waitForEvent("download"),
      result.getByRole("link", { name: "Download MP4" }).click(),
    ]);
    const mp4Path = `${bed.directory}/track.mp4`;
    await mp4.saveAs(mp4Path);
    expect(await Bun.file(mp4Path).slice(4, 8).text()).toBe("ftyp");
    const [zip] = await Promise.all([
      page.waitForEvent("download"),
      result.getByRole("link", { name: "Download everything" }).click(),
    ]);
    const zipPath = `${bed.directory}/all.zip`;
    await zip.saveAs(zipPath);
    expect(await Bun.file(zipPath).slice(0, 2).text()).toBe("PK");

    const row = page.getByTestId("recording");
    await row.filter({ hasText: name }).filter({ hasText: "Ready" }).waitFor();
    await row.getByRole("button", { name: "Open" }).click();
    await row.getByRole("link", { name: "Download MP4" }).waitFor();

    // By keyboard alone; Escape and the first stop of the keyboard both keep the recording.
    const remove = row.getByRole("button", { name: "Delete" });
    const dialog = page.getByRole("dialog");
    await remove.press("Enter");
    expect(await page.evaluate<string>("document.activeElement.textContent")).toBe("Cancel");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect(await bed.api.list()).toHaveLength(1);
    await remove.press("Enter");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await row.waitFor({ state: "detached" });
    await page.getByText("Nothing recorded yet.").waitFor();
    expect(await bed.api.list()).toEqual([]);
    expect(faults).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a shared screen is recorded beside the camera, sound alone without either",
  async () => {
    await using bed = await openTestBed();
    const page = await bed.browser.newPage();
    await page.goto(bed.server.url);
    await page.getByRole("button", { name: "Share screen" }).click();
    await page.getByRole("button", { name: "Stop sharing" }).waitFor();
    await page.getByRole("button", { name: "Record", exact: true }).click();
    await page.getByText("Tracks: camera, screen").waitFor();
    await elapsed(page, 2);
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    const result = page.locator("#result");
    await result.getByRole("link", { name: "Download MP4 of Guest: camera" }).waitFor();
    await result.getByRole("link", { name: "Download MP4 of Guest: screen" }).waitFor();

    await page.getByRole("button", { name: "New recording" }).click();
    await page.getByLabel("Camera", { exact: true }).selectOption("No camera (sound only)");
    await page.getByRole("button", { name: "Record", exact: true }).click();
    await elapsed(page, 2);
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await result.getByRole("link", { name: "Download MP4 of Guest: microphone" }).waitFor();
  },
  TEST_TIMEOUT_MS,
);

test(
  "older recordings are loaded by the page",
  async () => {
    await using bed = await openTestBed();
    for (let number = 1; number <= 23; number++) {
      await bed.api.stop(await bed.api.start(`Call ${number}`));
    }
    const page = await bed.browser.newPage();
    await page.goto(bed.server.url);
    const rows = page.getByTestId("recording");
    const more = page.getByRole("button", { name: "Show older recordings" });
    await more.waitFor();
    expect(await rows.count()).toBe(10);
    await more.click();
    await rows.filter({ hasText: "Call 4" }).first().waitFor();
    expect(await rows.count()).toBe(20);
    await more.click();
    await rows.filter({ hasText: /^Call 1[^0-9]/ }).waitFor();
    expect(await rows.count()).toBe(23);
    await more.waitFor({ state: "hidden" });
    const names = await rows.locator(".recording-name > span:first-child").allTextContents();
    expect(names).toEqual(Array.from({ length: 23 }, (_, index) => `Call ${23 - index}`));
  },
  TEST_TIMEOUT_MS,
);

test(
  "a question that is asked again in the moment of its answer waits for an answer of its own",
  async () => {
    await using bed = await openTestBed();
    await finishedRecording(bed.api, "Kept", []);
    const { recordingId } = await finishedRecording(bed.api, "Gone", []);
    const page = await bed.browser.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(bed.server.url);
    const row = (name: string) => page.getByTestId("recording").filter({ hasText: name });
    await row("Kept").getByRole("button", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.filter({ hasText: "Kept" }).waitFor();
    // In one task: what tells of the first one's end comes when the second stands there.
    await page.evaluate(`{
      const row = document.querySelector("[data-recording-id='${recordingId}']");
      document.querySelector("#confirm-cancel").click();
      [...row.querySelectorAll("button")].find(({ textContent }) => textContent === "Delete").click();
    }`);
    await dialog.filter({ hasText: "Gone" }).getByRole("button", { name: "Delete" }).click();
    await row("Gone").waitFor({ state: "detached" });
    expect((await bed.api.list()).map(({ name }) => name)).toEqual(["Kept"]);
    await row("Kept").waitFor();
    expect(faults).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);
