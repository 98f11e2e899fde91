/** Longest wait after the first failure. */
const FIRST_DELAY_MS_MAX = 500;

/** Longest wait between two attempts when the server names none. */
export const DELAY_MS_MAX = 15_000;

/** Longest wait that a server's Retry-After is followed for. */
export const RETRY_AFTER_MS_MAX = 300_000;

/**
 * How long to wait before the next attempt, in milliseconds: exponential with full jitter, so that
 * the clients of a server that comes back do not all return at the same instant. A wait that the
 * server asked for is never cut short, except to `RETRY_AFTER_MS_MAX`.
 *
 * @param failures in a row, from 1
 * @param retryAfterMs what the server asked for; null when it did not
 * @param random uniform in [0, 1)
 */
export function backoffDelayMs(
  failures: number,
  retryAfterMs: number | null,
  random: () => number,
): number {
  const ceilingMs = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS_MAX * 2 ** (failures - 1));
  return Math.min(RETRY_AFTER_MS_MAX, retryAfterMs ?? 0) + random() * ceilingMs;
}

/**
 * The wait that a Retry-After header asks for, in milliseconds: seconds or a date (RFC 9110,
 * 10.2.3). Null when there is none or it cannot be read.
 */
export function parseRetryAfter(header: string | null, nowMs: number): number | null {
  const text = header?.trim() ?? "";
  if (text === "") return null;
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
