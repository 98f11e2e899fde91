import { type Span, lengthMs, union } from "./spans.ts";

/** Spans that are closer are told as one: picture and sound of one loss differ by so much. */
const JOINED_WITHIN_MS = 250;

/** Most spans that one sentence tells. */
const SPANS_TOLD_MAX = 8;

/** A time on a recording's timeline for people, to a tenth of a second: `0:03.1`, `1:02:03.0`. */
export function describeTime(ms: number): string {
  const tenths = Math.round(Math.abs(ms) / 100);
  const seconds = Math.floor(tenths / 10);
  const clock = [Math.floor(seconds / 60) % 60, seconds % 60];
  if (seconds >= 3_600) clock.unshift(Math.floor(seconds / 3_600));
  const [first = 0, ...others] = clock;
  const padded = [`${first}`, ...others.map((part) => `${part}`.padStart(2, "0"))].join(":");
  return `${ms < 0 && tenths > 0 ? "-" : ""}${padded}.${tenths % 10}`;
}

/** Spans of a recording's timeline for people, in order: `0:03.1 to 0:06.2, 0:09.0 to 0:10.1`. */
export function describeSpans(spans: readonly Span[]): string {
  const half = JOINED_WITHIN_MS / 2;
  const joined = union(
    spans
      .filter((span) => lengthMs(span) > 0)
      .map(({ fromMs, toMs }) => ({ fromMs: fromMs - half, toMs: toMs + half })),
  );
  const told = joined
    .slice(0, SPANS_TOLD_MAX)
    .map(({ fromMs, toMs }) => `${describeTime(fromMs + half)} to ${describeTime(toMs - half)}`)
    .join(", ");
  const more = joined.length - SPANS_TOLD_MAX;
  return more > 0 ? `${told} and ${more} more` : told;
}
