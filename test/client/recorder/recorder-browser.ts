import { expect } from "bun:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchChromium } from "../../support/chromium.ts";
import { recorderPageBundle } from "./recorder-bundle.ts";
import type { GivenSegment } from "./recorder-page.ts";
import { ScriptedServer, type StoredSegment } from "./scripted-server.ts";

const BROWSERS_OWN_LINES = [
  "Failed to load resource",
  "Access to fetch at ",
  "The AudioContext was not allowed",
  'When using "avc1" for mp4 encoding, the codec description is not supposed to change',
];

/** A recording that the scripted server does not ask about. */
export const RECORDING_ID = "0192f0c4-7b1e-7cc3-98c4-dc0c0c07398f";

/** A page with the recorder, and the server that it came from. */
export interface OpenedPage extends AsyncDisposable {
  readonly page: Page;
  readonly server: ScriptedServer;
  /** What the page wrote to the console, and its uncaught errors. */
  readonly logged: string[];
  /** Loads the page anew, also after it was left. */
  readonly open: () => Promise<void>;
}

/** How a page is opened. */
export interface PageRequest {
  /** Another name of this machine. */
  readonly hostName?: string;
  /** Where the page seems to come from. */
  readonly pageUrl?: string;
  /** Of another browser than this one, which stays open. */
  readonly context?: BrowserContext;
  /** Another tab of the same browser, with the same server. */
  readonly beside?: OpenedPage;
  /** Runs before the page's own code. */
  readonly initScript?: string;
  readonly contentSecurityPolicy?: string | undefined;
  /** Nobody has clicked on it: every question that a test asks of a page counts as a click. */
  readonly isUntouched?: boolean;
}

/** A browser for pages that record. */
export class RecorderBrowser {
  readonly #browser: Browser;
  readonly #files: Readonly<Record<string, string>>;

  private constructor(browser: Browser, files: Readonly<Record<string, string>>) {
    this.#browser = browser;
    this.#files = files;
  }

  /** Starts it, with these flags beside the usual ones. The name `insecure.test` leads to this machine, too, without a secure context. */
  static async start(args: readonly string[] = []): Promise<RecorderBrowser> {
    const pageScript = await recorderPageBundle();
    const browser = await launchChromium({
      args: ["--host-resolver-rules=MAP insecure.test 127.0.0.1", ...args],
    });
    return new RecorderBrowser(browser, {
      "/": '<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>',
      "/page.js": pageScript,
    });
  }

  async stop(): Promise<void> {
    await this.#browser.close();
  }

  /**
   * A page of its own, with a scripted server of its own, from which it comes, under another name of
   * this machine if one is given; or at `pageUrl`, as if it came from there. Disposing it checks that
   * nothing was logged.
   */
  async openPage(request: PageRequest = {}): Promise<OpenedPage> {
    const { hostName = "127.0.0.1", pageUrl, beside } = request;
    const server = beside?.server ?? new ScriptedServer(this.#files).start();
    if (beside === undefined) {
      server.contentSecurityPolicy = request.contentSecurityPolicy;
      server.isOpen = request.contentSecurityPolicy?.startsWith("sandbox") === true;
    }
    const given = beside?.page.context() ?? request.context;
    const context = given ?? (await this.#browser.newContext());
    const page = await context.newPage();
    const logged: string[] = [];
    page.on("console", (message) => {
      // The browser's own lines for an answer of status 400 and above, for none at all, and for one
      // that the page may not read; for sound before a click; for another size in an MP4.
      const text = message.text();
      const isBrowsers = BROWSERS_OWN_LINES.some((line) => text.startsWith(line));
      if (!isBrowsers) logged.push(text);
    });
    page.on("pageerror", (error) => logged.push(String(error)));
    if (request.initScript !== undefined) await page.addInitScript(request.initScript);
    if (pageUrl !== undefined) {
      await page.route(pageUrl, (route) =>
        route.fulfill({ contentType: "text/html", body: this.#files["/"] ?? "" }),
      );
      await page.route(new URL("/page.js", pageUrl).href, (route) =>
        route.fulfill({ contentType: "text/javascript", body: this.#files["/page.js"] ?? "" }),
      );
    }
    const open = async (): Promise<void> => {
      await page.goto(pageUrl ?? server.url.replace("127.0.0.1", hostName));
      if (request.isUntouched !== true) {
        await page.waitForFunction(() => "recorderPage" in window);
      }
    };
    await open();
    return {
      page,
      server,
      logged,
      open,
      [Symbol.asyncDispose]: async () => {
        await page.close();
        if (given === undefined) await context.close();
        if (beside === undefined) await server.stop();
        expect(logged).toEqual([]);
      },
    };
  }
}

/** A stored segment in the terms in which the page tells what the recorder was given. */
export function summaryOf(server: ScriptedServer, segment: StoredSegment): GivenSegment {
  const sequences = [...segment.chunks.keys()].toSorted((a, b) => a - b);
  return {
    sizes: sequences.map((sequence) => segment.chunks.get(sequence)?.length ?? -1),
    sha256: new Bun.CryptoHasher("sha256").update(server.bytesOf(segment)).digest("hex"),
  };
}

/**
 * Everything that the browser's recorders gave is on the server, blob by blob and in order, with
 * right hashes, and every segment is ended with its total. Gives the segments.
 */
export async function expectAllDelivered({ page, server }: OpenedPage): Promise<StoredSegment[]> {
  const given = await page.evaluate(() => window.recorderPage.given());
  const segments = [...server.segments.values()];
  // An empty first blob is no chunk.
  const expected = given
    .map(({ sizes, sha256 }) => ({ sizes: sizes[0] === 0 ? sizes.slice(1) : sizes, sha256 }))
    .filter(({ sizes }) => sizes.length > 0);
  expect(byHash(segments.map((segment) => summaryOf(server, segment)))).toEqual(byHash(expected));
  for (const { chunkCount, chunks, sha256 } of segments) {
    expect(chunkCount).toBe(chunks.size);
    for (const [sequence, payload] of chunks) {
      const hash = new Bun.CryptoHasher("sha256").update(payload).digest("hex");
      expect(sha256.get(sequence)).toBe(hash);
    }
  }
  return segments;
}

/** What is in memory only is sent before what waits on the disk, so segments come in any order. */
function byHash(segments: readonly GivenSegment[]): readonly GivenSegment[] {
  return segments.toSorted((a, b) => a.sha256.localeCompare(b.sha256));
}
