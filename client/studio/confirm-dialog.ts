import { requireElement } from "./element.ts";

/** What is asked before something that cannot be undone. */
export interface Question {
  readonly question: string;
  readonly consequence: string;
  /** On the button that does it, such as "Delete". */
  readonly accept: string;
}

/**
 * The page's one dialog. It is modal, so the browser keeps the keyboard inside; Escape cancels, and
 * the keyboard starts at Cancel and returns to where it was.
 */
export class ConfirmDialog {
  readonly #dialog = requireElement("confirm", HTMLDialogElement);
  readonly #question = requireElement("confirm-question", HTMLElement);
  readonly #consequence = requireElement("confirm-consequence", HTMLElement);
  readonly #accept = requireElement("confirm-accept", HTMLButtonElement);

  /** Resolves the question that was asked last, while it has no answer. */
  #answer: (isAgreed: boolean) => void = () => undefined;

  constructor() {
    // The event of a dialog that was closed comes in a task of its own (HTML, "close the dialog"): by
    // then the next question may stand there, which it does not answer.
    this.#dialog.addEventListener("close", () => {
      if (!this.#dialog.open) this.#settle();
    });
  }

  /** Resolves to whether the person agreed. */
  ask(question: Question): Promise<boolean> {
    this.#settle();
    this.#question.textContent = question.question;
    this.#consequence.textContent = question.consequence;
    this.#accept.textContent = question.accept;
    // Escape leaves the value as it is.
    this.#dialog.returnValue = "cancel";
    this.#dialog.showModal();
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }

  /** With what the dialog was closed by. */
  #settle(): void {
    this.#answer(this.#dialog.returnValue === "confirm");
  }
}
