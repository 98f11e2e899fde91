import type { SliceLag } from "./slice-lags.ts";

/** Of each minute the chunk that was encoded soonest counts. */
const BUCKET_MS = 60_000;

/** Each is compared with all others: of more than 10 hours a bucket is longer. */
const BUCKETS_MAX = 600;

/** Below this a drift cannot be told from noise: 200 ppm make 120 ms of it. */
const BUCKETS_MIN = 10;

/** A drift that would not be seen at the end is none. */
const DRIFT_MS_MIN = 40;

/** No quartz is that far off (RFC 5905 takes 500 ppm as the most). */
const RATE_ERROR_MAX = 0.000_5;

/** How far most minutes may be from the line. */
const RESIDUAL_MS_MAX = 15;

/**
 * Milliseconds of the server's clock in one of media time. It is 1 unless a line through the lower edge
 * of the lags proves another: over 10 minutes at least, both halves of the time telling the same within
 * a half, most minutes within 15 ms of the line, and 40 ms or more of drift in the end.
 *
 * @param lags in order of sequence
 */
export function measureRate(lags: readonly SliceLag[]): number {
  const points = lowerEdge(lags);
  if (points.length < BUCKETS_MIN) return 1;
  const slope = medianSlope(points);
  const spanMs = (points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0);
  if (Math.abs(slope) > RATE_ERROR_MAX || Math.abs(slope) * spanMs < DRIFT_MS_MIN) return 1;
  const middle = Math.floor(points.length / 2);
  const halves = [points.slice(0, middle), points.slice(middle)].map(medianSlope);
  if (halves.some((half) => Math.abs(half - slope) > Math.abs(slope) / 2)) return 1;
  const offsets = points.map(({ x, y }) => y - slope * x).toSorted((a, b) => a - b);
  const middleOffset = quantile(offsets, 0.5);
  const residuals = offsets.map((offset) => Math.abs(offset - middleOffset));
  const isLine =
    quantile(
      residuals.toSorted((a, b) => a - b),
      0.8,
    ) <= RESIDUAL_MS_MAX;
  return isLine ? 1 + slope : 1;
}

interface Point {
  /** Media time. */
  readonly x: number;
  readonly y: number;
}

function lowerEdge(lags: readonly SliceLag[]): Point[] {
  const buckets = new Map<number, Point>();
  const [first] = lags;
  if (first === undefined) return [];
  let [leastMs, mostMs] = [first.mediaEndMs, first.mediaEndMs];
  for (const { mediaEndMs } of lags) {
    // Durations that media claims are not bounded, and need not ascend.
    leastMs = Math.min(leastMs, mediaEndMs);
    mostMs = Math.max(mostMs, mediaEndMs);
  }
  const bucketMs = Math.max(BUCKET_MS, (mostMs - leastMs + 1) / BUCKETS_MAX);
  for (const { mediaEndMs, beginMs } of lags) {
    const bucket = Math.floor((mediaEndMs - leastMs) / bucketMs);
    const y = beginMs - first.beginMs;
    if (y < (buckets.get(bucket)?.y ?? Infinity)) buckets.set(bucket, { x: mediaEndMs, y });
  }
  return [...buckets.values()].toSorted((a, b) => a.x - b.x);
}

/** The median of the slopes between all pairs of points (Theil and Sen): a third may be wrong at will. */
function medianSlope(points: readonly Point[]): number {
  const slopes = points.flatMap((a, i) =>
    points.slice(i + 1).map((b) => (b.x === a.x ? 0 : (b.y - a.y) / (b.x - a.x))),
  );
  return quantile(
    slopes.toSorted((a, b) => a - b),
    0.5,
  );
}

/** @param sorted ascending */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
