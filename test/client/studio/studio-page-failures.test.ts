import { describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { launchChromium } from "../../support/chromium.ts";
import { freePort } from "../../support/free-port.ts";
import { RecordingsApi } from "../../support/recordings-api.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { startServer } from "../../support/track-capture-server.ts";

const TEST_TIMEOUT_MS = 120_000;

const record = (page: Page) => page.getByRole("button", { name: "Record", exact: true });
const stop = (page: Page) => page.getByRole("button", { name: "Stop", exact: true });
const alert = (page: Page, sentence: string | RegExp) =>
  page.getByRole("alert").filter({ hasText: sentence });

async function acknowledged(page: Page, chunks: number): Promise<void> {
  await page.waitForFunction(
    `Number(document.querySelector("#acknowledged-chunks").textContent) >= ${chunks}`,
  );
}

describe("what the browser does not give", () => {
  test(
    "a refused permission is explained, can be tried again, and starts no recording",
    async () => {
      await using server = await startServer();
      // The last of two like flags counts.
      await using browser = await launchChromium({ args: ["--use-fake-ui-for-media-stream=deny"] });
      const page = await browser.newPage();
      await page.goto(server.url);
      await record(page).click();
      const notice = alert(page, "does not let this page use the camera and microphone");
      await notice.getByRole("button", { name: "Try again" }).click();
      await notice.waitFor();
      expect(await record(page).isEnabled()).toBe(true);
      expect(await new RecordingsApi(server.url).list()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "without a camera sound is recorded, and the list says so",
    async () => {
      await using server = await startServer();
      await using browser = await launchChromium({
        args: ["--use-fake-device-for-media-stream=device-count=0"],
      });
      const page = await browser.newPage();
      await page.goto(server.url);
      await record(page).click();
      await acknowledged(page, 2);
      expect(
        await page.getByLabel("Camera", { exact: true }).locator("option").allTextContents(),
      ).toEqual(["No camera found"]);
      expect(await page.getByText("Track: microphone").isVisible()).toBe(true);
      await stop(page).click();
      await page.getByRole("link", { name: "Download MP4 of Guest: microphone" }).waitFor();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "with camera and microphone off there is nothing to record",
    async () => {
      await using server = await startServer();
      await using browser = await launchChromium();
      const page = await browser.newPage();
      await page.goto(server.url);
      await page.getByLabel("Camera", { exact: true }).selectOption("No camera (sound only)");
      await page.getByLabel("Microphone", { exact: true }).selectOption("No microphone (silent)");
      await record(page).click();
      await alert(page, "There is nothing to record").waitFor();
      expect(await record(page).isEnabled()).toBe(true);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a browser without MediaRecorder and an insecure address say so, and still show the list",
    async () => {
      await using server = await startServer();
      await using browser = await launchChromium({
        args: ["--host-resolver-rules=MAP studio.test 127.0.0.1"],
      });
      await new RecordingsApi(server.url).start("Somebody's call");
      const old = await browser.newPage();
      await old.addInitScript("delete window.MediaRecorder");
      await old.goto(server.url);
      await alert(old, "This browser cannot record").waitFor();
      expect(await record(old).isDisabled()).toBe(true);
      await old.getByTestId("recording").filter({ hasText: "Somebody's call" }).waitFor();

      // A proxy under that name, which sends a loopback address as the Host.
      const proxy = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: (request) => fetch(server.url + new URL(request.url).pathname),
      });
      await using _ = { [Symbol.asyncDispose]: () => proxy.stop(true) };
      const insecure = await browser.newPage();
      await insecure.goto(`http://studio.test:${proxy.port}`);
      await alert(insecure, "only to pages opened over https:// or on localhost").waitFor();
      await insecure.getByTestId("recording").filter({ hasText: "Somebody's call" }).waitFor();
    },
    TEST_TIMEOUT_MS,
  );
});

describe("what the server does not take", () => {
  test(
    "while the server is away recording goes on, the page warns of leaving, and all is caught up",
    async () => {
      await using recordings = await temporaryDirectory();
      const options = {
        recordingsDirectory: recordings.path,
        env: { PORT: String(await freePort()) },
      };
      await using first = await startServer(options);
      await using browser = await launchChromium();
      const page = await browser.newPage();
      await page.goto(first.url);
      await record(page).click();
      await acknowledged(page, 2);

      await first.kill();
      const safety = page.getByTestId("safety");
      await safety
        .filter({ hasText: /Recording goes on\. Saved up to .* Keep this page open/ })
        .waitFor();
      await page.waitForFunction(
        `Number(document.querySelector("#pending-chunks").textContent) >= 2`,
      );
      const asked = page.waitForEvent("dialog");
      const leaving = page.goto("about:blank").catch((error: unknown) => error);
      const question = await asked;
      expect(question.type()).toBe("beforeunload");
      await question.dismiss();
      expect(String(await leaving)).toContain("ERR_ABORTED");
      // Stopped while the server is away: the rest waits in the page.
      await stop(page).click();
      await safety
        .filter({ hasText: /gives no answer .* are sent as soon as it answers/ })
        .waitFor();

      await using second = await startServer(options);
      await page.getByRole("link", { name: "Download MP4 of Guest: camera" }).waitFor();
      const api = new RecordingsApi(second.url);
      const [summary] = await api.list();
      if (!summary) throw new Error("The recording is gone");
      const recording = await api.ready(summary.recordingId);
      expect(recording.participants[0]?.tracks[0]).toMatchObject({ verdict: "complete" });
      let warnings = 0;
      page.on("dialog", (dialog) => {
        warnings++;
        void dialog.accept();
      });
      await page.reload();
      expect(warnings).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a stop that meets a sign-in page says so and goes on, and silence is spoken of no more",
    async () => {
      await using server = await startServer();
      await using browser = await launchChromium();
      const page = await browser.newPage();
      await page.addInitScript(`{
        const devices = navigator.mediaDevices;
        const getUserMedia = devices.getUserMedia.bind(devices);
        devices.getUserMedia = async (constraints) => {
          const stream = await getUserMedia(constraints);
          const context = new AudioContext();
          await context.suspend();
          const { stream: silent } = context.createMediaStreamDestination();
          return new MediaStream([...stream.getVideoTracks(), ...silent.getAudioTracks()]);
        };
      }`);
      await page.goto(server.url);
      await record(page).click();
      const silence = alert(page, "No sound comes from the camera");
      await silence.waitFor();
      await acknowledged(page, 2);
      await page.route("**/stop", (route) =>
        route.fulfill({ status: 401, contentType: "text/html", body: "<h1>Sign in</h1>" }),
      );
      await stop(page).click();
      await page
        .getByTestId("safety")
        .filter({ hasText: "Sign in again in another tab" })
        .waitFor();
      expect(await silence.count()).toBe(0);
      await page.unroute("**/stop");
      await page.getByRole("link", { name: "Download MP4 of Guest: camera" }).waitFor();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a recording that is deleted while it runs ends with the reason",
    async () => {
      await using server = await startServer();
      await using browser = await launchChromium();
      const api = new RecordingsApi(server.url);
      const page = await browser.newPage();
      await page.goto(server.url);
      await record(page).click();
      await acknowledged(page, 1);
      const [summary] = await api.list();
      if (!summary) throw new Error("There is no recording");
      await api.stop(summary.recordingId);
      await fetch(`${server.url}/api/recordings/${summary.recordingId}`, { method: "DELETE" });
      await alert(page, "The recording was deleted on the server").waitFor();
      await page.getByRole("button", { name: "New recording" }).click();
      await page.waitForFunction(`document.querySelector("#preview").videoWidth > 0`);
      expect(await page.getByRole("alert").filter({ visible: true }).count()).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a start without the server starts nothing and says why",
    async () => {
      await using server = await startServer();
      await using browser = await launchChromium();
      const page = await browser.newPage();
      await page.goto(server.url);
      await page.getByText("Nothing recorded yet.").waitFor();
      await server.kill();
      await record(page).click();
      await alert(page, "The recording was not started: the server cannot be reached").waitFor();
      expect(await record(page).isEnabled()).toBe(true);
    },
    TEST_TIMEOUT_MS,
  );
});
