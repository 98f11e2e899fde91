import { element } from "./element.ts";

/** A sentence about something that went wrong. */
export interface Notice {
  readonly sentence: string;
  /** `danger` by default; `warning` where recording goes on all the same. */
  readonly tone?: "danger" | "warning";
  /** What the person can do about it right here. */
  readonly action?: { readonly label: string; readonly run: () => void };
}

/**
 * Shows at most one notice for each topic, read out by screen readers as it appears. A notice stays
 * until it is dismissed, replaced, or its topic is cleared.
 */
export class NoticeBoard {
  readonly #container: HTMLElement;
  readonly #shown = new Map<string, { sentence: string; box: HTMLElement }>();

  constructor(container: HTMLElement) {
    this.#container = container;
  }

  show(topic: string, notice: Notice): void {
    if (this.#shown.get(topic)?.sentence === notice.sentence) return;
    this.clear(topic);
    const { action } = notice;
    const buttons = [
      element("button", {
        class: "button quiet",
        text: "Dismiss",
        attributes: { type: "button" },
        onClick: () => this.clear(topic),
      }),
    ];
    if (action) {
      const run = () => {
        this.clear(topic);
        action.run();
      };
      const attributes = { type: "button" };
      buttons.unshift(
        element("button", { class: "button quiet", text: action.label, attributes, onClick: run }),
      );
    }
    const box = element(
      "div",
      {
        class: `notice ${notice.tone ?? "danger"}`,
        attributes: { role: "alert", "data-testid": `notice-${topic}` },
      },
      [
        element("p", { text: notice.sentence }),
        element("div", { class: "notice-actions" }, buttons),
      ],
    );
    this.#shown.set(topic, { sentence: notice.sentence, box });
    this.#container.append(box);
  }

  clear(topic: string): void {
    this.#shown.get(topic)?.box.remove();
    this.#shown.delete(topic);
  }
}
