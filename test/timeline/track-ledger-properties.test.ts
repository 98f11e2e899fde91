import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { StreamKind } from "../../src/contract/marks.ts";
import type { TrackTimeline } from "../../src/contract/timeline.ts";
import { type LedgerSegment, buildTrackTimeline } from "../../src/timeline/track-ledger.ts";
import type { Pause } from "../../src/timeline/segment-timeline.ts";
import { type Span, lengthMs, minus, union, within } from "../../src/timeline/spans.ts";
import { began, ledgerSegment, type PlainExtent, STARTED_AT_MS } from "./ledger-segment.ts";

const CHUNK_MS = 1_000;

/** What became of a chunk, and where in it the first keyframe is; null without one. */
interface ModelChunk {
  readonly fate: "whole" | "missing" | "damaged";
  readonly keyframeMs: number | null;
}

/** One run of a recorder. */
interface ModelSegment {
  /** Since the end of the one before, pauses and lost chunks included. */
  readonly afterMs: number;
  readonly streams: "both" | "video" | "audio";
  readonly chunks: readonly ModelChunk[];
  readonly pauses: readonly { readonly mediaMs: number; readonly lengthMs: number }[];
}

const chunkArbitrary: fc.Arbitrary<ModelChunk> = fc.record({
  fate: fc.oneof(
    { weight: 6, arbitrary: fc.constant("whole" as const) },
    { weight: 2, arbitrary: fc.constant("missing" as const) },
    { weight: 1, arbitrary: fc.constant("damaged" as const) },
  ),
  keyframeMs: fc.option(fc.integer({ min: 0, max: CHUNK_MS - 1 }), { freq: 3 }),
});

const segmentArbitrary: fc.Arbitrary<ModelSegment> = fc.record({
  afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 6_000 })),
  streams: fc.constantFrom("both", "both", "video", "audio"),
  chunks: fc.array(chunkArbitrary, { minLength: 1, maxLength: 12 }),
  pauses: fc.array(
    fc.record({
      mediaMs: fc.integer({ min: 0, max: 12 * CHUNK_MS }),
      lengthMs: fc.integer({ min: 1, max: 4_000 }),
    }),
    { maxLength: 2 },
  ),
});

/** What the server knows of a segment, and what is really there, on the recording's timeline. */
interface Made {
  readonly ledger: LedgerSegment;
  readonly isUsable: boolean;
  readonly present: Readonly<Record<StreamKind, readonly Span[]>>;
  readonly lost: Readonly<Record<"missing-chunks" | "damaged", readonly Span[]>>;
  readonly pauses: readonly Span[];
  readonly endMs: number;
}

function makeSegment({ streams, chunks, pauses }: ModelSegment, beginMs: number): Made {
  const durationMs = chunks.length * CHUNK_MS;
  const isUndisturbed = chunks.every(({ fate }) => fate === "whole");
  // Where chunks are lost nobody but the recorder knows how long it was paused within them.
  const placed: Pause[] = [];
  for (const pause of isUndisturbed ? pauses.toSorted((a, b) => a.mediaMs - b.mediaMs) : []) {
    const before = placed.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
    if (pause.mediaMs === 0 || pause.mediaMs >= durationMs) continue;
    if (placed.some(({ mediaMs }) => mediaMs === pause.mediaMs)) continue;
    const fromMs = STARTED_AT_MS + beginMs + pause.mediaMs + before;
    placed.push({ mediaMs: pause.mediaMs, fromMs, toMs: fromMs + pause.lengthMs });
  }
  const wall = (mediaMs: number): number =>
    beginMs +
    mediaMs +
    placed
      .filter((pause) => pause.mediaMs <= mediaMs)
      .reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  const chunkSpan = (i: number): Span => ({
    fromMs: i * CHUNK_MS,
    toMs: (i + 1) * CHUNK_MS,
  });
  const media: Record<StreamKind, Span[]> = { video: [], audio: [] };
  let needsKeyframe = false;
  for (const [i, { fate, keyframeMs }] of chunks.entries()) {
    const { fromMs, toMs } = chunkSpan(i);
    if (fate !== "whole") {
      needsKeyframe = true;
      continue;
    }
    if (streams !== "video") media.audio.push({ fromMs, toMs });
    if (streams === "audio") continue;
    if (!needsKeyframe) media.video.push({ fromMs, toMs });
    else if (keyframeMs !== null) {
      media.video.push({ fromMs: fromMs + keyframeMs, toMs });
      needsKeyframe = false;
    }
  }
  const isUsable = chunks[0]?.fate === "whole";
  const reachedMs = (i: number): number =>
    Math.max(
      0,
      ...[...media.video, ...media.audio]
        .map(({ toMs }) => toMs)
        .filter((ms) => ms <= (i + 1) * CHUNK_MS),
    );
  const sequencesOf = (fate: ModelChunk["fate"]): number[] =>
    chunks.flatMap((chunk, i) => (chunk.fate === fate ? [i] : []));
  const plain = ledgerSegment({
    beginMs,
    chunkCount: chunks.length,
    video: isUsable ? extentOf(media.video) : null,
    audio: isUsable ? extentOf(media.audio) : null,
    marks: [began("continuous")],
    pauses: placed,
    missing: sequencesOf("missing"),
    damaged: sequencesOf("damaged"),
  });
  const lostSpans = (fate: "missing" | "damaged"): Span[] =>
    sequencesOf(fate).map(chunkSpan).map(onWall);
  const onWall = ({ fromMs, toMs }: Span): Span => ({ fromMs: wall(fromMs), toMs: wall(toMs) });
  const ownPauses = placed.map(({ fromMs, toMs }) => ({
    fromMs: fromMs - STARTED_AT_MS,
    toMs: toMs - STARTED_AT_MS,
  }));
  const presentOf = (spans: readonly Span[]): Span[] =>
    isUsable ? minus(spans.map(onWall), ownPauses) : [];
  return {
    ledger: {
      ...plain,
      stamps: plain.stamps.map((stamp) => ({
        ...stamp,
        capturedAtMs: STARTED_AT_MS + wall(stamp.sequence * CHUNK_MS),
      })),
      chunkEnds: isUsable
        ? plain.chunkEnds.map(({ sequence }) => ({ sequence, mediaEndMs: reachedMs(sequence) }))
        : [],
    },
    isUsable,
    present: { video: presentOf(media.video), audio: presentOf(media.audio) },
    lost: { "missing-chunks": lostSpans("missing"), damaged: lostSpans("damaged") },
    pauses: ownPauses,
    endMs: wall(durationMs),
  };
}

