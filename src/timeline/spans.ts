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

/** Finds those of many spans that have time in common with another, without looking at each. */
export class SpanSearch<T extends Span> {
  readonly #inOrder: readonly T[];
  /** The latest end up to each of them. */
  readonly #endsMs: Float64Array;

  constructor(spans: readonly T[]) {
    this.#inOrder = spans.toSorted((a, b) => a.fromMs - b.fromMs);
    this.#endsMs = new Float64Array(spans.length);
    let endMs = -Infinity;
    for (const [i, { toMs }] of this.#inOrder.entries()) {
      endMs = Math.max(endMs, toMs);
      this.#endsMs[i] = endMs;
    }
  }

  /** Those that overlap `window`, in order of their begin. */
  within(window: Span): T[] {
    const found: T[] = [];
    for (let i = this.#firstEndingAfter(window.fromMs); i < this.#inOrder.length; i += 1) {
      const span = this.#inOrder[i];
      if (span === undefined || span.fromMs >= window.toMs) break;
      if (overlaps(span, window)) found.push(span);
    }
    return found;
  }

  #firstEndingAfter(ms: number): number {
    let [low, high] = [0, this.#endsMs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#endsMs[middle] ?? Infinity) > ms) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** The parts of `spans` within `window`, as `union` gives them. */
export function within(spans: readonly Span[], window: Span): Span[] {
  return union(spans.map((span) => overlap(span, window)));
}
