import { afterAll, beforeAll, expect, test } from "bun:test";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { onlyStream } from "../support/media-streams.ts";
import { RecordingsApi, trackOf, type TrackName } from "../support/recordings-api.ts";
import { parseRecording } from "../support/matroska-blocks.ts";
import { RECORDED_NAMES, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";

let server: TrackCaptureServer;
let directory: TemporaryDirectory;

beforeAll(async () => {
  directory = await temporaryDirectory();
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

test.each(RECORDED_NAMES)(
  "%s becomes a faithful MP4 though its chunks come in parallel, backwards and twice",
  async (recordedName) => {
    const api = new RecordingsApi(server.url);
    const { mimeType, chunks } = await recordedSegment(recordedName);
    const name: TrackName = {
      recordingId: await api.start(recordedName),
      participantId: "ann",
      trackId: mimeType.startsWith("audio/") ? "microphone" : "camera",
    };
    const segmentId = crypto.randomUUID();
    const uploads = [...chunks.toReversed(), ...chunks].map(({ sequence, payload }) =>
      api.upload({ ...name, segmentId, mimeType, sequence, chunks: [payload] }),
    );
    const outcomes = (await Promise.all(uploads)).flatMap((answer) => answer.chunks);
    for (const { sequence } of chunks) {
      const own = outcomes.filter((outcome) => outcome.sequence === sequence);
      expect(new Set(own.map(({ outcome }) => outcome))).toEqual(
        new Set(["accepted", "duplicate"]),
      );
    }
    const status = await api.endSegment(name.recordingId, segmentId, chunks.length);
    expect(status).toMatchObject({ nextSequence: chunks.length, missing: [], ended: true });
    await api.stop(name.recordingId);

    const track = trackOf(await api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    await expectFaithfulMp4(api, name, track, directory.path);
  },
  60_000,
);

/** An element that parsers pass over (RFC 8794, section 11.3.2). */
const VOID = 0xec;

test.each(["vp9-opus", "vp8-opus"] as const)(
  "%s without some packets of its sound becomes a faithful MP4, with silence for them",
  async (recordedName) => {
    const api = new RecordingsApi(server.url);
    const { mimeType, chunks } = await recordedSegment(recordedName);
    const bytes = joinChunks(chunks);
    const sound = parseRecording(bytes).blocks.filter(({ isVideo }) => !isVideo);
    // A single one, and two that follow each other.
    for (const lost of [10, 50, 51]) bytes[sound[lost]?.atBytes ?? 0] = VOID;
    const name: TrackName = {
      recordingId: await api.start(`${recordedName} with losses`),
      participantId: "ann",
      trackId: "camera",
    };
    const segmentId = crypto.randomUUID();
    await api.upload({ ...name, segmentId, mimeType, sequence: 0, chunks: [bytes] });
    await api.endSegment(name.recordingId, segmentId, 1);
    await api.stop(name.recordingId);

    const track = trackOf(await api.ready(name.recordingId), name);
    const { streams } = await expectFaithfulMp4(api, name, track, directory.path);
    // Chromium's packets are 60 ms long, the silence is of 20 ms.
    expect(onlyStream(streams, "audio").packets).toBe(sound.length - 3 + 9);
  },
  60_000,
);
