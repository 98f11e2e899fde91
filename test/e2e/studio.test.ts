import { expect, test } from "bun:test";
import { streamsOf, onlyStream, totalDurationMs } from "../support/media-streams.ts";
import { decode, judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { openTestBed } from "../support/test-bed.ts";

const RECORDED_SECONDS = 3;
const TEST_TIMEOUT_MS = 120_000;

test(
  "whoever opens the page records the camera, sees it saved, plays the MP4 and downloads it",
  async () => {
    await using bed = await openTestBed();
    const context = await bed.browser.newContext({ acceptDownloads: true });
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(bed.server.url);
    await page.getByLabel("Your name").fill("Ann");
    await page.getByRole("button", { name: "Record", exact: true }).click();
    await page.waitForFunction(
      `Number(document.querySelector("#acknowledged-chunks").textContent) >= ${RECORDED_SECONDS}`,
    );
    await page.getByRole("button", { name: "Stop", exact: true }).click();

    const link = page.getByRole("link", { name: "Download MP4 of Ann: camera" }).first();
    await link.waitFor({ timeout: 30_000 });
    await page.evaluate(`(() => {
      const player = document.querySelector("#result video");
      player.muted = true;
      return player.play();
    })()`);
    await page.waitForFunction(`document.querySelector("#result video").currentTime > 1`);
    const width = await page.evaluate<number>(`document.querySelector("#result video").videoWidth`);
    expect(width).toBeGreaterThan(0);

    const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
    expect(download.suggestedFilename()).toMatch(/\.mp4$/);
    const path = `${bed.directory}/downloaded.mp4`;
    await download.saveAs(path);
    const streams = await streamsOf(path);
    expect(totalDurationMs(streams)).toBeGreaterThan(RECORDED_SECONDS * 1000);
    expect(onlyStream(streams, "audio").packets).toBeGreaterThan(0);
    const ffmpeg = await judgeFfmpeg();
    const { bytes } = await decode(ffmpeg, path, ["-map", "0:v:0", "-f", "framecrc"]);
    expect(bytes.byteLength).toBeGreaterThan(0);
    expect(faults).toEqual([]);
    await context.close();
  },
  TEST_TIMEOUT_MS,
);

test(
  "a name is suggested before anything is waited for, and never into what somebody types",
  async () => {
    await using bed = await openTestBed();
    const context = await bed.browser.newContext();
    const page = await context.newPage();
    const name = page.getByLabel("Your name");
    await page.addInitScript(`
      const devices = navigator.mediaDevices;
      const enumerate = devices.enumerateDevices.bind(devices);
      const listed = new Promise((resolve) => {
        globalThis.letDevicesBeFound = resolve;
      });
      devices.enumerateDevices = () => listed.then(enumerate);
    `);
    const record = page.getByRole("button", { name: "Record", exact: true });
    const devicesAreFound = async (): Promise<void> => {
      await page.evaluate("letDevicesBeFound()");
      await record.click({ trial: true }); // waits until it can be clicked, and does not
    };

    await page.goto(bed.server.url);
    expect(await name.inputValue()).toBe("Guest");
    await name.fill("Ann");
    await devicesAreFound();
    expect(await name.inputValue()).toBe("Ann");

    // On a slow network the field can be typed into before the page's script is there.
    const script = Promise.withResolvers<void>();
    await page.route("**/*.js", async (route) => {
      await script.promise;
      await route.continue();
    });
    await page.goto(bed.server.url, { waitUntil: "commit" });
    await name.focus();
    script.resolve();
    await page.waitForFunction(
      "'letDevicesBeFound' in globalThis && document.readyState === 'complete'",
    );
    await page.keyboard.type("Bob");
    await devicesAreFound();
    expect(await name.inputValue()).toBe("Bob");
    await context.close();
  },
  TEST_TIMEOUT_MS,
);
