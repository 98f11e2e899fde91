/** What one round trip told. */
export interface OffsetSample {
  /** This computer's clock in the middle of the round trip. */
  readonly atMs: number;
  /** What the server's clock was ahead of it, if both ways took the same time. */
  readonly offsetMs: number;
  /** Length of the round trip: the offset is off by at most half of it. */
  readonly roundTripMs: number;
}

/** A quartz is seldom further off than this; until it has been watched for long, more is noise. */
const USUAL_DRIFT = 0.000_1;

/** No quartz that a system's own clock discipline could handle is further off (RFC 5905, MAXFREQ). */
const DRIFT_MAX = 0.000_5;

/** Both clocks tell whole milliseconds. */
const TICK_MS = 0.5;

/** Share of the usual lengthening of round trips that hides in the shortest ones, too. */
const HIDDEN_SHARE = 0.2;

/** How fast an old sample loses its worth: drifts change with temperature, by some millionths. */
const AGEING = 0.000_002;

/**
 * The server's clock against this computer's as a line through the samples: each has the more weight
 * the nearer its round trip was to the shortest of all, since what a round trip takes longer, it mostly
 * takes on one of its ways, and the younger it is. The slope is drawn towards none until the samples
 * prove it, by as much as quartzes usually differ (a ridge regression).
 *
 * @param samples in order of time; at least one
 * @returns the offset at an instant of this computer's clock
 */
export function offsetLine(samples: readonly OffsetSample[]): (atMs: number) => number {
  const last = samples.at(-1);
  if (last === undefined) throw new RangeError("There is no sample to draw a line through");
  const sorted = samples.map(({ roundTripMs }) => roundTripMs).toSorted((a, b) => a - b);
  const shortestMs = sorted[0] ?? 0;
  const medianMs = sorted[Math.floor(sorted.length / 2)] ?? shortestMs;
  const commonErrorMs = TICK_MS + (medianMs - shortestMs) * HIDDEN_SHARE;
  const weighed = samples.map(({ atMs, offsetMs, roundTripMs }) => {
    const ageMs = Math.abs(last.atMs - atMs);
    const errorMs = commonErrorMs + (roundTripMs - shortestMs) / 2 + ageMs * AGEING;
    return { x: atMs - last.atMs, y: offsetMs - last.offsetMs, weight: 1 / errorMs ** 2 };
  });
  const sum = (of: (point: (typeof weighed)[number]) => number): number =>
    weighed.reduce((total, point) => total + point.weight * of(point), 0);
  const weight = sum(() => 1);
  const meanX = sum(({ x }) => x) / weight;
  const meanY = sum(({ y }) => y) / weight;
  const covariance = sum(({ x, y }) => (x - meanX) * (y - meanY));
  const variance = sum(({ x }) => (x - meanX) ** 2);
  const slope = covariance / (variance + 1 / USUAL_DRIFT ** 2);
  const drift = Math.max(-DRIFT_MAX, Math.min(DRIFT_MAX, slope));
  return (atMs) => last.offsetMs + meanY + drift * (atMs - last.atMs - meanX);
}
