import { expect, test } from "bun:test";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { streamsOf } from "../support/media-streams.ts";
import { RecordingsApi, trackOf, type TrackName } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";

const LATE_SEQUENCE = 3;
const RECORDED_FRAMES = 180;
const TEST_TIMEOUT_MS = 60_000;

test(
  "a track without one of its chunks is degraded and says why; when the chunk comes, the MP4 is whole",
  async () => {
    await using directory = await temporaryDirectory();
    await using server = await startServer({ env: { STOP_GRACE_MS: "300" } });
    const api = new RecordingsApi(server.url);
    const { mimeType, chunks } = await recordedSegment("h264-opus");
    const name: TrackName = {
      recordingId: await api.start(),
      participantId: "ann",
      trackId: "camera",
    };
    const segmentId = crypto.randomUUID();
    const upload = (sequence: number, payloads: readonly Uint8Array<ArrayBuffer>[]) =>
      api.upload({ ...name, segmentId, mimeType, sequence, chunks: payloads });
    const payloads = chunks.map(({ payload }) => payload);
    await upload(0, payloads.slice(0, LATE_SEQUENCE));
    const { missing } = await upload(LATE_SEQUENCE + 1, payloads.slice(LATE_SEQUENCE + 1));
    expect(missing).toEqual([{ from: LATE_SEQUENCE, to: LATE_SEQUENCE }]);
    await api.endSegment(name.recordingId, segmentId, chunks.length);
    await api.stop(name.recordingId);

    const degraded = trackOf(await api.ready(name.recordingId), name);
    expect(degraded.verdict).toBe("degraded");
    expect(degraded.reason).toMatch(/\b3\b/);
    expect(degraded.media).not.toBeNull();
    const degradedPath = `${directory.path}/degraded.mp4`;
    await api.download(api.trackUrl(name, "media.mp4"), degradedPath);
    const degradedBytes = (await streamsOf(degradedPath)).map(({ bytes }) => bytes);

    await upload(LATE_SEQUENCE, payloads.slice(LATE_SEQUENCE, LATE_SEQUENCE + 1));
    const whole = await until(
      async () => {
        const track = trackOf(await api.show(name.recordingId), name);
        return track.verdict === "complete" && track.state === "ready" ? track : undefined;
      },
      { what: "the late chunk made the track complete", timeoutMs: 20_000 },
    );
    expect(whole.reason).toBeNull();
    expect(whole.media?.publishedAt).not.toBe(degraded.media?.publishedAt ?? "");
    const { frames, streams } = await expectFaithfulMp4(api, name, whole, directory.path);
    expect(frames.map(({ number }) => number)).toEqual(
      Array.from({ length: RECORDED_FRAMES }, (_, i) => i),
    );
    for (const [i, { bytes }] of streams.entries()) {
      expect(bytes).toBeGreaterThan(degradedBytes[i] ?? Infinity);
    }
    expect((await api.show(name.recordingId)).state).toBe("ready");
  },
  TEST_TIMEOUT_MS,
);
