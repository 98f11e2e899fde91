import type { RecordingState, RecordingSummary } from "../../src/contract/recordings.ts";
import { zipPath, type ApiClient } from "./api-client.ts";
import type { ConfirmDialog } from "./confirm-dialog.ts";
import { callDuration, shownName } from "./describe-recording.ts";
import { describeRequestProblem } from "./describe-request-problem.ts";
import { element, setText } from "./element.ts";
import { downloadLink } from "./download-link.ts";
import { RecordingDetails, stateBadgeElement } from "./recording-details.ts";

/** Recordings on one page of the list. */
const PAGE_SIZE = 10;

/**
 * How often the list is read anew while something in it is not final, or it could not be read, and
 * the page is visible.
 */
const REFRESH_EVERY_MS = 3_000;

/** The page's elements that the list lives in. */
export interface RecordingsListElements {
  readonly heading: HTMLElement;
  readonly list: HTMLElement;
  readonly empty: HTMLElement;
  readonly trouble: HTMLElement;
  readonly loadMore: HTMLButtonElement;
}

interface Row {
  readonly item: HTMLElement;
  readonly head: HTMLElement;
  readonly body: HTMLElement;
  drawn: string;
  details: RecordingDetails | null;
}

/** The recordings on the server: open to play and download, stop what was left running, delete. */
export class RecordingsList {
  readonly #api: ApiClient;
  readonly #confirm: ConfirmDialog;
  readonly #elements: RecordingsListElements;
  readonly #rows = new Map<string, Row>();
  #recordings: readonly RecordingSummary[] = [];
  #nextCursor: string | null = null;
  /** The recording that this page itself is making; it is stopped above, not in the list. */
  #ownRecordingId: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: ApiClient, confirm: ConfirmDialog, elements: RecordingsListElements) {
    this.#api = api;
    this.#confirm = confirm;
    this.#elements = elements;
  }

  /** Loads the first page and keeps it true. */
  start(): void {
    this.#elements.loadMore.addEventListener("click", () => void this.#loadMore());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void this.refresh();
    });
    void this.refresh();
  }

  set ownRecordingId(recordingId: string | null) {
    this.#ownRecordingId = recordingId;
    this.#draw();
  }

  /** Reads the first page anew; older pages that were loaded stay as they are. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    const isRead = await this.#try("The list may be out of date", async () => {
      const page = await this.#api.recordings({ limit: PAGE_SIZE });
      // IDs sort by the time of their start, so all that is older than the page's last stays.
      const last = page.recordings.at(-1);
      const older = last
        ? this.#recordings.filter((each) => each.recordingId < last.recordingId)
        : [];
      if (older.length === 0 || page.nextCursor === null) {
        this.#recordings = page.recordings;
        this.#nextCursor = page.nextCursor;
      } else {
        this.#recordings = [...page.recordings, ...older];
      }
      this.#draw();
    });
    clearTimeout(this.#timer);
    const isMoving = this.#recordings.some(({ state }) => !SETTLED.has(state));
    if ((isRead && !isMoving) || document.visibilityState !== "visible") return;
    this.#timer = setTimeout(() => void this.refresh(), REFRESH_EVERY_MS);
  }

  async #loadMore(): Promise<void> {
    const { loadMore } = this.#elements;
    loadMore.disabled = true;
    const before = this.#recordings.length;
    await this.#try("Older recordings are not shown", async () => {
      const page = await this.#api.recordings({ limit: PAGE_SIZE, cursor: this.#nextCursor });
      this.#recordings = [...this.#recordings, ...page.recordings];
      this.#nextCursor = page.nextCursor;
      this.#draw();
    });
    loadMore.disabled = false;
    const firstNew = this.#recordings[before];
    // The button may be gone now: the keyboard goes on where the new rows begin.
    if (firstNew) this.#rows.get(firstNew.recordingId)?.head.querySelector("button")?.focus();
  }

  /** Resolves to whether it went well; if not, the person is told. */
  async #try(doing: string, act: () => Promise<void>): Promise<boolean> {
    const { trouble } = this.#elements;
    try {
      await act();
      trouble.hidden = true;
      return true;
    } catch (error) {
      setText(trouble, describeRequestProblem(error, doing));
      trouble.hidden = false;
      return false;
    }
  }

  #draw(): void {
    const { list, empty, loadMore } = this.#elements;
    const kept = new Set<string>(this.#recordings.map(({ recordingId }) => recordingId));
    for (const [recordingId, row] of this.#rows) {
      if (kept.has(recordingId)) continue;
      row.details?.close();
      row.item.remove();
      this.#rows.delete(recordingId);
    }
    for (const [index, recording] of this.#recordings.entries()) {
      const row = this.#row(recording);
      // Only what is out of place is moved: moving a node stops its video and takes the focus.
      if (list.children[index] !== row.item)
        list.insertBefore(row.item, list.children[index] ?? null);
    }
    empty.hidden = this.#recordings.length > 0;
    loadMore.hidden = this.#nextCursor === null;
  }

  #row(recording: RecordingSummary): Row {
    let row = this.#rows.get(recording.recordingId);
    if (!row) {
      const head = element("div", { class: "recording-row" });
      const body = element("div", { class: "recording-body" });
      body.hidden = true;
      const attributes = { "data-testid": "recording", "data-recording-id": recording.recordingId };
      const item = element("li", { class: "recording", attributes }, [head, body]);
      row = { item, head, body, drawn: "", details: null };
      this.#rows.set(recording.recordingId, row);
    }
    const isOwn = recording.recordingId === this.#ownRecordingId;
    const drawn = JSON.stringify([recording, isOwn, row.details !== null]);
    if (drawn !== row.drawn) {
      row.drawn = drawn;
      const focused = row.head.contains(document.activeElement)
        ? document.activeElement?.getAttribute("data-action")
        : null;
      row.head.replaceChildren(...this.#headOf(recording, row, isOwn));
      if (focused) row.head.querySelector<HTMLElement>(`[data-action="${focused}"]`)?.focus();
    }
    return row;
  }

  #headOf(recording: RecordingSummary, row: Row, isOwn: boolean): Node[] {
    const name = shownName(recording);
    const facts = [
      new Date(recording.startedAt).toLocaleString(undefined, {
        dateStyle: "medium",
        timeStyle: "short",
      }),
    ];
    const duration = callDuration(recording);
    if (duration !== null) facts.push(`${duration} long`);
    const words = element("div", { class: "recording-words" }, [
      element("p", { class: "recording-name" }, [
        element("span", { text: name }),
        stateBadgeElement(recording.state),
      ]),
      element("p", { class: "recording-facts", text: facts.join(" · ") }),
    ]);
    const button = (action: string, text: string, onClick: () => void) =>
      element("button", {
        class: "button quiet",
        text,
        attributes: { type: "button", "data-action": action, "aria-label": `${text} ${name}` },
        onClick,
      });
    const actions: Node[] = [];
    if (!isOwn) {
      const open = button("open", row.details ? "Close" : "Open", () =>
        this.#toggle(recording, row),
      );
      open.setAttribute("aria-expanded", String(row.details !== null));
      actions.push(open);
      if (recording.state === "recording" && row.details === null) {
        actions.push(button("live", "Watch live", () => this.#toggle(recording, row, "live")));
      }
    }
    if (recording.state === "ready") {
      const zip = downloadLink(zipPath(recording.recordingId), "ZIP");
      zip.setAttribute("aria-label", `Download ${name} as ZIP`);
      zip.setAttribute("data-action", "zip");
      actions.push(zip);
    }
    if (recording.state === "recording") {
      if (!isOwn) actions.push(button("stop", "Stop", () => void this.#stop(recording)));
    } else {
      actions.push(button("delete", "Delete", () => void this.#delete(recording)));
    }
    return actions.length === 0 ? [words] : [words, element("div", { class: "actions" }, actions)];
  }

  #toggle(recording: RecordingSummary, row: Row, how: "plain" | "live" = "plain"): void {
    if (row.details) {
      row.details.close();
      row.details = null;
    } else {
      row.details = new RecordingDetails(row.body, this.#api, {
        stateChanged: () => void this.refresh(),
      });
      if (how === "live") row.details.showLive(recording.recordingId);
      else row.details.show(recording.recordingId);
    }
    row.body.hidden = row.details === null;
    this.#draw();
  }

  async #stop(recording: RecordingSummary): Promise<void> {
    const isAgreed = await this.#confirm.ask({
      question: `Stop “${shownName(recording)}”?`,
      consequence: "Whoever still records it, in another tab or elsewhere, is stopped too.",
      accept: "Stop",
    });
    if (!isAgreed) return;
    await this.#change("The recording was not stopped", async () => {
      await this.#api.stopRecording(recording.recordingId);
    });
  }

  async #delete(recording: RecordingSummary): Promise<void> {
    const isAgreed = await this.#confirm.ask({
      question: `Delete “${shownName(recording)}”?`,
      consequence: "Its video and sound are removed from the server. This cannot be undone.",
      accept: "Delete",
    });
    if (!isAgreed) return;
    await this.#change("The recording was not deleted", async () => {
      await this.#api.deleteRecording(recording.recordingId);
      this.#recordings = this.#recordings.filter((each) => each !== recording);
      this.#elements.heading.focus();
    });
  }

  async #change(doing: string, act: () => Promise<void>): Promise<void> {
    const isDone = await this.#try(doing, act);
    // A refresh that succeeds would take the sentence about the failure away.
    if (isDone) await this.refresh();
  }
}

const SETTLED: ReadonlySet<RecordingState> = new Set(["ready", "failed"]);
