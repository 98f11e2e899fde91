import type { Browser, BrowserContext, Page } from "playwright-core";
import type { BarcodePageApi } from "../fixtures/barcode-page-api.ts";
import barcodePage from "../fixtures/barcode-page.html";
import clockPage from "../fixtures/clock-page.html";
import { until } from "./until.ts";

/** Serves the pages from an origin of their own, as an app that uses the recorder does. */
export interface PageServer extends AsyncDisposable {
  readonly url: string;
}

/** Starts to serve the barcode page, and at `clock` the clock page, on a free port of the loopback. */
export function servePages(): PageServer {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    routes: { "/": barcodePage, "/clock": clockPage },
  });
  return {
    url: server.url.href,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** An open barcode page; `barcode` has the functions that the page offers. */
export interface BarcodePage extends AsyncDisposable {
  readonly page: Page;
  readonly barcode: BarcodePageApi;
}

/** Opens the page in a browser context of its own: other storage, cache and locks. */
export async function openBarcodePage(browser: Browser, pages: PageServer): Promise<BarcodePage> {
  const context = await browser.newContext();
  const { page, barcode } = await openBarcodeTab(context, pages.url);
  return { page, barcode, [Symbol.asyncDispose]: () => context.close() };
}

/** Opens the page at `pageUrl` in a tab of a context; disposing it closes the tab. */
export async function openBarcodeTab(
  context: BrowserContext,
  pageUrl: string,
): Promise<BarcodePage> {
  const page = await context.newPage();
  await page.goto(pageUrl);
  await barcodeReady(page);
  // Every function of the page takes one JSON value and gives one.
  const call = <Result>(name: keyof BarcodePageApi, argument: unknown) =>
    page.evaluate<Result>(`barcodePage.${name}(${JSON.stringify(argument)})`);
  const barcode: BarcodePageApi = {
    openStream: (request) => call("openStream", request),
    openCamera: (streamName) => call("openCamera", streamName),
    endStream: (streamName) => call("endStream", streamName),
    lastNumber: (streamName) => call("lastNumber", streamName),
    startRecorder: (request) => call("startRecorder", request),
    pauseRecorder: (recorderName) => call("pauseRecorder", recorderName),
    resumeRecorder: (recorderName) => call("resumeRecorder", recorderName),
    stopRecorder: (recorderName) => call("stopRecorder", recorderName),
    report: (recorderName) => call("report", recorderName),
    loadLibrary: (libraryUrl) => call("loadLibrary", libraryUrl),
    resumePending: (libraryUrl) => call("resumePending", libraryUrl),
    play: (url) => call("play", url),
  };
  return { page, barcode, [Symbol.asyncDispose]: () => page.close() };
}

/** Resolves when the page offers its functions: after it was opened, and after each reload. */
export async function barcodeReady(page: Page): Promise<void> {
  await page.waitForFunction("globalThis.barcodePage !== undefined");
}

/** How much slower than real time a page on a busy machine may draw. */
const DRAWING_SLOWDOWN_MAX = 10;

/** Waits until the page has drawn so many more frames of a stream. */
export async function drawMore(
  barcode: BarcodePageApi,
  streamName: string,
  frames: number,
): Promise<void> {
  const firstNumber = await barcode.lastNumber(streamName);
  await until(
    async () => (await barcode.lastNumber(streamName)) >= firstNumber + frames || undefined,
    { what: `${frames} frames were drawn`, timeoutMs: frames * 33 * DRAWING_SLOWDOWN_MAX },
  );
}
