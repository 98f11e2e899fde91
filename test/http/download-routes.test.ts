import { afterAll, beforeAll, expect, test } from "bun:test";
import { manifestSchema } from "../../src/contract/manifest.ts";
import type { Recording } from "../../src/contract/recordings.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { unzipped } from "../support/unzipped.ts";
import { expectProblem } from "./expect-problem.ts";
import { finishedRecording } from "./finished-recording.ts";
import { growMedia } from "./grown-media.ts";
import { beginSlowDownload } from "./slow-download.ts";

/** More than the buffers of a connection hold. */
const LARGE_BYTES = 64 * 1024 * 1024;

const TRACKS = [
  { participantId: "Ada", trackId: "camera" },
  { participantId: "Ada", trackId: "screen" },
  { participantId: "ada", trackId: "camera" },
  { participantId: "../../etc", trackId: "a/b" },
];

let server: TrackCaptureServer;
let api: RecordingsApi;
let recording: Recording;

beforeAll(async () => {
  server = await startServer();
  api = new RecordingsApi(server.url);
  recording = await finishedRecording(api, "Weekly: Zoë", TRACKS);
}, 60_000);

afterAll(() => server[Symbol.asyncDispose]());

const zipUrl = (recordingId: string) => `${server.url}/api/recordings/${recordingId}/download`;

test("the archive holds every MP4 under a safe name of its own, and the manifest", async () => {
  const response = await fetch(zipUrl(recording.recordingId));
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/zip");
  expect(response.headers.get("content-disposition")).toMatch(
    /^attachment; filename="Weekly_ Zo_ - [-\dT.]+\.zip"; filename\*=UTF-8''Weekly_%20Zo%C3%AB%20-%20/,
  );
  const entries = await unzipped(response);
  expect([...entries.keys()].toSorted()).toEqual(
    [
      "Ada/camera.mp4",
      "Ada/screen.mp4",
      "ada (2)/camera.mp4",
      "_.._etc/a_b.mp4",
      "manifest.json",
    ].toSorted(),
  );
  const manifest = manifestSchema.parse(
    JSON.parse(new TextDecoder().decode(entries.get("manifest.json"))),
  );
  const media = manifest.participants.flatMap(({ tracks }) => tracks.map((track) => track.media));
  expect(media).toHaveLength(TRACKS.length);
  for (const file of media) {
    const bytes = entries.get(file?.path ?? "") ?? new Uint8Array(0);
    expect(bytes.length).toBe(file?.bytes ?? 0);
    expect(Buffer.from(bytes.subarray(4, 8)).toString()).toBe("ftyp");
  }
});

test("an empty recording's archive holds the manifest", async () => {
  const recordingId = await api.start();
  await api.stop(recordingId);
  await api.ready(recordingId);
  const response = await fetch(zipUrl(recordingId));
  expect([...(await unzipped(response)).keys()]).toEqual(["manifest.json"]);
});

test("there is no archive before the recording is finalized, and the answer says why", async () => {
  const recordingId = await api.start();
  const { detail } = await expectProblem(await fetch(zipUrl(recordingId)), 404, "media-not-ready");
  expect(detail).toContain("recording");
});

test("a HEAD gives the archive's type and its length, to the byte", async () => {
  const recordingId = await api.start();
  await api.stop(recordingId);
  await api.ready(recordingId);
  for (const url of [zipUrl(recording.recordingId), zipUrl(recordingId)]) {
    const response = await fetch(url, { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/zip");
    expect(await response.text()).toBe("");
    const archive = await (await fetch(url)).bytes();
    expect(response.headers.get("content-length")).toBe(String(archive.length));
  }
});

test("an archive whose file is cut short meanwhile breaks off, and does not look complete", async () => {
  const track = { participantId: "Ada", trackId: "camera" };
  const { recordingId } = await finishedRecording(api, "to be cut", [track]);
  const key = { ...track, recordingId };
  await growMedia(server.recordingsDirectory, key, LARGE_BYTES);
  const download = await beginSlowDownload(zipUrl(recordingId));
  // The same as growing it, by fewer bytes.
  await growMedia(server.recordingsDirectory, key, LARGE_BYTES / 2);
  const { body } = await download.finish();
  expect(body.length).toBeLessThan(LARGE_BYTES);
  expect(body.subarray(-5).toString("latin1")).not.toBe("0\r\n\r\n");
}, 60_000);

test("a deletion does not break an archive's download that runs", async () => {
  const [first, second] = [
    { participantId: "Ada", trackId: "camera" },
    { participantId: "Ada", trackId: "screen" },
  ];
  const { recordingId } = await finishedRecording(api, "to be deleted", [first, second]);
  for (const track of [first, second]) {
    await growMedia(server.recordingsDirectory, { ...track, recordingId }, LARGE_BYTES);
  }
  const download = await beginSlowDownload(zipUrl(recordingId));
  const gone = await fetch(`${server.url}/api/recordings/${recordingId}`, { method: "DELETE" });
  expect(gone.status).toBe(204);
  const { head, body } = await download.finish();
  expect(head).toContain("Transfer-Encoding: chunked");
  expect(body.length).toBeGreaterThan(2 * LARGE_BYTES);
  // The end of the central directory, then the last chunk of the transfer: it was not cut off.
  expect(body.subarray(-64).toString("latin1")).toContain("PK\u0005\u0006");
  expect(body.subarray(-5).toString("latin1")).toBe("0\r\n\r\n");
}, 60_000);

test("a client that goes away in the middle of an archive harms nobody", async () => {
  for (let count = 0; count < 20; count += 1) {
    const aborted = new AbortController();
    const response = await fetch(zipUrl(recording.recordingId), { signal: aborted.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    aborted.abort();
  }
  const response = await fetch(zipUrl(recording.recordingId));
  expect([...(await unzipped(response)).keys()]).toContain("manifest.json");
  expect(server.stderr()).not.toContain("error");
});
