/** A stretch of time, its end left out. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** How long it is; 0 when its end is not behind its begin. */
export function lengthMs({ fromMs, toMs }: Span): number {
  return Math.max(0, toMs - fromMs);
}

/** What both have in common; its end is not behind its begin when that is nothing. */
export function overlap(a: Span, b: Span): Span {
  return { fromMs: Math.max(a.fromMs, b.fromMs), toMs: Math.min(a.toMs, b.toMs) };
}

/** Whether they have any time in common. */
export function overlaps(a: Span, b: Span): boolean {
  return lengthMs(overlap(a, b)) > 0;
}

/** The time that any of them covers: in order, neither touching nor overlapping, none empty. */
export function union(spans: readonly Span[]): Span[] {
  const merged: { fromMs: number; toMs: number }[] = [];
  const inOrder = spans
    .filter((span) => lengthMs(span) > 0)
    .toSorted((a, b) => a.fromMs - b.fromMs);
  for (const { fromMs, toMs } of inOrder) {
    const last = merged.at(-1);
    if (last !== undefined && fromMs <= last.toMs) last.toMs = Math.max(last.toMs, toMs);
    else merged.push({ fromMs, toMs });
  }
  return merged;
}

/** The time that `spans` cover and `others` do not, as `union` gives it. */
export function minus(spans: readonly Span[], others: readonly Span[]): Span[] {
  const taken = union(others);
  const left: Span[] = [];
  let next = 0;
  for (const { fromMs, toMs } of union(spans)) {
    // What ended before this span has ended before all that follow.
    while ((taken[next]?.toMs ?? Infinity) <= fromMs) next += 1;
    let atMs = fromMs;
    for (let i = next; (taken[i]?.fromMs ?? Infinity) < toMs; i += 1) {
      const other = taken[i];
      if (other === undefined) break;
      if (other.fromMs > atMs) left.push({ fromMs: atMs, toMs: other.fromMs });
      atMs = Math.max(atMs, other.toMs);
    }
    if (atMs < toMs) left.push({ fromMs: atMs, toMs });
  }
  return left;
}

/** The parts of `spans` within `window`, as `union` gives them. */
export function within(spans: readonly Span[], window: Span): Span[] {
  return union(spans.map((span) => overlap(span, window)));
}
