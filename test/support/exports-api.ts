import { type Export, exportListSchema, exportSchema } from "../../src/contract/exports.ts";
import { until } from "./until.ts";

/** How long an export of a test's recording may take on a busy machine. */
const EXPORT_TIMEOUT_MS = 90_000;

/** Calls the routes of exports as an app's backend does, and checks each answer by its schema. */
export class ExportsApi {
  readonly #url: string;
  readonly #timeoutMs: number;

  /**
   * @param serverUrl Without a slash at the end.
   * @param timeoutMs How long an export may take.
   */
  constructor(serverUrl: string, recordingId: string, timeoutMs = EXPORT_TIMEOUT_MS) {
    this.#timeoutMs = timeoutMs;
    this.#url = `${serverUrl}/api/recordings/${recordingId}/exports`;
  }

  /** URL of an export, or of something below it. */
  url(exportId: string, rest = ""): string {
    return `${this.#url}/${exportId}${rest}`;
  }

  /** Asks for an export with any body and gives the answer as it is. */
  ask(body: unknown): Promise<Response> {
    return fetch(this.#url, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
  }

  async request(body: unknown): Promise<Export> {
    return exportOf(await this.ask(body));
  }

  async show(exportId: string): Promise<Export> {
    return exportOf(await fetch(this.url(exportId)));
  }

  async list(): Promise<Export[]> {
    return exportListSchema.parse(await (await fetch(this.#url)).json()).exports;
  }

  cancel(exportId: string): Promise<Response> {
    return fetch(this.url(exportId, "/cancel"), { method: "POST" });
  }

  retry(exportId: string): Promise<Response> {
    return fetch(this.url(exportId, "/retry"), { method: "POST" });
  }

  remove(exportId: string): Promise<Response> {
    return fetch(this.url(exportId), { method: "DELETE" });
  }

  /** Waits until the export has one of the states. */
  untilState(exportId: string, ...states: Export["state"][]): Promise<Export> {
    return until(
      async () => {
        const shown = await this.show(exportId);
        return states.includes(shown.state) ? shown : undefined;
      },
      { what: `export ${exportId} is ${states.join(" or ")}`, timeoutMs: this.#timeoutMs },
    );
  }

  /** Waits until the export has ended well; throws when it ends otherwise. */
  async done(exportId: string): Promise<Export> {
    const ended = await this.untilState(exportId, "done", "failed", "cancelled");
    if (ended.state !== "done") throw new Error(`The export is ${ended.state}: ${ended.reason}`);
    return ended;
  }
}

/** The export that an answer holds; throws when it is none. */
export async function exportOf(response: Response): Promise<Export> {
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${await response.text()}`);
  return exportSchema.parse(await response.json());
}
