import { ClientRecorder } from "../recorder/client-recorder.ts";
import type { PendingSegment, PendingUploads } from "../recorder/recorder.d.ts";
import type { ConfirmDialog } from "./confirm-dialog.ts";
import { describeLeftRefusal, describeLeftUploads, leftFileName } from "./describe-left-uploads.ts";
import type { Trouble } from "./describe-retry.ts";
import { element, requireElement, setText } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";
import type { NoticeBoard } from "./notice-board.ts";

const STATE_WORDS: Record<PendingSegment["state"], string> = {
  waiting: "on its way",
  delivered: "saved",
  refused: "not taken by the server",
};

/**
 * Shows what earlier visits left in this browser: how much, how far its upload is, and what the
 * server does not take, to be saved as a file or removed.
 */
export class LeftUploadsView {
  readonly #confirm: ConfirmDialog;
  readonly #notices: NoticeBoard;
  readonly #onSaved: () => void;
  readonly #section = requireElement("left", HTMLElement);
  readonly #safety = requireElement("left-safety", HTMLElement);
  readonly #headline = requireElement("left-headline", HTMLElement);
  readonly #sentence = requireElement("left-sentence", HTMLElement);
  readonly #bar = requireElement("left-bar", HTMLElement);
  readonly #fill = requireElement("left-fill", HTMLElement);
  readonly #list = requireElement("left-list", HTMLElement);
  readonly #dismiss = requireElement("left-dismiss", HTMLButtonElement);
  readonly #removed = new Set<string>();
  #uploads: PendingUploads | null = null;
  #isFinished = false;
  #trouble: Trouble | null = null;
  #drawn = "";

  /** @param onSaved - is called when the server may have more of a recording than before. */
  constructor(confirm: ConfirmDialog, notices: NoticeBoard, onSaved: () => void) {
    this.#confirm = confirm;
    this.#notices = notices;
    this.#onSaved = onSaved;
  }

  /** Shows it from now on, whenever there is something. */
  start(): void {
    this.#dismiss.addEventListener("click", () => {
      this.#section.hidden = true;
    });
    ClientRecorder.onResumed((uploads) => this.#follow(uploads));
  }

  #follow(uploads: PendingUploads): void {
    this.#uploads = uploads;
    this.#isFinished = false;
    this.#trouble = null;
    uploads.on("progress", () => {
      this.#trouble = null;
      this.#draw();
    });
    uploads.on("retry", (retry) => {
      this.#trouble = retry;
      this.#draw();
    });
    uploads.on("error", () => this.#draw());
    const finish = (): void => {
      this.#isFinished = true;
      this.#draw();
      this.#onSaved();
    };
    // What was refused is told by each segment.
    uploads.finished.then(finish, finish);
    this.#draw();
  }

  #draw(): void {
    if (this.#uploads === null) return;
    const { progress } = this.#uploads;
    const segments = this.#uploads.segments.filter(
      ({ segmentId }) => !this.#removed.has(segmentId),
    );
    const words = describeLeftUploads({
      segments,
      progress,
      isFinished: this.#isFinished,
      trouble: this.#trouble?.reason ?? null,
      troubleCause: this.#trouble?.cause,
    });
    // A segment of which only the end had to be told is nothing that a person missed.
    const isWorthIt = segments.some(({ chunks }) => chunks > 0);
    this.#section.hidden = !isWorthIt;
    this.#safety.dataset["tone"] = words.tone;
    setText(this.#headline, words.headline);
    setText(this.#sentence, words.sentence);
    this.#dismiss.hidden = !this.#isFinished;
    this.#bar.hidden = this.#isFinished;
    const all = progress.acknowledged.bytes + progress.pending.bytes;
    this.#fill.style.width = `${all === 0 ? 100 : (progress.acknowledged.bytes / all) * 100}%`;
    // Drawn anew only when something changes, or a button would lose the keyboard.
    const drawn = JSON.stringify(segments.map(({ segmentId, state }) => [segmentId, state]));
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const shown = segments.filter(({ chunks }) => chunks > 0);
    this.#list.replaceChildren(...shown.map((segment) => this.#row(segment)));
  }

  #row(segment: PendingSegment): HTMLElement {
    const { participantId, trackId, bytes, state, error } = segment;
    const name = `${participantId}: ${trackId}`;
    const words = element("p", { class: "left-words" }, [
      element("strong", { text: name }),
      document.createTextNode(` ${formatBytes(bytes)}, ${STATE_WORDS[state]}`),
    ]);
    const children: HTMLElement[] = [words];
    if (error !== null) {
      children.push(
        element("p", { class: "left-reason", text: describeLeftRefusal(error) }),
        element("div", { class: "left-actions" }, [
          this.#button("Save as a file", `Save what is left of ${name} as a file`, () =>
            this.#save(segment),
          ),
          this.#button("Remove", `Remove what is left of ${name}`, () => this.#remove(segment)),
        ]),
      );
    }
    return element("li", { attributes: { "data-testid": "left-segment" } }, children);
  }

  #button(text: string, label: string, run: () => Promise<void>): HTMLButtonElement {
    const attributes = { type: "button", "aria-label": label };
    const onClick = (): void => void run();
    return element("button", { class: "button quiet", text, attributes, onClick });
  }

  async #save(segment: PendingSegment): Promise<void> {
    const chunks = await ClientRecorder.pendingChunks(segment.segmentId);
    if (chunks.length === 0) {
      this.#notices.show("left", {
        sentence:
          "There is nothing to save as a file: it is still being sent, was removed, or cannot be read from this computer's disk.",
      });
      return;
    }
    const mimeType = chunks.find((chunk) => chunk.mimeType !== "")?.mimeType ?? "";
    const url = URL.createObjectURL(new Blob(chunks.map(({ payload }) => payload)));
    const link = element("a", {
      attributes: { href: url, download: leftFileName(segment, mimeType) },
    });
    link.click();
    // The download has its own hold of the bytes by the time that the click has been handled.
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  async #remove({ segmentId, participantId, trackId }: PendingSegment): Promise<void> {
    const isSure = await this.#confirm.ask({
      question: `Remove what is left of ${participantId}: ${trackId}?`,
      consequence:
        "It is nowhere but on this computer: the server does not take it. It cannot be brought back.",
      accept: "Remove",
    });
    if (!isSure) return;
    if (!(await ClientRecorder.discardPending(segmentId))) {
      this.#notices.show("left", {
        sentence: "Nothing was removed: it is still being sent, or another page has removed it.",
      });
      return;
    }
    this.#removed.add(segmentId);
    this.#draw();
  }
}
