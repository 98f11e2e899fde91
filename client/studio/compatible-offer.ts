import type { Export } from "../../src/contract/exports.ts";
import { describeExport, isUnderWay } from "./describe-export.ts";
import { downloadLink } from "./download-link.ts";
import { element, setText } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";

/** The track beside whose MP4 the offer stands. */
interface OfferedTrack {
  readonly participantId: string;
  readonly trackId: string;
}

/**
 * Beside an MP4 that some players do not take: why, and a button that asks for the recording's
 * compatible export, or that export's file when it is there.
 */
export class CompatibleOffer {
  readonly element: HTMLElement;
  readonly #track: OfferedTrack;
  readonly #onAsk: () => void;
  readonly #status = element("p", { class: "track-facts", attributes: { role: "status" } });
  readonly #actions = element("div", { class: "actions" });
  /** What is drawn, so that polling does not take the keyboard's focus from a button. */
  #drawn: string | undefined;

  /**
   * @param reason why it is offered, in a sentence
   * @param onAsk the export is asked for
   */
  constructor(track: OfferedTrack, reason: string, onAsk: () => void) {
    this.#track = track;
    this.#onAsk = onAsk;
    this.element = element(
      "div",
      { class: "compatible-offer", attributes: { "data-testid": "compatible" } },
      [element("p", { class: "track-reason", text: reason }), this.#status, this.#actions],
    );
    this.update([]);
  }

  /** @param exports all of the recording, newest first */
  update(exports: readonly Export[]): void {
    const made = exports.filter(({ kind }) => kind === "compatible");
    const file = made
      .filter(({ state, isOutdated }) => state === "done" && !isOutdated)
      .flatMap(({ files }) => files)
      .find(
        ({ participantId, trackId }) =>
          participantId === this.#track.participantId && trackId === this.#track.trackId,
      );
    const [newest] = made;
    const isShown = file === undefined && newest !== undefined && newest.state !== "done";
    this.#status.hidden = !isShown;
    setText(this.#status, isShown ? `Compatible MP4: ${describeExport(newest)}` : "");
    const isMaking = file === undefined && made.some(isUnderWay);
    const drawn = file?.url ?? String(isMaking);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const name = `${this.#track.participantId}: ${this.#track.trackId}`;
    if (file !== undefined) {
      const link = downloadLink(file.url, `Compatible MP4 (${formatBytes(file.bytes)})`);
      link.setAttribute("aria-label", `Download compatible MP4 of ${name}`);
      this.#actions.replaceChildren(link);
    } else if (isMaking) {
      this.#actions.replaceChildren();
    } else {
      const attributes = { type: "button", "aria-label": `Make a compatible MP4 of ${name}` };
      const text = "Make a compatible MP4";
      const onClick = this.#onAsk;
      this.#actions.replaceChildren(
        element("button", { class: "button quiet", text, attributes, onClick }),
      );
    }
    this.#actions.hidden = isMaking;
  }
}
