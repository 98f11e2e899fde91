import { expect } from "bun:test";
import { join } from "node:path";
import type { SegmentSummary, Track } from "../../src/contract/recordings.ts";
import { decodeFrameNumbers, type DecodedFrame } from "./media-judge.ts";
import { streamsOf, totalDurationMs } from "./media-streams.ts";
import type { LedgerRun } from "./recorder-ledger.ts";
import type { RecordingsApi, TrackName } from "./recordings-api.ts";

/**
 * A recorder's first picture comes some time after its start, and a page that has just been loaded
 * is busy.
 */
const PLACE_TOLERANCE_MS = 1_000;

/** One segment's pictures in the joined MP4. */
interface JudgedPart {
  readonly run: LedgerRun;
  readonly frames: readonly DecodedFrame[];
}

/**
 * Downloads the MP4 of a track and each of its segments, and expects in the MP4 every picture of
 * every segment, in order, none twice, each segment as far behind the first as its recorder's start
 * was behind the first one's by the ledger, and as long as it was recorded.
 *
 * @param segments of the track, by the run that gave them; the numbers of their pictures differ
 */
export async function expectJoinedMp4(
  api: RecordingsApi,
  name: TrackName,
  { media }: Track,
  segments: ReadonlyMap<LedgerRun, SegmentSummary>,
  directory: string,
): Promise<void> {
  if (media === null) throw new Error(`Track ${name.trackId} of ${name.participantId} has no MP4`);
  const mp4Path = join(directory, `${Bun.randomUUIDv7()}.mp4`);
  await api.download(api.trackUrl(name, "media.mp4"), mp4Path);
  const frames = await decodeFrameNumbers(mp4Path);
  const parts: JudgedPart[] = [];
  const numbers: number[] = [];
  for (const [run, { segmentId }] of [...segments].toSorted(
    ([a], [b]) => a.startedAtMs - b.startedAtMs,
  )) {
    const path = join(directory, segmentId);
    await api.download(`${api.trackUrl(name, "source")}?segmentId=${segmentId}`, path);
    const own = await decodeFrameNumbers(path);
    const from = numbers.length;
    numbers.push(...own.map(({ number }) => number));
    parts.push({ run, frames: frames.slice(from, numbers.length) });
  }
  expect(frames.map(({ number }) => number)).toEqual(numbers);

  const [first] = parts;
  for (const { run, frames: own } of parts) {
    const [begin, end] = [own.at(0)?.timeMs ?? 0, own.at(-1)?.timeMs ?? 0];
    const place = begin - (first?.frames[0]?.timeMs ?? 0);
    const startedAfterMs = run.startedAtMs - (first?.run.startedAtMs ?? 0);
    expect(Math.abs(place - startedAfterMs)).toBeLessThan(PLACE_TOLERANCE_MS);
    const delivered = run.chunks[(segments.get(run)?.chunks ?? 0) - 1];
    const recordedMs = (delivered?.atMs ?? 0) - run.startedAtMs;
    expect(Math.abs(end - begin - recordedMs)).toBeLessThan(PLACE_TOLERANCE_MS);
  }
  expect(Math.abs(media.durationMs - totalDurationMs(await streamsOf(mp4Path)))).toBeLessThan(40);
}
