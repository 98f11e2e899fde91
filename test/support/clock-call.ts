import type { Browser } from "playwright-core";
import type { ClientClock, ClockStreamRequest } from "../fixtures/clock-page-api.ts";
import { clockReady, openClockPage, type ClockPage } from "./clock-page.ts";
import type { TrackName } from "./recordings-api.ts";
import type { TestBed } from "./test-bed.ts";

/** One participant's track, and what it films. */
export interface CallRequest extends TrackName {
  /** Tells its pictures from others'. */
  readonly source: number;
  /** By default 640x360 at 30 frames per second. */
  readonly picture?: ClockStreamRequest["picture"];
  /** By default 1,000. */
  readonly beepHz?: number | null;
  /** Of the device; the true one by default. */
  readonly clock?: ClientClock;
  /** By default the library's own choice. */
  readonly mimeTypes?: readonly string[];
  /** Chunks of each segment that never arrive, though the recorder believes so; none by default. */
  readonly swallowed?: readonly number[];
  /** By default the bed's. */
  readonly browser?: Browser;
}

/** A page that films the common clock into one track, with the stream and the recorder `camera`. */
export class ClockCall implements AsyncDisposable {
  readonly name: TrackName;
  readonly #opened: ClockPage;
  readonly #serverUrl: string;
  readonly #request: CallRequest;

  private constructor(opened: ClockPage, serverUrl: string, request: CallRequest) {
    const { recordingId, participantId, trackId } = request;
    this.name = { recordingId, participantId, trackId };
    this.#opened = opened;
    this.#serverUrl = serverUrl;
    this.#request = request;
  }

  /** Opens the page, its stream and its recorder; resolves when it records. */
  static async open(bed: TestBed, request: CallRequest): Promise<ClockCall> {
    await using parts = new AsyncDisposableStack();
    const opened = parts.use(await openClockPage(request.browser ?? bed.browser, bed.pages));
    const call = new ClockCall(opened, bed.server.url, request);
    await call.openStream();
    await call.record();
    parts.move();
    return call;
  }

  get page(): ClockPage["page"] {
    return this.#opened.page;
  }

  /** What the page offers. */
  get clock(): ClockPage["clock"] {
    return this.#opened.clock;
  }

  /** What its stream gives, to be changed and given back to the page. */
  get stream(): ClockStreamRequest {
    const { source, picture, beepHz } = this.#request;
    return {
      streamName: "camera",
      source,
      picture: picture === undefined ? { width: 640, height: 360, framesPerSecond: 30 } : picture,
      beepHz: beepHz === undefined ? 1_000 : beepHz,
    };
  }

  /** Opens the stream, as after a reload. */
  async openStream(): Promise<void> {
    await this.clock.openStream(this.stream);
  }

  /** Starts a recorder for the stream; resolves when it records. */
  async record(mimeTypes = this.#request.mimeTypes ?? []): Promise<void> {
    await this.clock.startRecorder({
      ...this.name,
      recorderName: "camera",
      streamName: "camera",
      serverUrl: this.#serverUrl,
      mimeTypes,
      clock: this.#request.clock ?? null,
      swallowed: this.#request.swallowed ?? [],
    });
  }

  /** Leaves the page at once, without a word to the recorder; comes back when `back` resolves. */
  async reload(back: () => Promise<void>): Promise<void> {
    const { page } = this;
    const url = page.url();
    await page.goto("about:blank");
    await back();
    await page.goto(url);
    await clockReady(page);
    await this.openStream();
    await this.record();
  }

  /** Resolves when all is uploaded and the server knows that the track is whole. */
  async stop(): Promise<void> {
    await this.clock.stopRecorder("camera");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#opened[Symbol.asyncDispose]());
  }
}
