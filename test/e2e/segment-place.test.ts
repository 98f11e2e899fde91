import { expect, test } from "bun:test";
import { recordingIdSchema, segmentIdSchema } from "../../src/contract/ids.ts";
import { MatroskaFilter } from "../../src/finalize/matroska-filter.ts";
import { filteredPayloads } from "../../src/finalize/matroska-source.ts";
import type { ChunkStamp } from "../../src/recording/ports.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { placeSegment, type PlaceRequest } from "../../src/timeline/segment-place.ts";
import { wallMsOf, type SegmentTimeline } from "../../src/timeline/segment-timeline.ts";
import type { ClientClock } from "../fixtures/clock-page-api.ts";
import { ClockCall } from "../support/clock-call.ts";
import { decodeClockPictures, type ClockPicture } from "../support/clock-judge.ts";
import { clockReaches } from "../support/clock-page.ts";
import { trackOf } from "../support/recordings-api.ts";
import { openTestBed, type TestBed } from "../support/test-bed.ts";
import { firstShown } from "../support/timeline-judge.ts";

const PART_MS = 5_000;
const PAUSE_MS = 3_000;

/** The time of a frame at 25 a second. */
const ERROR_MS_MAX = 40;
const MEDIAN_MS_MAX = 10;

/** A busy computer shows single pictures late in its canvas; where they are placed is not at fault. */
const PLACED_SHARE_MIN = 0.95;

const TEST_TIMEOUT_MS = 120_000;

/** Everything that the server knows of the times of a track's only segment, and its media. */
async function storedSegment(
  { api, server, directory }: TestBed,
  call: ClockCall,
): Promise<{ readonly request: PlaceRequest; readonly path: string }> {
  const recording = await api.show(call.name.recordingId);
  const [segment, ...others] = trackOf(recording, call.name).segments;
  if (segment === undefined || others.length > 0) throw new Error("There is not one segment");
  const store = new FileChunkStore(new RecordingsLayout(server.recordingsDirectory), (finding) => {
    throw new Error(finding);
  });
  const segmentId = segmentIdSchema.parse(segment.segmentId);
  const reader = await store.read(recordingIdSchema.parse(recording.recordingId), segmentId);
  if (reader === undefined) throw new Error("The segment is not there");
  try {
    const filter = new MatroskaFilter();
    const path = `${directory}/segment.webm`;
    const file = Bun.file(path).writer();
    for await (const bytes of filteredPayloads(reader, filter, () => undefined)) {
      await file.write(bytes);
    }
    await file.end();
    const stamps: ChunkStamp[] = [];
    for await (const stamp of reader.stamps()) stamps.push(stamp);
    const { openedAtMs } = reader.description;
    const marks = await reader.marks();
    const request = { segmentId, openedAtMs, stamps, marks, chunkEnds: [...filter.chunkEnds] };
    return { request, path };
  } finally {
    await reader.close();
  }
}

/**
 * How much later each picture is placed than it was drawn. The first one, and that after a pause, show
 * what the canvas held already: nobody knows when the browser took them.
 */
function errorsMs(pictures: readonly ClockPicture[], place: SegmentTimeline): number[] {
  const edgesMs = [0, ...place.pauses.map(({ mediaMs }) => mediaMs)];
  return firstShown(pictures)
    .filter(({ timeMs }) => edgesMs.every((edgeMs) => Math.abs(timeMs - edgeMs) > 50))
    .map(({ timeMs, drawnAtMs }) => wallMsOf(place, timeMs) - drawnAtMs);
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

test.each<{
  what: string;
  mimeTypes: readonly string[];
  beepHz: number | null;
  clock?: ClientClock;
}>([
  {
    what: "H.264 with sound, on a computer whose clock is 5 minutes ahead and 200 ppm fast",
    mimeTypes: ["video/x-matroska;codecs=avc1,opus"],
    beepHz: 1_000,
    clock: { offsetMs: 300_000, driftPpm: 200, sinceMs: Date.now() },
  },
  {
    what: "VP8 without sound",
    mimeTypes: ["video/webm;codecs=vp8"],
    beepHz: null,
  },
])(
  "pictures before and after a pause are placed when they were drawn: $what",
  async ({ what, mimeTypes, beepHz, clock }) => {
    await using bed = await openTestBed();
    await using call = await ClockCall.open(bed, {
      recordingId: await bed.api.start(),
      participantId: "ann",
      trackId: "camera",
      source: 3,
      mimeTypes,
      beepHz,
      ...(clock === undefined ? {} : { clock }),
    });
    const beganAtMs = Date.now();
    await clockReaches(beganAtMs + PART_MS);
    await call.clock.pauseRecorder("camera");
    const pausedAtMs = Date.now();
    await clockReaches(pausedAtMs + PAUSE_MS);
    await call.clock.resumeRecorder("camera");
    const resumedAtMs = Date.now();
    await clockReaches(resumedAtMs + PART_MS);
    await call.stop();

    const { request, path } = await storedSegment(bed, call);
    const place = placeSegment(request);
    const [pause, ...otherPauses] = place.pauses;
    expect(otherPauses).toEqual([]);
    expect((pause?.toMs ?? 0) - (pause?.fromMs ?? 0)).toBeGreaterThan(PAUSE_MS - ERROR_MS_MAX);
    const errors = errorsMs(await decodeClockPictures(path, { nearMs: beganAtMs }), place);
    expect(errors.length).toBeGreaterThan(PART_MS / 100);
    const absolute = errors.map(Math.abs).toSorted((a, b) => a - b);
    const placed = absolute.filter((errorMs) => errorMs <= ERROR_MS_MAX).length / absolute.length;
    process.stderr.write(
      `${what}: ${errors.length} pictures, error ${median(errors).toFixed(1)} ms in the median, ` +
        `${absolute.at(-1)?.toFixed(1)} at most\n`,
    );
    expect(Math.abs(median(errors))).toBeLessThanOrEqual(MEDIAN_MS_MAX);
    expect(placed).toBeGreaterThanOrEqual(PLACED_SHARE_MIN);

    // Without chunk 0's words the others tell it, less exactly: the encoders' delay is not known.
    const { stamps, marks, chunkEnds } = request;
    const rest = { ...request, stamps: stamps.slice(1), chunkEnds: chunkEnds.slice(1) };
    const guessed = placeSegment({ ...rest, marks: marks.filter(({ type }) => type !== "began") });
    expect(Math.abs(guessed.beginMs - place.beginMs)).toBeLessThan(100);
  },
  TEST_TIMEOUT_MS,
);
