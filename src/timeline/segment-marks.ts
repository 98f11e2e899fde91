import type { Mark, StreamKind } from "../contract/marks.ts";
import type { SegmentTimeline } from "./segment-timeline.ts";
import { type Span, SpanSearch, lengthMs, union } from "./spans.ts";

/** A device that is exchanged gives nothing for a while around that moment. */
const DEVICE_CHANGE_REACH_MS = 500;

/** One that gives nothing for longer has not been exchanged: it is gone. */
const DEVICE_CHANGE_MS_MAX = 5_000;

/**
 * What the marks of one segment tell, in the time that `wallMsOf` gives its media: that of its device,
 * which is not that of the server when one of their clocks drifts. Pure.
 */
export class SegmentMarks {
  readonly #marks: readonly Mark[];
  /** When the page's main thread stood still. */
  readonly frozen: SpanSearch<Span>;
  /** When the page was not shown. */
  readonly hidden: SpanSearch<Span>;
  readonly #began: (Mark & { readonly type: "began" }) | undefined;
  readonly #deviceChanges: Readonly<Record<StreamKind, SpanSearch<Span>>>;

  /** @param marks in any order */
  constructor(marks: readonly Mark[], { beginMs, rate }: SegmentTimeline) {
    const inOrder = marks.toSorted((a, b) => a.atMs - b.atMs);
    this.#marks = inOrder.map((mark) => onDeviceClock(mark, beginMs, rate));
    this.#began = this.#marks.find((mark) => mark.type === "began");
    // Of all of these it is only asked whether there is one: many that overlap are one.
    this.frozen = searchOf(
      this.#marks.flatMap((mark) =>
        mark.type === "frozen" ? [{ fromMs: mark.atMs, toMs: mark.toMs }] : [],
      ),
    );
    this.hidden = searchOf(
      this.#spansBetween(
        ({ type }) => type === "hidden",
        ({ type }) => type === "visible",
      ),
    );
    this.#deviceChanges = {
      video: searchOf(this.#reachesOfChanges("video")),
      audio: searchOf(this.#reachesOfChanges("audio")),
    };
  }

  /** Whether the sender tells what happens to the segment: the first thing to tell is its begin. */
  get isTold(): boolean {
    return this.#began !== undefined;
  }

  /** Of what kind the source of the pictures is; null when nobody told. */
  get pictures(): "continuous" | "on-change" | null {
    return this.#began?.pictures ?? null;
  }

  /** When a stream was muted. */
  mutes(stream: StreamKind): Span[] {
    return this.#spansBetween(
      (mark) => mark.type === "muted" && mark.stream === stream,
      (mark) => mark.type === "unmuted" && mark.stream === stream,
    );
  }

  /** Since when a stream gave nothing, so that the segment did not record it. */
  stalls(stream: StreamKind): Span[] {
    return this.#spansBetween(
      (mark) => mark.type === "stalled" && mark.stream === stream,
      () => false,
    );
  }

  /** Whether a stream gave nothing since its device was being exchanged. */
  isDeviceChange(stream: StreamKind, hole: Span): boolean {
    if (lengthMs(hole) > DEVICE_CHANGE_MS_MAX) return false;
    return this.#deviceChanges[stream].within(hole).length > 0;
  }

  #reachesOfChanges(stream: StreamKind): Span[] {
    return this.#marks.flatMap((mark) => {
      if (mark.type !== "device-changed" || mark.stream !== stream) return [];
      const { atMs } = mark;
      return [{ fromMs: atMs - DEVICE_CHANGE_REACH_MS, toMs: atMs + DEVICE_CHANGE_REACH_MS }];
    });
  }

  /** From each mark that begins a state to the one that ends it; without that one, for ever. */
  #spansBetween(begins: (mark: Mark) => boolean, ends: (mark: Mark) => boolean): Span[] {
    const spans: Span[] = [];
    let fromMs: number | undefined;
    for (const mark of this.#marks) {
      if (begins(mark)) fromMs ??= mark.atMs;
      if (!ends(mark) || fromMs === undefined) continue;
      spans.push({ fromMs, toMs: mark.atMs });
      fromMs = undefined;
    }
    return fromMs === undefined ? spans : [...spans, { fromMs, toMs: Infinity }];
  }
}

function searchOf(spans: readonly Span[]): SpanSearch<Span> {
  return new SpanSearch(union(spans));
}

function onDeviceClock(mark: Mark, beginMs: number, rate: number): Mark {
  const deviceMs = (ms: number): number => beginMs + (ms - beginMs) / rate;
  const atMs = deviceMs(mark.atMs);
  return mark.type === "frozen" ? { ...mark, atMs, toMs: deviceMs(mark.toMs) } : { ...mark, atMs };
}
