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

  /** Resolves to whether the person agreed. */
  ask(question: Question): Promise<boolean> {
    this.#question.textContent = question.question;
    this.#consequence.textContent = question.consequence;
    this.#accept.textContent = question.accept;
    // Escape leaves the value as it is.
    this.#dialog.returnValue = "cancel";
    this.#dialog.showModal();
    return new Promise((resolve) => {
      const answer = () => resolve(this.#dialog.returnValue === "confirm");
      this.#dialog.addEventListener("close", answer, { once: true });
    });
  }
}
