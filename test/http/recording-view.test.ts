import { describe, expect, test } from "bun:test";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import { recordingSchema, type SegmentSummary } from "../../src/contract/recordings.ts";
import { recordingView, trackState } from "../../src/http/recording-view.ts";
import type {
  FinalizeJob,
  MediaRecord,
  RecordingRecord,
  TrackKey,
  TrackRecord,
  TrackResult,
} from "../../src/recording/ports.ts";

const recordingId = recordingIdSchema.parse("01a20451-b9a9-775b-bf84-76768d5fe3c6");

const record: RecordingRecord = {
  recordingId,
  name: "Weekly",
  metadata: {},
  state: "finalizing",
  reason: null,
  startedAtMs: 1_000,
  stoppedAtMs: 2_000,
  finalizedAtMs: null,
  deletedAtMs: null,
};

const key = (participantId: string, trackId: string): TrackKey => ({
  recordingId,
  participantId: participantIdSchema.parse(participantId),
  trackId: trackIdSchema.parse(trackId),
});

const media: MediaRecord = {
  bytes: 10,
  durationMs: 1_000,
  videoCodec: "h264",
  audioCodec: "opus",
  width: 640,
  height: 360,
  videoPackets: 30,
  audioPackets: 50,
  action: "copy",
  actionReason: "MP4 can carry h264 and opus",
  publishedAtMs: 3_000,
};

const result = {
  verdict: "complete",
  reason: null,
  media,
  segments: [],
  damage: [],
  timeline: {
    offsetMs: 250,
    durationMs: 1_000,
    segments: [],
    gaps: [{ cause: "muted", streams: ["audio"], fromMs: 300, toMs: 400 }],
  },
} satisfies TrackResult;

const track = (over: Partial<TrackRecord> = {}): TrackRecord => ({
  ...key("ada", "camera"),
  result: null,
  job: null,
  ...over,
});

const job = (state: FinalizeJob["state"]): FinalizeJob => ({
  ...key("ada", "camera"),
  state,
  attempts: 1,
  progress: 0.5,
  error: state === "failed" ? "no luck" : null,
});

describe("a track's state", () => {
  test.each([
    ["before the stop", { ...record, state: "recording" }, track(), "recording", null],
    ["while segments are waited for", record, track(), "finalizing", null],
    ["while its job waits", record, track({ job: job("queued") }), "finalizing", null],
    ["while its job runs anew", record, track({ job: job("running"), result }), "finalizing", null],
    ["after a failure", record, track({ job: job("failed") }), "failed", "no luck"],
    [
      "after a failure of a later run",
      record,
      track({ job: job("failed"), result }),
      "failed",
      "no luck",
    ],
    ["after a success", record, track({ job: job("done"), result }), "ready", null],
    [
      "when nothing of it can be played",
      record,
      track({ job: job("done"), result: { ...result, verdict: "lost", reason: "x", media: null } }),
      "ready",
      "x",
    ],
  ] as const)("%s", (_name, ofRecording, ofTrack, state, reason) => {
    expect(trackState(ofRecording, ofTrack)).toEqual({ state, reason });
  });
});

const segment = (id: string, openedAt: string): SegmentSummary => ({
  segmentId: segmentIdSchema.parse(id),
  mimeType: "video/webm",
  chunks: 1,
  bytes: 5,
  nextSequence: 1,
  missing: [],
  ended: false,
  chunkCount: null,
  openedAt,
  lastChunkAt: null,
});

test("tracks are grouped by participant, each with its own segments in the order of their opening", () => {
  const [first, second, other] = [
    segment("0190a6a4-7b1e-7000-8000-000000000001", "2026-01-01T00:00:00.000Z"),
    segment("0190a6a4-7b1e-7000-8000-000000000002", "2026-01-01T00:00:01.000Z"),
    segment("0190a6a4-7b1e-7000-8000-000000000003", "2026-01-01T00:00:00.500Z"),
  ];
  const view = recordingView(
    record,
    [
      track({ ...key("ada", "camera"), result, job: job("running") }),
      track(key("bob", "camera")),
      track(key("ada", "a/b é")),
    ],
    [
      { ...key("ada", "camera"), segmentId: second.segmentId, summary: second },
      { ...key("ada", "camera"), segmentId: first.segmentId, summary: first },
      { ...key("bob", "camera"), segmentId: other.segmentId, summary: other },
    ],
  );
  expect(recordingSchema.parse(view)).toEqual(view);
  expect(view.participants).toMatchObject([
    {
      participantId: "ada",
      tracks: [
        {
          trackId: "camera",
          progress: 0.5,
          segments: [first, second],
          timeline: result.timeline,
          media: {
            url: `/api/recordings/${recordingId}/participants/ada/tracks/camera/media.mp4`,
            publishedAt: "1970-01-01T00:00:03.000Z",
          },
          posterUrl: `/api/recordings/${recordingId}/participants/ada/tracks/camera/poster.jpg`,
          waveformUrl: `/api/recordings/${recordingId}/participants/ada/tracks/camera/waveform.json`,
        },
        {
          trackId: "a/b é",
          progress: null,
          media: null,
          posterUrl: null,
          waveformUrl: null,
          segments: [],
          timeline: null,
        },
      ],
    },
    { participantId: "bob", tracks: [{ segments: [other] }] },
  ]);
});
