import { join } from "node:path";
import { rm } from "node:fs/promises";
import type { Mark } from "../../src/contract/marks.ts";
import type { Recording, Track } from "../../src/contract/recordings.ts";
import { RecordingsApi, trackOf, type TrackName } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";
import type { CaseResult } from "./case-result.ts";
import type { MatrixCase } from "./cases.ts";
import { decodeFile } from "./decoded.ts";
import { PAUSED_AT_MS, PAUSE_MS, SECOND_AT_MS, chunksOf, joined, wantedOf } from "./deliveries.ts";
import { expectationOf, type Expectation } from "./expectation.ts";
import { judgeExports } from "./exports-judge.ts";
import { DURATION_MS, type Findings, type Wanted, judgeFile, outcomeOf } from "./judge.ts";
import { SOURCE_MS, type MadeSource, type SourceMaker } from "./sources.ts";

/** What running cases needs. */
export interface CaseBed {
  readonly serverUrl: string;
  readonly maker: SourceMaker;
  /** For downloads. */
  readonly directory: string;
  /** Whether the MP4s stay there, for a look at them. */
  readonly isKept: boolean;
  /** Whether exports are made and judged too. */
  readonly hasExports: boolean;
}

/** Transcoding on a busy machine included, with the tries that a job has. */
const READY_TIMEOUT_MS = 180_000;

/** A track that the server places further away is judged without its exports. */
const EXPORTED_OFFSET_MS_MAX = 60_000;

const expectations = new WeakMap<SourceMaker, Map<string, Promise<Expectation>>>();

function expectedOf(maker: SourceMaker, source: MadeSource): Promise<Expectation> {
  const known = expectations.get(maker) ?? new Map<string, Promise<Expectation>>();
  expectations.set(maker, known);
  const found = known.get(source.path) ?? expectationOf(source);
  known.set(source.path, found);
  return found;
}

/** Sends a case to the server, waits for its end, and judges what came of it. */
export async function runCase(matrixCase: MatrixCase, bed: CaseBed): Promise<CaseResult> {
  const { source: spec, second: secondSpec, delivery, name } = matrixCase;
  const { maker, directory } = bed;
  const source = await maker.make(spec, 1);
  const second = secondSpec === undefined ? undefined : await maker.make(secondSpec, 2);
  const api = new RecordingsApi(bed.serverUrl);
  const track: TrackName = {
    recordingId: await api.start(name.slice(0, 128)),
    participantId: "ann",
    trackId: "camera",
  };
  const startedAtMs = Date.parse((await api.show(track.recordingId)).startedAt);
  const isPaused = delivery === "pause";
  await send(api, track, source, { beginMs: startedAtMs, isPaused, delivery });
  if (second !== undefined) {
    const beginMs = startedAtMs + SECOND_AT_MS;
    // The server believes nothing that was captured after it came.
    await Bun.sleep(Math.max(0, beginMs + SOURCE_MS - Date.now()));
    await send(api, track, second, { beginMs, isPaused: false, delivery: "whole" });
  }
  await api.stop(track.recordingId);
  const recording = await ended(api, track.recordingId);
  const found = trackOf(recording, track);

  const expectation = await expectedOf(maker, source);
  const doubts = [...expectation.doubts];
  let wanted = await wantedOf(source, expectation, delivery);
  if (second !== undefined) {
    const other = await expectedOf(maker, second);
    doubts.push(...other.doubts);
    wanted = joined(wanted, await wantedOf(second, other, "whole"), delivery === "twice");
  }
  const path = join(directory, `${name}.mp4`.slice(-200));
  const findings = await judgeTrack(api, track, found, wanted, { path, isKept: bed.isKept });
  const claim = {
    verdict: found.verdict,
    reason: found.reason,
  };
  const outcome = outcomeOf(claim, findings, { isLossy: delivery === "lost" });
  // An export lasts as long as the recording: one of hours would tell nothing more.
  const isPlaced = Math.abs(found.timeline?.offsetMs ?? 0) < EXPORTED_OFFSET_MS_MAX;
  const exports =
    bed.hasExports && findings !== undefined && isPlaced
      ? await judgeExports(api, recording, { wanted, directory, isKept: bed.isKept })
      : [];
  return {
    name,
    container: spec.container,
    video: spec.video,
    sound: spec.sound,
    outcome,
    verdict: found.verdict ?? found.state,
    reason: found.reason,
    action: found.media?.actionReason ?? "",
    findings: findings === undefined ? [] : [...findings.false, ...findings.missing],
    isDecodable: outcome !== "failed" || (await isDecodable(source, delivery, directory)),
    doubts,
    exports,
  };
}

