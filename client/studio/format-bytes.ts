const UNITS = ["KB", "MB", "GB", "TB"] as const;

/**
 * A size for people, in decimal units as file managers show them: `0 KB`, `0.4 KB`, `12 KB`,
 * `1.9 MB`. One decimal below ten, none above.
 *
 * @param bytes - whole bytes, 0 or more.
 */
export function formatBytes(bytes: number): string {
  let amount = Math.max(0, bytes) / 1000;
  let unit: (typeof UNITS)[number] = "KB";
  for (const larger of UNITS.slice(1)) {
    // 999.5 would round to 1000 of this unit.
    if (amount < 999.5) break;
    amount /= 1000;
    unit = larger;
  }
  const rounded = amount < 9.95 ? Math.round(amount * 10) / 10 : Math.round(amount);
  return `${rounded} ${unit}`;
}
