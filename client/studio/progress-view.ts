import { describeSafety, type Amount, type SessionSnapshot } from "./describe-safety.ts";
import { requireElement, setText } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";
import { formatDuration } from "./format-duration.ts";

/** Shows what is recorded, saved and pending, and says in words what is safe. */
export class ProgressView {
  readonly #section = requireElement("progress", HTMLElement);
  readonly #safety = requireElement("safety", HTMLElement);
  readonly #headline = requireElement("safety-headline", HTMLElement);
  readonly #sentence = requireElement("safety-sentence", HTMLElement);
  readonly #savedFill = requireElement("saved-fill", HTMLElement);
  readonly #tracks = requireElement("recorded-tracks", HTMLElement);
  readonly #announcer = requireElement("announcer", HTMLElement);

  show(snapshot: SessionSnapshot): void {
    this.#section.hidden = false;
    const { tone, headline, sentence } = describeSafety(snapshot);
    this.#safety.dataset["tone"] = tone;
    setText(this.#headline, headline);
    setText(this.#sentence, sentence);
    // The sentence counts along; only a change of the situation is read out.
    setText(this.#announcer, headline);
    showAmount("recorded", snapshot.recorded);
    showAmount("acknowledged", snapshot.acknowledged);
    showAmount("pending", snapshot.pending);
    const { recorded, acknowledged, tracks } = snapshot;
    setText(this.#tracks, `${tracks.length === 1 ? "Track" : "Tracks"}: ${tracks.join(", ")}`);
    const share = recorded.bytes === 0 ? 0 : acknowledged.bytes / recorded.bytes;
    this.#savedFill.style.width = `${share * 100}%`;
  }

  hide(): void {
    this.#section.hidden = true;
  }

  /** Where the keyboard goes when the buttons are gone. */
  focus(): void {
    this.#headline.focus();
  }
}

function showAmount(name: "recorded" | "acknowledged" | "pending", amount: Amount): void {
  setText(requireElement(`${name}-time`, HTMLElement), formatDuration(amount.durationMs));
  setText(requireElement(`${name}-size`, HTMLElement), formatBytes(amount.bytes));
  setText(requireElement(`${name}-chunks`, HTMLElement), String(amount.chunks));
}
