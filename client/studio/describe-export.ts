import type { Export, ExportRequest } from "../../src/contract/exports.ts";

/** An export that the page offers. */
export interface OfferedExport {
  readonly kind: ExportRequest["kind"];
  readonly name: string;
  /** What it is good for, in a sentence. */
  readonly purpose: string;
}

/** In the order in which they are offered. */
export const OFFERED_EXPORTS: readonly OfferedExport[] = [
  {
    kind: "composite",
    name: "One video of all",
    purpose: "Everybody in one picture, with the sound of all.",
  },
  {
    kind: "aligned",
    name: "Aligned tracks",
    purpose: "Every track from the same zero and of the same length, in its original quality.",
  },
  {
    kind: "compatible",
    name: "For editors",
    purpose: "Every track as H.264 and AAC, aligned, at a constant rate and size.",
  },
  {
    kind: "audio",
    name: "Sound only",
    purpose: "One FLAC and one M4A for each participant, aligned.",
  },
];

/** The name of an export's kind, as on the button that asks for it. */
export function exportName({ kind }: Pick<Export, "kind">): string {
  return OFFERED_EXPORTS.find((offered) => offered.kind === kind)?.name ?? kind;
}

/** How an export is, in a sentence. */
export function describeExport({ state, progress, reason, isOutdated }: Export): string {
  switch (state) {
    case "queued":
      return reason === null ? "Waiting for its turn" : `Trying again. ${reason}`;
    case "running":
      return `Being made: ${Math.floor(progress * 100)} %`;
    case "done":
      return isOutdated ? "Ready, but more of the recording has arrived since" : "Ready";
    case "failed":
      return reason ?? "It failed.";
    case "cancelled":
      return "Cancelled";
  }
}

/** Whether it changes by itself. */
export function isUnderWay({ state }: Pick<Export, "state">): boolean {
  return state === "queued" || state === "running";
}
