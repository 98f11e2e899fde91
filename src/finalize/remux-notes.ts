import type { StreamKind } from "../contract/marks.ts";
import { leadingNotes } from "./leading-pictures.ts";
import { leftOutNotes } from "./left-out-notes.ts";
import type { Finding, SourceCounts } from "./media-check.ts";
import { type RemuxPlan, streamTitle } from "./remux-plan.ts";
import type { SegmentNote } from "./segment-note.ts";
import type { ShownShare } from "./shown-media.ts";

/** How a segment's MP4 came out. */
export interface RemuxResult {
  /** What was wanted. */
  readonly base: RemuxPlan;
  /** What was made. */
  readonly plan: RemuxPlan;
  readonly counts: SourceCounts;
  /** In which the counts of source and MP4 disagree. */
  readonly findings: readonly Finding[];
  /** What a decoder shows; undefined when it was not asked, or came to no end. */
  readonly shown: Readonly<Record<StreamKind, ShownShare | undefined>> | undefined;
  /** Whether a way failed for what may pass, so that another time more can come of it. */
  readonly mayPass: boolean;
}

const KINDS = ["video", "audio"] as const;
const NAMES: Readonly<Record<StreamKind, string>> = { video: "picture", audio: "sound" };
const WHERE_THE_REST_IS = "The source, which can be downloaded, has all that came.";

/** What the verdict has to name of how a segment became its MP4. Pure. */
export function remuxNotes(result: RemuxResult): SegmentNote[] {
  const { base, plan, counts, findings, shown } = result;
  const texts: string[] = [];
  for (const kind of KINDS) {
    const wanted = base[kind];
    if (wanted === undefined) continue;
    if (plan[kind] === undefined) {
      const other = NAMES[kind === "video" ? "audio" : "video"];
      texts.push(
        `${streamTitle(wanted.source)} could not be ` +
          `${result.mayPass ? "made this time" : "decoded"} and was left out: the MP4 has the ${other} ` +
          `alone. ${WHERE_THE_REST_IS}`,
      );
      continue;
    }
    const share = shown?.[kind];
    if (share !== undefined) {
      if (share.share < 1) texts.push(shareText(kind, share));
      continue;
    }
    const own = findings.filter(({ stream }) => stream === kind);
    if (own.length === 0) continue;
    texts.push(
      `The MP4 may not have all of the ${NAMES[kind]}, and no decoder could tell: ` +
        `${own.map(({ text }) => text).join("; ")}. ${WHERE_THE_REST_IS}`,
    );
  }
  if (shown === undefined) {
    const others = findings.filter(({ stream }) => stream === undefined);
    texts.push(
      ...others.map(({ text }) => `The MP4 may not be right: ${text}. ${WHERE_THE_REST_IS}`),
    );
  }
  const notes = texts.map((text) => ({ text, isLoss: true }));
  return [...notes, ...leftOutNotes(plan), ...leadingNotes(counts)];
}

function shareText(kind: StreamKind, { shown, of }: ShownShare): string {
  if (kind === "video" && shown < of) {
    return `The MP4 shows ${shown} of ${of} pictures that can be decoded. ${WHERE_THE_REST_IS}`;
  }
  if (kind === "audio" && seconds(shown) !== seconds(of)) {
    return `The MP4 has ${seconds(shown)} s of ${seconds(of)} s of sound that can be decoded. ${WHERE_THE_REST_IS}`;
  }
  return `The ${NAMES[kind]} of the MP4 may not be at its time beside the rest. ${WHERE_THE_REST_IS}`;
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}
