type Listeners<Events> = { [Name in keyof Events]?: Set<(event: Events[Name]) => void> };

/** Gives typed events to listeners, in the order in which they were added. */
export class EventEmitter<Events extends object> {
  readonly #listeners: Listeners<Events> = {};

  /** Adds a listener; the returned function takes it away. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = (this.#listeners[name] ??= new Set());
    // An entry of its own: the same function may be added twice, and is taken away one at a time.
    const entry = (event: Events[Name]): void => listener(event);
    listeners.add(entry);
    return () => {
      listeners.delete(entry);
    };
  }

  /**
   * Calls the listeners. An error that one throws is reported as uncaught, as that of a DOM event's
   * listener is, and reaches neither the other listeners nor the caller.
   */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of this.#listeners[name] ?? []) {
      try {
        listener(event);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