interface Sending {
  readonly beginMs: number;
  readonly isPaused: boolean;
  readonly delivery: MatrixCase["delivery"];
}

async function send(
  api: RecordingsApi,
  track: TrackName,
  { path, mimeType, spec }: MadeSource,
  { beginMs, isPaused, delivery }: Sending,
): Promise<void> {
  const segmentId = crypto.randomUUID();
  const marks: Mark[] = [
    {
      type: "began",
      atMs: beginMs,
      reason: "start",
      pictures: spec.video === "none" ? null : "continuous",
    },
  ];
  if (isPaused) {
    marks.push({ type: "paused", atMs: beginMs + PAUSED_AT_MS });
    marks.push({ type: "resumed", atMs: beginMs + PAUSED_AT_MS + PAUSE_MS });
  }
  const chunks = chunksOf(await Bun.file(path).bytes(), delivery);
  for (const [sequence, chunk] of chunks.entries()) {
    if (chunk === undefined) continue;
    await api.upload({
      ...track,
      segmentId,
      sequence,
      mimeType,
      chunks: [chunk],
      ...(sequence === 0 ? { marks: [marks], capturedAtMs: [beginMs] } : {}),
    });
  }
  await api.endSegment(track.recordingId, segmentId, chunks.length);
}

/** Waits until the recording has ended, well or not. */
async function ended(api: RecordingsApi, recordingId: string): Promise<Recording> {
  return until(
    async () => {
      const recording = await api.show(recordingId);
      const tracks = recording.participants.flatMap((participant) => participant.tracks);
      const isEnded =
        (recording.state === "ready" || recording.state === "failed") &&
        tracks.every(({ state }) => state === "ready" || state === "failed");
      return isEnded ? recording : undefined;
    },
    { what: `recording ${recordingId} has ended`, timeoutMs: READY_TIMEOUT_MS },
  );
}

async function judgeTrack(
  api: RecordingsApi,
  name: TrackName,
  track: Track,
  wanted: Wanted,
  { path, isKept }: { readonly path: string; readonly isKept: boolean },
): Promise<Findings | undefined> {
  if (track.media === null) return undefined;
  try {
    await api.download(api.trackUrl(name, "media.mp4"), path);
    const findings = judgeFile(wanted, await decodeFile(path));
    return { ...findings, false: [...findings.false, ...judgeWords(track, wanted)] };
  } finally {
    if (!isKept) await rm(path, { force: true });
  }
}

/** How far the begin of everything may be from where it was recorded. */
const BEGIN_MS = 60;

/** What the server says of the file that is not so. */
function judgeWords({ media, timeline }: Track, { durationMs }: Wanted): string[] {
  const faults: string[] = [];
  const saidMs = media?.durationMs ?? 0;
  if (durationMs !== undefined && Math.abs(saidMs - durationMs) > DURATION_MS) {
    faults.push(`it is said to last ${saidMs} instead of ${durationMs.toFixed(0)} ms`);
  }
  const offsetMs = timeline?.offsetMs ?? 0;
  if (Math.abs(offsetMs) > BEGIN_MS) {
    faults.push(`it is said to begin ${offsetMs.toFixed(0)} ms after the recorder`);
  }
  return faults;
}

/** Whether ffmpeg shows a picture or a sound of the bytes that came. */
async function isDecodable(
  { path }: MadeSource,
  delivery: MatrixCase["delivery"],
  directory: string,
): Promise<boolean> {
  const chunks = chunksOf(await Bun.file(path).bytes(), delivery).flatMap((chunk) => chunk ?? []);
  const sent = join(directory, `${crypto.randomUUID()}.sent`);
  try {
    await Bun.write(sent, new Blob(chunks));
    const { pictures, sound } = await decodeFile(sent);
    return pictures.length > 0 || sound !== undefined;
  } finally {
    await rm(sent, { force: true });
  }
}
