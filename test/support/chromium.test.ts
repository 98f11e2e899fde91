import { expect, test } from "bun:test";
import { openBarcodePage, servePages } from "./barcode-page.ts";
import { chromiumOfThisRun, findChromium, launchChromium } from "./chromium.ts";

const MIME_TYPES = [
  "video/x-matroska;codecs=avc1,opus",
  "video/webm;codecs=vp9,opus",
  "video/webm;codecs=av01,opus",
  "video/webm;codecs=vp8,opus",
];

/** Records each type for a moment, and gives the types that gave bytes. */
const RECORD = (mimeTypes: readonly string[]) => `(async () => {
  const recorded = [];
  for (const mimeType of ${JSON.stringify(mimeTypes)}) {
    const recorder = new MediaRecorder(streamNamed("camera"), { mimeType });
    let bytes = 0;
    const withData = new Promise((resolve) => {
      recorder.ondataavailable = ({ data }) => {
        bytes += data.size;
        if (bytes > 5000) resolve();
      };
    });
    recorder.start(200);
    await withData;
    recorder.stop();
    recorded.push(recorder.mimeType);
  }
  return recorded;
})()`;

test("without a browser on PATH the packaged one serves, and records every codec", async () => {
  const packaged = await findChromium({ PATH: "" });
  expect(packaged.origin).toBe("@sparticuz/chromium");
  await using pages = servePages();
  await using browser = await launchChromium({ browser: packaged });
  await using opened = await openBarcodePage(browser, pages);
  await opened.barcode.openStream({
    streamName: "camera",
    width: 320,
    height: 180,
    framesPerSecond: 30,
    firstNumber: 0,
    toneHz: 440,
  });
  expect(await opened.page.evaluate<string[]>(RECORD(MIME_TYPES))).toEqual(MIME_TYPES);
}, 120_000);

test("CHROME_PATH is preferred, and an error when no browser is there", async () => {
  const { executablePath, env } = await chromiumOfThisRun();
  // The packaged one runs by its path alone only where the machine has its libraries.
  if (Object.keys(env).length === 0) {
    const found = await findChromium({ CHROME_PATH: executablePath, PATH: "" });
    expect(found).toMatchObject({ origin: "CHROME_PATH", executablePath });
  }
  expect(findChromium({ CHROME_PATH: "/nonexistent/chrome" })).rejects.toThrow(/CHROME_PATH/);
});
