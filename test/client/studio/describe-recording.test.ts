import { describe, expect, test } from "bun:test";
import {
  callDuration,
  describeOutcome,
  finalizationProgress,
  isFinal,
  mediaFacts,
  shownName,
  trackBadge,
} from "../../../client/studio/describe-recording.ts";
import {
  participantIdSchema,
  recordingIdSchema,
  trackIdSchema,
} from "../../../src/contract/ids.ts";
import type {
  Recording,
  RecordingState,
  Track,
  TrackMedia,
} from "../../../src/contract/recordings.ts";

const media: TrackMedia = {
  url: "/media.mp4",
  bytes: 1_940_000,
  durationMs: 12_340,
  videoCodec: "h264",
  audioCodec: "opus",
  width: 1280,
  height: 720,
  videoPackets: 370,
  audioPackets: 617,
  action: "copy",
  actionReason: "MP4 can carry it.",
  publishedAt: "2026-01-01T00:00:20.000Z",
};

function track(state: Track["state"], rest: Partial<Track> = {}): Track {
  return {
    trackId: trackIdSchema.parse("camera"),
    state,
    progress: null,
    verdict: null,
    reason: null,
    media: null,
    segments: [],
    timeline: null,
    posterUrl: null,
    waveformUrl: null,
    ...rest,
  };
}

function recording(
  state: RecordingState,
  tracks: Track[],
  rest: Partial<Recording> = {},
): Recording {
  return {
    recordingId: recordingIdSchema.parse("01890a5d-ac96-774b-bcce-b302099a8057"),
    name: null,
    metadata: {},
    state,
    reason: null,
    startedAt: "2026-01-01T00:00:00.000Z",
    stoppedAt: "2026-01-01T00:00:12.400Z",
    finalizedAt: null,
    participants: [{ participantId: participantIdSchema.parse("Ann"), tracks }],
    ...rest,
  };
}

describe("finalizationProgress", () => {
  test("is unknown before any track is begun, and for no tracks", () => {
    expect(finalizationProgress(recording("finalizing", []))).toBeNull();
    expect(finalizationProgress(recording("finalizing", [track("finalizing")]))).toBeNull();
  });

  test("counts all tracks alike, settled ones in full", () => {
    const tracks = [
      track("ready"),
      track("failed"),
      track("finalizing", { progress: 0.5 }),
      track("finalizing"),
    ];
    expect(finalizationProgress(recording("finalizing", tracks))).toBe(2.5 / 4);
  });
});

describe("isFinal", () => {
  test("needs the recording and every track to be settled", () => {
    expect(isFinal(recording("ready", [track("ready")]))).toBe(true);
    expect(isFinal(recording("failed", [track("failed"), track("ready")]))).toBe(true);
    expect(isFinal(recording("finalizing", [track("ready")]))).toBe(false);
  });

  test("is taken back while a late upload makes a track anew", () => {
    expect(isFinal(recording("ready", [track("finalizing")]))).toBe(false);
  });
});

describe("trackBadge", () => {
  test("shows the verdict of a ready track, else its state", () => {
    expect(trackBadge(track("ready", { verdict: "complete" })).text).toBe("Complete");
    expect(trackBadge(track("ready", { verdict: "degraded" })).text).toBe("Parts missing");
    expect(trackBadge(track("finalizing", { verdict: "degraded" })).text).toBe("Making the MP4");
  });
});

describe("describeOutcome", () => {
  test("gives the reason of a failure and says that what was recorded is kept", () => {
    const outcome = describeOutcome(
      recording("failed", [track("failed")], { reason: "ffmpeg ended with 1." }),
    );
    expect(outcome).toBe(
      "Not every MP4 could be made: ffmpeg ended with 1. What was recorded is kept on the server.",
    );
  });

  test("has nothing to say about a ready recording, unless it is empty", () => {
    expect(describeOutcome(recording("ready", [track("ready")]))).toBe("");
    expect(describeOutcome(recording("ready", [], { participants: [] }))).toBe(
      "Nothing was recorded.",
    );
  });
});

test("an MP4's facts are its length, size, picture and codecs", () => {
  expect(mediaFacts(media)).toBe("0:12 · 1.9 MB · 1280×720 · H264 + OPUS");
  expect(mediaFacts({ ...media, width: null, height: null, videoCodec: null })).toBe(
    "0:12 · 1.9 MB · OPUS",
  );
});

test("a call is as long as from its start to its stop, and a running one has no length", () => {
  expect(callDuration(recording("ready", []))).toBe("0:12");
  expect(callDuration(recording("recording", [], { stoppedAt: null }))).toBeNull();
});

test("a recording without a name is shown as untitled", () => {
  expect(shownName({ name: null })).toBe("Untitled recording");
});
