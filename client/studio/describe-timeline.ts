import type { Gap, GapCause, TrackTimeline } from "../../src/contract/timeline.ts";

/** Shorter gaps are not shown: nobody sees or hears them. */
const SHOWN_MS_MIN = 100;

/** Gaps of one cause that are closer are shown as one, such as those of picture and sound. */
const JOINED_WITHIN_MS = 250;

/** A gap in words. */
export interface DescribedGap {
  /** `0:03.1 – 0:06.2` */
  readonly when: string;
  /** `Picture and sound: paused` */
  readonly what: string;
}

const CAUSES: Record<GapCause, string> = {
  "missing-chunks": "never reached the server",
  damaged: "damaged, cannot be used",
  "between-segments": "not recorded (reload, reconnect or device change)",
  paused: "paused",
  muted: "switched off",
  stalled: "the browser gave nothing",
};

/** Where a track stands in its recording, in a line: `Begins 0:02.1 into the recording · lasts 0:30.0`. */
export function describePlace({ offsetMs, durationMs }: TrackTimeline): string {
  return `Begins ${formatTime(offsetMs)} into the recording · lasts ${formatTime(durationMs)}`;
}

/** What is missing of a track, in order; gaps that nobody would notice are left out. */
export function describeGaps({ gaps }: Pick<TrackTimeline, "gaps">): DescribedGap[] {
  return joined(gaps)
    .filter(({ fromMs, toMs }) => toMs - fromMs >= SHOWN_MS_MIN)
    .map(({ cause, streams, fromMs, toMs }) => ({
      when: `${formatTime(fromMs)} – ${formatTime(toMs)}`,
      what: `${streamNames(streams)}: ${CAUSES[cause]}`,
    }));
}

/**
 * A time to a tenth of a second, as a clock shows it: `0:03.1`, `1:02:03.0`. Of negative ones there
 * is none but for clocks that differ a little; they read `0:00.0`.
 */
export function formatTime(ms: number): string {
  const tenths = Math.max(0, Math.round(ms / 100));
  const seconds = Math.floor(tenths / 10);
  const clock = [Math.floor(seconds / 60) % 60, seconds % 60];
  const hours = Math.floor(seconds / 3600);
  if (hours > 0) clock.unshift(hours);
  const parts = clock.map((part, i) => (i === 0 ? `${part}` : `${part}`.padStart(2, "0")));
  return `${parts.join(":")}.${tenths % 10}`;
}

/** The gaps with those of the same cause joined that are one to a reader. */
function joined(gaps: readonly Gap[]): Gap[] {
  const result: Gap[] = [];
  for (const gap of gaps) {
    const i = result.findLastIndex(
      ({ cause, toMs }) => cause === gap.cause && gap.fromMs - toMs <= JOINED_WITHIN_MS,
    );
    const before = result[i];
    if (before === undefined) {
      result.push(gap);
      continue;
    }
    const streams = [...new Set([...before.streams, ...gap.streams])];
    result[i] = { ...before, streams, toMs: Math.max(before.toMs, gap.toMs) };
  }
  return result;
}

function streamNames(streams: Gap["streams"]): string {
  if (streams.length > 1) return "Picture and sound";
  return streams.includes("video") ? "Picture" : "Sound";
}
