/** Counts the time that something runs, without its pauses. All times in ms of one steady clock. */
export class RunningTime {
  #countedMs = 0;
  #runningSinceMs: number | null = null;

  /** Starts, or goes on after a pause. No effect while it runs. */
  run(nowMs: number): void {
    this.#runningSinceMs ??= nowMs;
  }

  /** Pauses or stops. No effect while it does not run. */
  halt(nowMs: number): void {
    this.#countedMs = this.read(nowMs);
    this.#runningSinceMs = null;
  }

  read(nowMs: number): number {
    return this.#countedMs + (this.#runningSinceMs === null ? 0 : nowMs - this.#runningSinceMs);
  }
}
