const PERIOD_MS = 50;

/** How long a condition may take, and what it is, for the error. */
export interface UntilOptions {
  readonly what: string;
  readonly timeoutMs: number;
}

/**
 * Asks `probe` again and again until it gives something other than undefined, and gives that. For
 * conditions of another process that sends no event. Throws when `timeoutMs` is over; an error of
 * the probe ends the wait at once.
 */
export async function until<Value>(
  probe: () => Promise<Value | undefined> | Value | undefined,
  { what, timeoutMs }: UntilOptions,
): Promise<Value> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadlineMs) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(PERIOD_MS);
  }
}
