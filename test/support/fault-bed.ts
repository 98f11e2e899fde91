import { startAppServer } from "./app-server.ts";
import { type BarcodePage, openBarcodeTab } from "./barcode-page.ts";
import { DeliveryJudge } from "./delivery-judge.ts";
import { freePort } from "./free-port.ts";
import { type PersistentChromium, startPersistentChromium } from "./persistent-chromium.ts";
import { RecorderLedger } from "./recorder-ledger.ts";
import { RecordingsApi, type TrackName } from "./recordings-api.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import {
  type ServerOptions,
  startServer,
  type TrackCaptureServer,
} from "./track-capture-server.ts";
import { until } from "./until.ts";

/** Of the numbered pictures. */
export const FRAMES_PER_SECOND = 30;

/** How long a page on a busy machine may take to record and deliver its first chunk. */
const FIRST_CHUNK_TIMEOUT_MS = 60_000;

/**
 * - `same-origin`: page, library and API behind one address; the breakable path leads to all of it.
 * - `cross-origin`: the app's own server, which stays within reach, has the page and its copy of the
 *   library; the breakable path leads to the recordings' server alone.
 */
export type Deployment = "same-origin" | "cross-origin";

/** What a call is like. */
export interface CallRequest extends TrackName {
  /** `camera` gives pictures in a hidden tab, too; numbered ones start with this number. */
  readonly pictures: "camera" | { readonly firstNumber: number };
}

/** The real parts that a fault in the browser needs, and what can be broken of them. */
export class FaultBed implements AsyncDisposable {
  readonly ledger = new RecorderLedger();
  /** Straight to the server, whatever happened to the browser's path. */
  readonly api: RecordingsApi;
  /** Between the browser and the server. */
  readonly path: TcpProxy;
  /** For downloads. */
  readonly directory: string;
  readonly pageUrl: string;
  readonly libraryUrl: string;
  readonly #parts: AsyncDisposableStack;
  readonly #serverOptions: ServerOptions;
  #server: TrackCaptureServer;

  private constructor(parts: {
    readonly stack: AsyncDisposableStack;
    readonly serverOptions: ServerOptions;
    readonly server: TrackCaptureServer;
    readonly directory: string;
    readonly path: TcpProxy;
    readonly pageOrigin: string;
  }) {
    this.#parts = parts.stack;
    this.#serverOptions = parts.serverOptions;
    this.#server = parts.server;
    this.api = new RecordingsApi(parts.server.url);
    this.path = parts.path;
    this.directory = parts.directory;
    this.pageUrl = `${parts.pageOrigin}/`;
    this.libraryUrl = `${parts.pageOrigin}/client/recorder.js`;
  }

  /**
   * Starts the server, with its recordings in a directory of the bed unless told otherwise, the
   * app's server and the path. Browsers are started by the test.
   */
  static async open(
    deployment: Deployment,
    { recordingsDirectory, env }: ServerOptions = {},
  ): Promise<FaultBed> {
    await using stack = new AsyncDisposableStack();
    const { path: directory } = stack.use(await temporaryDirectory());
    const serverOptions = {
      recordingsDirectory: recordingsDirectory ?? `${directory}/recordings`,
      env: { PORT: String(await freePort()), ...env },
    };
    const server = stack.use(await startServer(serverOptions));
    const app = stack.use(startAppServer(server.url));
    const isOneOrigin = deployment === "same-origin";
    const path = stack.use(await startTcpProxy(isOneOrigin ? app.url : server.url));
    const pageOrigin = isOneOrigin ? path.url : app.url;
    return new FaultBed({
      stack: stack.move(),
      serverOptions,
      server,
      directory,
      path,
      pageOrigin,
    });
  }

  /** Where the recordings are, for those who read chunk files. */
  get recordingsDirectory(): string {
    return this.#server.recordingsDirectory;
  }

  /**
   * Starts a browser on the one user data directory of this bed, watched by the ledger. The one
   * before must have ended; `await using` ends it.
   */
  async startBrowser(): Promise<PersistentChromium> {
    const browser = await startPersistentChromium(`${this.directory}/user-data`);
    await this.ledger.watch(browser.context);
    return browser;
  }

  /** Opens a call in a new tab, records it, and waits until its first chunk is durable. */
  async openCall(browser: PersistentChromium, request: CallRequest): Promise<BarcodePage> {
    const opened = await openBarcodeTab(browser.context, this.pageUrl);
    await this.record(opened, request);
    await until(
      async () => (await opened.barcode.report("camera")).acknowledgedChunks >= 1 || undefined,
      { what: "the first chunk is acknowledged", timeoutMs: FIRST_CHUNK_TIMEOUT_MS },
    );
    return opened;
  }

  /** Starts the pictures and the recorder `camera` of a page that is there. */
  async record({ barcode }: BarcodePage, { pictures, ...name }: CallRequest): Promise<void> {
    if (pictures === "camera") {
      await barcode.openCamera("camera");
    } else {
      await barcode.openStream({
        streamName: "camera",
        width: 640,
        height: 360,
        framesPerSecond: FRAMES_PER_SECOND,
        firstNumber: pictures.firstNumber,
        toneHz: 440,
      });
    }
    await barcode.startRecorder({
      ...name,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: this.path.url,
      libraryUrl: this.libraryUrl,
      mimeTypes: [],
    });
  }

  /** Compares the ledger with one recording on the server. */
  judge(recordingId: string): DeliveryJudge {
    return new DeliveryJudge(this.ledger, this.api, recordingId);
  }

  /** Sends SIGKILL to the server. */
  async killServer(): Promise<void> {
    await this.#server.kill();
  }

  /** Starts it again, at its address and with its recordings. */
  async startServerAgain(): Promise<void> {
    this.#server = this.#parts.use(await startServer(this.#serverOptions));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}
