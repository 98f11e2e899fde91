/**
 * Whether one of several that share `bytesMax` may hold `askedBytes` (what it asks for now and what it
 * holds already) while the others hold `othersBytes`: what it holds must not exceed what is left for
 * those who hold nothing yet. So one alone gets half, n that take all they can get 1/(n+1) each, and
 * however much any of them sends, there is always as much room left as the largest of them has.
 *
 * That is the dynamic threshold by which switches share their memory between queues (A. K. Choudhury,
 * E. L. Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998), with
 * alpha = 1. It needs neither the number of those who wait nor a share that is fixed beforehand.
 */
export function isFairShare(askedBytes: number, othersBytes: number, bytesMax: number): boolean {
  return askedBytes <= bytesMax - othersBytes - askedBytes;
}
