import { expect } from "bun:test";
import type { Browser } from "playwright-core";
import { z } from "zod";
import { servePages, type PageServer } from "./barcode-page.ts";
import { launchChromium } from "./chromium.ts";
import { RecordingsApi } from "./recordings-api.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import {
  startServer,
  type ServerOptions,
  type TrackCaptureServer,
} from "./track-capture-server.ts";

/** Everything that a test in the browser needs. */
export interface TestBed extends AsyncDisposable {
  readonly server: TrackCaptureServer;
  readonly api: RecordingsApi;
  readonly pages: PageServer;
  readonly browser: Browser;
  /** For downloads. */
  readonly directory: string;
}

/** pino's number of the level `error`; above it is only `fatal`. */
const ERROR_LEVEL = 50;

const logLineSchema = z.object({ level: z.number() });

/** The tests in the browser do nothing that a server may call an error in its log. */
function expectNoFaults(server: TrackCaptureServer): void {
  const lines = server.stderr().trim().split("\n");
  const faults = lines.filter((line) => logLineSchema.parse(JSON.parse(line)).level >= ERROR_LEVEL);
  expect(faults).toEqual([]);
}

/** Starts the real server, a page server and a browser; `await using` ends them all. */
export async function openTestBed(options: ServerOptions = {}): Promise<TestBed> {
  await using parts = new AsyncDisposableStack();
  const directory = parts.use(await temporaryDirectory());
  const server = parts.use(await startServer(options));
  parts.defer(() => expectNoFaults(server));
  const pages = parts.use(servePages());
  const browser = parts.use(await launchChromium());
  const whole = parts.move();
  return {
    server,
    api: new RecordingsApi(server.url),
    pages,
    browser,
    directory: directory.path,
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  };
}
