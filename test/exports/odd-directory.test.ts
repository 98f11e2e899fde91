import { expect, test } from "bun:test";
import { join } from "node:path";
import { ExportsApi } from "../support/exports-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { streamsOf } from "../support/media-streams.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";

/** What means something in URLs, in ffmpeg's graphs, lists and patterns, in shells and in options. */
const ODD_NAME = ` -i what? 100%d #1 [a];b,c=d:e 'one' "two" back\\slash %2e \n👩‍💻 é `;

/** Files of each kind for two participants. */
const FILES = { aligned: 2, compatible: 2, audio: 4, composite: 1 } as const;

const WAIT_MS = 30_000;

test("everything is made in a folder whose name means something to ffmpeg, URLs and shells", async () => {
  await using directory = await temporaryDirectory();
  const recordingsDirectory = join(directory.path, ODD_NAME, ODD_NAME);
  await using server = await startServer({ recordingsDirectory, env: { LOG_LEVEL: "warn" } });
  const api = new RecordingsApi(server.url);
  const recordingId = await api.start("odd");
  const { mimeType, chunks } = await recordedSegment("vp9-opus");
  for (const participantId of ["ann", "bob"]) {
    const payloads = chunks.slice(0, 2).map(({ payload }) => payload);
    const segmentId = crypto.randomUUID();
    const track = { recordingId, participantId, trackId: "camera", segmentId };
    await api.upload({ ...track, sequence: 0, mimeType, chunks: payloads });
    await api.endSegment(recordingId, segmentId, payloads.length);
  }
  await api.stop(recordingId);
  const recording = await api.ready(recordingId);

  const exports = new ExportsApi(server.url, recordingId);
  for (const [kind, count] of Object.entries(FILES)) {
    const { exportId } = await exports.request({ kind });
    const { files } = await exports.done(exportId);
    expect({ kind, count: files.length }).toEqual({ kind, count });
    if (kind !== "composite") continue;
    const path = join(directory.path, "composite.mp4");
    await api.download(new URL(files[0]?.url ?? "", server.url).href, path);
    const streams = await streamsOf(path);
    expect(streams.map(({ codec }) => codec)).toEqual(["avc", "aac"]);
    expect(files[0]?.notes).toEqual([]);
  }
  for (const track of recording.participants.flatMap(({ tracks }) => tracks)) {
    for (const url of [track.posterUrl, track.waveformUrl]) {
      await until(
        async () => ((await fetch(new URL(url ?? "", server.url))).ok ? true : undefined),
        { what: `${url} is there`, timeoutMs: WAIT_MS },
      );
    }
  }
  expect(server.stderr()).toBe("");
});
