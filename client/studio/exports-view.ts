import type { Export, ExportRequest } from "../../src/contract/exports.ts";
import type { ApiClient } from "./api-client.ts";
import { OFFERED_EXPORTS, describeExport, exportName, isUnderWay } from "./describe-export.ts";
import { describeRequestProblem } from "./describe-request-problem.ts";
import { downloadLink } from "./download-link.ts";
import { element, setText } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";

const POLL_EVERY_MS = 500;

/** After a request that failed, the server is given some time. */
const POLL_AFTER_FAILURE_MS = 3_000;

/** What is shown of one export; drawn once for each state, so that polling takes no focus away. */
interface Row {
  readonly element: HTMLElement;
  readonly sentence: HTMLElement;
  readonly bar: HTMLProgressElement;
  readonly drawn: string;
}

/** What the view reports; it holds no reference to its owner. */
export interface ExportsViewEvents {
  /** The exports of the recording that is shown, newest first, after each look. */
  readonly seen?: (exports: readonly Export[]) => void;
}

/**
 * The exports of one finished recording: asks for them, shows how far they are, cancels and retries
 * them, and offers their files. Follows them by itself from `show` to `close`.
 */
export class ExportsView {
  readonly element: HTMLElement;
  readonly #api: ApiClient;
  readonly #events: ExportsViewEvents;
  readonly #list = element("ul", { class: "tracks", attributes: { "aria-label": "Exports" } });
  readonly #trouble = element("p", { class: "trouble", attributes: { role: "alert" } });
  readonly #rows = new Map<string, Row>();
  #recordingId: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Of the newest look at the server; answers to older ones are not drawn. */
  #look = 0;
  /** The sentence of trouble comes from a look that failed: the next one that succeeds takes it away. */
  #isLookTrouble = false;

  constructor(api: ApiClient, events: ExportsViewEvents = {}) {
    this.#api = api;
    this.#events = events;
    const buttons = OFFERED_EXPORTS.map(({ kind, name, purpose }) =>
      element("button", {
        class: "button quiet",
        text: name,
        attributes: { type: "button", title: purpose },
        onClick: () => this.request(kind),
      }),
    );
    this.element = element(
      "details",
      { class: "exports", attributes: { "data-testid": "exports" } },
      [
        element("summary", { text: "Exports" }),
        element("div", { class: "actions" }, buttons),
        this.#trouble,
        this.#list,
      ],
    );
    this.close();
  }

  /** Shows the exports of this recording and follows them; again, it looks at the server at once. */
  show(recordingId: string): void {
    if (this.#recordingId !== recordingId) {
      this.close();
      this.#recordingId = recordingId;
      this.element.hidden = false;
    }
    void this.#refresh();
  }

  /** Asks for an export of the recording that is shown, with the defaults of its kind. */
  request(kind: ExportRequest["kind"]): void {
    void this.#ask((id) => this.#api.requestExport(id, { kind }));
  }

  /** Stops following, and hides the view. */
  close(): void {
    this.#recordingId = null;
    this.#look += 1;
    clearTimeout(this.#timer);
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#events.seen?.([]);
    this.element.hidden = true;
    this.#tell(null);
  }

  #tell(sentence: string | null): void {
    this.#isLookTrouble = false;
    this.#trouble.hidden = sentence === null;
    setText(this.#trouble, sentence ?? "");
  }

  async #ask(request: (recordingId: string) => Promise<unknown>): Promise<void> {
    const recordingId = this.#recordingId;
    if (recordingId === null) return;
    try {
      await request(recordingId);
      this.#tell(null);
    } catch (error) {
      this.#tell(describeRequestProblem(error, "The export is not changed"));
      // It can have been asked for elsewhere on the page.
      if (this.element instanceof HTMLDetailsElement) this.element.open = true;
    }
    if (this.#recordingId === recordingId) await this.#refresh();
  }

  async #refresh(): Promise<void> {
    const recordingId = this.#recordingId;
    if (recordingId === null) return;
    clearTimeout(this.#timer);
    this.#look += 1;
    const look = this.#look;
    let delayMs: number | null;
    try {
      const { exports } = await this.#api.exports(recordingId);
      if (look !== this.#look) return;
      if (this.#isLookTrouble) this.#tell(null);
      this.#draw(exports);
      this.#events.seen?.(exports);
      delayMs = exports.some(isUnderWay) ? POLL_EVERY_MS : null;
    } catch (error) {
      if (look !== this.#look) return;
      this.#tell(describeRequestProblem(error, "The exports are not shown"));
      this.#isLookTrouble = true;
      delayMs = POLL_AFTER_FAILURE_MS;
    }
    if (delayMs !== null) this.#timer = setTimeout(() => void this.#refresh(), delayMs);
  }

  #draw(exports: readonly Export[]): void {
    const rows = exports.map((shown) => {
      const known = this.#rows.get(shown.exportId);
      const drawn = JSON.stringify([shown.state, shown.files, shown.isOutdated]);
      const row = known?.drawn === drawn ? known : this.#newRow(shown, drawn);
      this.#rows.set(shown.exportId, row);
      setText(row.sentence, describeExport(shown));
      row.bar.hidden = shown.state !== "running";
      row.bar.value = shown.progress;
      return row.element;
    });
    const isSame =
      rows.length === this.#list.children.length &&
      rows.every((row, i) => this.#list.children[i] === row);
    if (!isSame) this.#list.replaceChildren(...rows);
    this.#list.hidden = rows.length === 0;
  }

  #newRow(shown: Export, drawn: string): Row {
    const { exportId, state, files } = shown;
    const name = exportName(shown);
    const sentence = element("p", { class: "track-facts", attributes: { role: "status" } });
    const bar = element("progress", { attributes: { "aria-label": `Making ${name}`, max: "1" } });
    const words = element("div", { class: "track-words" }, [
      element("p", { class: "track-title", text: name }),
      sentence,
      bar,
      ...files
        .flatMap(({ notes }) => notes)
        .map((note) => element("p", { class: "track-reason", text: note })),
      element(
        "div",
        { class: "actions" },
        files.map((file) => downloadLink(file.url, `${file.name} (${formatBytes(file.bytes)})`)),
      ),
    ]);
    const action = (text: string, request: (recordingId: string) => Promise<unknown>) =>
      element("button", {
        class: "button quiet",
        text,
        attributes: { type: "button", "aria-label": `${text}: ${name}` },
        onClick: () => void this.#ask(request),
      });
    const actions = isUnderWay(shown)
      ? [action("Cancel", (id) => this.#api.cancelExport(id, exportId))]
      : [action("Delete", (id) => this.#api.deleteExport(id, exportId))];
    if (state === "failed" || state === "cancelled") {
      actions.unshift(action("Try again", (id) => this.#api.retryExport(id, exportId)));
    }
    const attributes = { "data-testid": "export", "data-state": state };
    const row = element("li", { class: "track", attributes }, [
      words,
      element("div", { class: "actions" }, actions),
    ]);
    return { element: row, sentence, bar, drawn };
  }
}
