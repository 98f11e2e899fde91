import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { decodedSizes } from "../../support/decoded-sizes.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { expectAllDelivered, RECORDING_ID, RecorderBrowser } from "./recorder-browser.ts";

// Real time passes in the browser.
setDefaultTimeout(90_000);

/** As in Chromium before it could keep H.264's parameter sets in the stream. */
const WITHOUT_AVC3 = `{
  const isTypeSupported = MediaRecorder.isTypeSupported.bind(MediaRecorder);
  MediaRecorder.isTypeSupported = (type) => !type.includes("avc3") && isTypeSupported(type);
}`;

let browser: RecorderBrowser;

beforeAll(async () => {
  browser = await RecorderBrowser.start();
});

afterAll(async () => {
  await browser.stop();
});

test.each([
  {
    how: "in one segment",
    initScript: "",
    mimeType: "video/mp4;codecs=avc3",
    reasons: ["start"],
    lastSizes: ["640x360", "320x568"],
  },
  {
    how: "in a segment of its own where the browser has no other H.264 than of one size",
    initScript: WITHOUT_AVC3,
    mimeType: "video/mp4;codecs=avc1",
    reasons: ["start", "picture-resized"],
    lastSizes: ["320x568"],
  },
])(
  "ClientRecorder records a new size in an MP4 $how",
  async ({ initScript, mimeType, reasons, lastSizes }) => {
    await using opened = await browser.openPage({ initScript });
    const seen = await opened.page.evaluate(async (recordingId) => {
      const { recorderPage } = window;
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [640, 360];
      const context = canvas.getContext("2d");
      let number = 0;
      setInterval(() => {
        number += 1;
        if (context === null) return;
        context.fillStyle = `hsl(${number % 360} 80% 50%)`;
        context.fillRect(0, 0, canvas.width, canvas.height);
      }, 33);
      const recorder = recorderPage.make({ mimeTypes: ["video/mp4;codecs=avc1"] });
      await recorder.startRecording(canvas.captureStream(30), recordingId);
      await recorderPage.sleep(1_500);
      [canvas.width, canvas.height] = [320, 568];
      await recorderPage.sleep(3_000);
      await recorder.stopRecording();
      return { errors: recorderPage.errors, reasons: recorderPage.reasons };
    }, RECORDING_ID);
    expect(seen).toEqual({ errors: [], reasons: [...reasons] });
    const segments = await expectAllDelivered(opened);
    expect(new Set(segments.map((segment) => segment.mimeType))).toEqual(new Set([mimeType]));
    const last = segments.find(({ marks }) => {
      const [began] = marks.get(0) ?? [];
      return began?.type === "began" && began.reason === reasons.at(-1);
    });
    if (last === undefined) throw new Error("Nothing was recorded");
    await using directory = await temporaryDirectory();
    const path = `${directory.path}/last.mp4`;
    await Bun.write(path, opened.server.bytesOf(last));
    expect(await decodedSizes(path)).toEqual([...lastSizes]);
  },
);