function extentOf(spans: readonly Span[]): PlainExtent | null {
  const runs = union(spans);
  const [first] = runs;
  const last = runs.at(-1);
  if (first === undefined || last === undefined) return null;
  const holes = minus([{ fromMs: first.fromMs, toMs: last.toMs }], runs);
  return [first.fromMs, last.toMs, ...holes.map(({ fromMs, toMs }) => [fromMs, toMs] as const)];
}

const sumOf = (spans: readonly Span[]): number =>
  spans.reduce((sum, span) => sum + lengthMs(span), 0);

const gapsOf = ({ gaps }: TrackTimeline, stream: StreamKind) =>
  gaps.filter(({ streams }) => streams.includes(stream));

test("a track's gaps and what its segments really hold are its whole time, with the right causes", () => {
  fc.assert(
    fc.property(fc.array(segmentArbitrary, { minLength: 1, maxLength: 4 }), (model) => {
      const made: Made[] = [];
      for (const segment of model) {
        made.push(makeSegment(segment, (made.at(-1)?.endMs ?? 500) + segment.afterMs));
      }
      const endMs = made.at(-1)?.endMs ?? 0;
      const timeline = buildTrackTimeline({
        startedAtMs: STARTED_AT_MS,
        stoppedAtMs: STARTED_AT_MS + endMs,
        segments: made.map(({ ledger }) => ledger),
      });
      if (timeline === null) {
        expect(made.some(({ isUsable }) => isUsable)).toBe(false);
        return;
      }
      const track = { fromMs: timeline.offsetMs, toMs: timeline.offsetMs + timeline.durationMs };
      const usable = made.filter(({ isUsable }) => isUsable);
      expect(timeline.segments.length).toBe(usable.length);
      expect(track.toMs).toBeCloseTo(usable.at(-1)?.endMs ?? 0, 3);
      expect(timeline.gaps).toEqual(timeline.gaps.toSorted((a, b) => a.fromMs - b.fromMs));
      for (const stream of ["video", "audio"] as const) {
        const gaps = gapsOf(timeline, stream);
        for (const [i, gap] of gaps.entries()) {
          expect(lengthMs(gap)).toBeGreaterThanOrEqual(0.999);
          expect(gap.fromMs).toBeGreaterThanOrEqual(gaps[i - 1]?.toMs ?? track.fromMs);
          expect(gap.toMs).toBeLessThanOrEqual(track.toMs);
        }
        const present = made.flatMap((segment) => segment.present[stream]);
        if (present.length === 0) {
          expect(gaps).toEqual([]);
          continue;
        }
        // Nothing that is there is called missing, and nothing that is missing is left out.
        expect(sumOf(present) + sumOf(gaps)).toBeCloseTo(timeline.durationMs, 0);
        expect(sumOf(minus([track], [...present, ...gaps]))).toBeLessThan(1);
        expectCauses(gaps, made, track);
      }
    }),
    { numRuns: 1_000 },
  );
});

/** Each moment of a gap has the cause that the model knows for it. */
function expectCauses(gaps: ReturnType<typeof gapsOf>, made: readonly Made[], track: Span): void {
  const of = (cause: string): Span[] => gaps.filter((gap) => gap.cause === cause);
  const pauses = made.flatMap((segment) => segment.pauses);
  expect(sumOf(minus(within(pauses, track), of("paused")))).toBeLessThan(1);
  expect(sumOf(minus(of("paused"), pauses))).toBeLessThan(1);
  const missing = made.flatMap(({ lost }) => lost["missing-chunks"]);
  expect(sumOf(minus(of("missing-chunks"), missing))).toBeLessThan(1);
  // A stream that its segment never had was off, whatever chunks are missing of it.
  expect(
    sumOf(minus(within(missing, track), [...of("missing-chunks"), ...of("muted")])),
  ).toBeLessThan(1);
  // Damage is within segments, and what is between them was recorded by nobody.
  const recorded = made.map(({ ledger, endMs }) => ({
    fromMs: ledger.timeline.beginMs - STARTED_AT_MS,
    toMs: endMs,
  }));
  expect(sumOf(minus(of("damaged"), recorded))).toBeLessThan(1);
  expect(sumOf(within(of("between-segments"), track))).toBeCloseTo(
    sumOf(minus([track], recorded)),
    0,
  );
  expect(of("stalled")).toEqual([]);
}
