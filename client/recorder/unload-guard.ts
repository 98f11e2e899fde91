/** Has the browser ask before the page is left, as long as something would be lost or put off. */
export class UnloadGuard {
  readonly #onBeforeUnload: (event: BeforeUnloadEvent) => void;

  /** @param isAtRisk asked when somebody leaves the page */
  constructor(isAtRisk: () => boolean) {
    this.#onBeforeUnload = (event) => {
      if (isAtRisk()) event.preventDefault();
    };
    addEventListener("beforeunload", this.#onBeforeUnload);
  }

  /** Nothing can be lost any more. */
  stop(): void {
    removeEventListener("beforeunload", this.#onBeforeUnload);
  }
}
