/**
 * A duration as a clock shows it: `0:07`, `12:40`, `1:02:03`. Begun seconds are not counted; a
 * negative or unknown (`NaN`) duration reads `0:00`.
 *
 * @param durationMs - in milliseconds.
 */
export function formatDuration(durationMs: number): string {
  const seconds = Number.isFinite(durationMs) ? Math.max(0, Math.floor(durationMs / 1000)) : 0;
  const clock = [Math.floor(seconds / 60) % 60, seconds % 60];
  const hours = Math.floor(seconds / 3600);
  if (hours > 0) clock.unshift(hours);
  return clock
    .map((part, index) => (index === 0 ? `${part}` : `${part}`.padStart(2, "0")))
    .join(":");
}

/**
 * A length of time within a sentence, begun seconds counted in full: `1 s`, `59 s`, `2 min 5 s`.
 *
 * @param durationMs - in milliseconds, 0 or more.
 */
export function formatSpan(durationMs: number): string {
  const seconds = Math.ceil(durationMs / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds} s` : `${minutes} min ${seconds % 60} s`;
}
