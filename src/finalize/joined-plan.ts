import type { Made } from "./made-segments.ts";
import type { RemuxPlan } from "./remux-plan.ts";
import type { JoinedMedia } from "./segment-join.ts";
import type { TimelineSummary } from "./timeline-tracks.ts";

/** How the segments of a track became one MP4. Pure. */
export function joinedPlan(
  made: readonly Made[],
  timeline: TimelineSummary,
  areBrought: boolean,
): JoinedMedia["plan"] {
  const plans = made.map(({ media }) => media.plan);
  const reasons = [
    ...(made.length > 1 ? [`${made.length} segments were joined.`] : []),
    ...streamReasons(plans),
  ];
  if (areBrought) {
    reasons.push(
      "Their parameters of H.264 differ, and stand in the index and before each keyframe; editors " +
        "that want one size take the compatible export.",
    );
  }
  if (timeline.silentPackets > 0) reasons.push("Gaps in the sound are filled with silence.");
  if (timeline.leavesHoles) {
    reasons.push("Gaps in the sound are left to its times, since no silence can be put into them.");
  }
  return {
    video: plans.find(({ video }) => video !== undefined)?.video,
    audio: plans.find(({ audio }) => audio !== undefined)?.audio,
    action: plans.some(({ action }) => action === "transcode") ? "transcode" : "copy",
    reason: reasons.join(" "),
  };
}

/** Each reason once, with the segments that it is about when it is not about all. */
function streamReasons(plans: readonly RemuxPlan[]): string[] {
  const segmentsOf = new Map<string, number[]>();
  for (const [i, { video, audio }] of plans.entries()) {
    for (const stream of [video, audio]) {
      if (stream === undefined) continue;
      segmentsOf.set(stream.reason, [...(segmentsOf.get(stream.reason) ?? []), i + 1]);
    }
  }
  return [...segmentsOf].map(([reason, segments]) =>
    segments.length === plans.length
      ? reason
      : `Segment${segments.length > 1 ? "s" : ""} ${segments.join(", ")}: ${reason}`,
  );
}
