import type { StreamKind } from "../contract/marks.ts";
import type { RemuxAction } from "../contract/recordings.ts";

/** One way to make an MP4 of a segment: what becomes of each stream, and who writes it. */
export interface Way {
  /** Undefined when it is left out. */
  readonly video: RemuxAction | undefined;
  readonly audio: RemuxAction | undefined;
  readonly muxer: "ffmpeg" | "mediabunny";
}

/**
 * How much a way brought into the MP4 of what a decoder shows of each stream, from 0 to 1; undefined of
 * one that it left out.
 */
export type Shares = Readonly<Record<StreamKind, number | undefined>>;

/** A way that was tried. */
export interface TriedWay {
  readonly way: Way;
  /** Undefined when no file that can be played came of it. */
  readonly shares: Shares | undefined;
}

const KINDS = ["video", "audio"] as const;

/**
 * The rungs of the ladder, one at a time: the way to try after those that were, undefined when one of
 * them brought everything, or when there is none left. Pure.
 *
 * 1. As planned: streams that MP4 can carry are copied.
 * 2. What is all copied, copied by the other muxer.
 * 3. Each stream alone, first copied, then transcoded, to learn which of them does not fit. One of which
 *    an earlier way brought everything is not tried again.
 * 4. Both streams, each as it came out best. One of which nothing came is left out.
 */
export function nextWay(base: Way, tried: readonly TriedWay[]): Way | undefined {
  if (tried.length === 0) return base;
  const kinds = KINDS.filter((kind) => base[kind] !== undefined);
  if (tried.some(({ shares }) => kinds.every((kind) => shares?.[kind] === 1))) return undefined;
  if (base.muxer === "ffmpeg" && kinds.every((kind) => base[kind] === "copy")) {
    const copied: Way = { ...base, muxer: "mediabunny" };
    if (!isTried(copied, tried)) return copied;
  }
  for (const kind of kinds) {
    for (const action of actionsOf(base[kind])) {
      const own = tried.filter(({ way }) => way[kind] === action);
      if (own.some(({ shares }) => shares?.[kind] === 1)) break;
      const alone = aloneWay(base, kind, action);
      if (!isTried(alone, tried)) return alone;
    }
  }
  const together = bestTogether(base, tried);
  return together === undefined || isTried(together, tried) ? undefined : together;
}

/**
 * The number of the tried way that brought most; of those that are alike the first one without a stream
 * that shows nothing. Undefined when none brought anything. Pure.
 */
export function bestOf(tried: readonly TriedWay[]): number | undefined {
  let best: { readonly i: number; readonly sum: number; readonly dead: number } | undefined;
  for (const [i, { shares }] of tried.entries()) {
    const own = KINDS.map((kind) => shares?.[kind]);
    const sum = own.reduce<number>((total, share) => total + (share ?? 0), 0);
    const dead = own.filter((share) => share === 0).length;
    const isBetter = best === undefined || sum > best.sum || (sum === best.sum && dead < best.dead);
    if (sum > 0 && isBetter) best = { i, sum, dead };
  }
  return best?.i;
}

function actionsOf(planned: RemuxAction | undefined): readonly RemuxAction[] {
  return planned === "copy" ? ["copy", "transcode"] : ["transcode"];
}

function aloneWay(base: Way, kind: StreamKind, action: RemuxAction): Way {
  const none = { video: undefined, audio: undefined };
  return { ...none, [kind]: action, muxer: muxerOf(base, action) };
}

/** Only ffmpeg encodes. */
function muxerOf({ muxer }: Way, ...actions: readonly (RemuxAction | undefined)[]): Way["muxer"] {
  return actions.includes("transcode") ? "ffmpeg" : muxer;
}

function bestTogether(base: Way, tried: readonly TriedWay[]): Way | undefined {
  const [video, audio] = KINDS.map((kind) => {
    let best: { action: RemuxAction; share: number } | undefined;
    for (const action of base[kind] === undefined ? [] : actionsOf(base[kind])) {
      const own = tried.filter(({ way }) => way[kind] === action);
      const share = Math.max(0, ...own.map(({ shares }) => shares?.[kind] ?? 0));
      if (share > (best?.share ?? 0)) best = { action, share };
    }
    return best?.action;
  });
  if (video === undefined && audio === undefined) return undefined;
  return { video, audio, muxer: muxerOf(base, video, audio) };
}

function isTried(way: Way, tried: readonly TriedWay[]): boolean {
  return tried.some(
    ({ way: { video, audio, muxer } }) =>
      video === way.video && audio === way.audio && muxer === way.muxer,
  );
}
