import type { Browser, Page } from "playwright-core";
import type { ClockPageApi } from "../fixtures/clock-page-api.ts";
import type { PageServer } from "./barcode-page.ts";
import { until } from "./until.ts";

/** An open clock page; `clock` has the functions that the page offers. */
export interface ClockPage extends AsyncDisposable {
  readonly page: Page;
  readonly clock: ClockPageApi;
}

/** Opens the clock page in a browser context of its own: other storage, cache and locks. */
export async function openClockPage(browser: Browser, pages: PageServer): Promise<ClockPage> {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${pages.url}clock`);
  await clockReady(page);
  // Every function of the page takes one JSON value and gives one.
  const call = <Result>(name: keyof ClockPageApi, argument: unknown) =>
    page.evaluate<Result>(`clockPage.${name}(${JSON.stringify(argument)})`);
  const clock: ClockPageApi = {
    openStream: (request) => call("openStream", request),
    resize: (request) => call("resize", request),
    putTracks: (request) => call("putTracks", request),
    addSound: (request) => call("addSound", request),
    removeTracks: (request) => call("removeTracks", request),
    enable: (request) => call("enable", request),
    suspendSound: (request) => call("suspendSound", request),
    block: (durationMs) => call("block", durationMs),
    startRecorder: (request) => call("startRecorder", request),
    pauseRecorder: (recorderName) => call("pauseRecorder", recorderName),
    resumeRecorder: (recorderName) => call("resumeRecorder", recorderName),
    stopRecorder: (recorderName) => call("stopRecorder", recorderName),
    deliverSwallowed: (recorderName) => call("deliverSwallowed", recorderName),
    report: (recorderName) => call("report", recorderName),
    playWhole: (url) => call("playWhole", url),
  };
  return { page, clock, [Symbol.asyncDispose]: () => context.close() };
}

/** Resolves when the page offers its functions: after it was opened, and after each reload. */
export async function clockReady(page: Page): Promise<void> {
  await page.waitForFunction("globalThis.clockPage !== undefined");
}

/** Far more than any wait of a test, so that only a clock that stands still ends it. */
const CLOCK_TIMEOUT_MS = 600_000;

/** Waits until the common clock shows a time, in milliseconds since the epoch. */
export async function clockReaches(timeMs: number): Promise<void> {
  await until(() => (Date.now() >= timeMs ? true : undefined), {
    what: `the clock shows ${new Date(timeMs).toISOString()}`,
    timeoutMs: CLOCK_TIMEOUT_MS,
  });
}
