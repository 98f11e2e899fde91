import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { BlobReader, Uint8ArrayWriter, ZipReader } from "@zip.js/zip.js";
import { manifestSchema } from "../../src/contract/manifest.ts";
import { drawMore, openBarcodePage } from "../support/barcode-page.ts";
import { expectFaithfulMp4 } from "../support/faithful-mp4.ts";
import { trackOf, type TrackName } from "../support/recordings-api.ts";
import { openTestBed } from "../support/test-bed.ts";

const FRAMES_PER_SECOND = 15;
const RECORDED_FRAMES = 6 * FRAMES_PER_SECOND;

/** Far more than any recording here has frames, so a number tells whose picture it is. */
const NUMBERS_PER_TRACK = 100_000;

const TEST_TIMEOUT_MS = 180_000;

/** A name that needs care in URLs and file names is one of them. */
const TRACKS: readonly (Pick<TrackName, "participantId" | "trackId"> & { width: number })[] = [
  { participantId: "ann@example.org", trackId: "camera", width: 640 },
  { participantId: "Björn / 7", trackId: "camera", width: 320 },
  { participantId: "carla", trackId: "camera", width: 480 },
  { participantId: "dan", trackId: "camera", width: 320 },
  { participantId: "dan", trackId: "screen", width: 960 },
];

const nameOf = ({ participantId, trackId }: Pick<TrackName, "participantId" | "trackId">) =>
  `${participantId} ${trackId}`;

test(
  "four participants and a screen record at once: each MP4 has its own pictures, the ZIP has all",
  async () => {
    await using bed = await openTestBed();
    const { api, server } = bed;
    const recordingId = await api.start("Weekly call");
    await using open = new AsyncDisposableStack();

    const participantIds = [...new Set(TRACKS.map(({ participantId }) => participantId))];
    const recorders = await Promise.all(
      participantIds.map(async (participantId) => {
        const { barcode } = open.use(await openBarcodePage(bed.browser, bed.pages));
        for (const [i, track] of TRACKS.entries()) {
          if (track.participantId !== participantId) continue;
          await barcode.openStream({
            streamName: track.trackId,
            width: track.width,
            height: (track.width * 9) / 16,
            framesPerSecond: FRAMES_PER_SECOND,
            firstNumber: i * NUMBERS_PER_TRACK,
            // A shared screen seldom has sound.
            toneHz: track.trackId === "screen" ? null : 440,
          });
          await barcode.startRecorder({
            recorderName: track.trackId,
            streamName: track.trackId,
            serverUrl: server.url,
            recordingId,
            participantId,
            trackId: track.trackId,
            mimeTypes: [],
          });
        }
        return { participantId, barcode };
      }),
    );
    await Promise.all(recorders.map(({ barcode }) => drawMore(barcode, "camera", RECORDED_FRAMES)));
    await Promise.all(
      recorders.map(async ({ participantId, barcode }) => {
        for (const track of TRACKS) {
          if (track.participantId !== participantId) continue;
          await barcode.stopRecorder(track.trackId);
        }
      }),
    );
    await api.stop(recordingId);
    const recording = await api.ready(recordingId);
    const recorded = recording.participants.flatMap(({ participantId, tracks }) =>
      tracks.map(({ trackId }) => ({ participantId, trackId })),
    );
    expect(recorded.length).toBe(TRACKS.length);
    expect(new Set(recorded.map(nameOf))).toEqual(new Set(TRACKS.map(nameOf)));

    const sha256s = new Map<string, string>();
    for (const [i, { participantId, trackId, width }] of TRACKS.entries()) {
      const name = { recordingId, participantId, trackId };
      const track = trackOf(recording, name);
      expect(track).toMatchObject({ verdict: "complete", media: { width } });
      const { frames, mp4Path } = await expectFaithfulMp4(api, name, track, bed.directory);
      expect(frames.length).toBeGreaterThan(RECORDED_FRAMES / 2);
      const owners = new Set(frames.map(({ number }) => Math.floor(number / NUMBERS_PER_TRACK)));
      expect([...owners]).toEqual([i]);
      sha256s.set(nameOf(name), sha256Of(await Bun.file(mp4Path).bytes()));
    }
    await expectZip(`${server.url}/api/recordings/${recordingId}/download`, recordingId, sha256s);
  },
  TEST_TIMEOUT_MS,
);

/** Expects an archive of the manifest and the files that it names, each with its track's bytes. */
async function expectZip(
  url: string,
  recordingId: string,
  sha256s: ReadonlyMap<string, string>,
): Promise<void> {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/zip");
  expect(response.headers.get("content-disposition")).toMatch(/^attachment; filename=.*\.zip/);
  const files = await unzip(await response.blob());

  const manifestText = new TextDecoder().decode(files.get("manifest.json"));
  const manifest = manifestSchema.parse(JSON.parse(manifestText));
  expect(manifest.recording).toMatchObject({ recordingId, state: "ready", name: "Weekly call" });
  const tracks = manifest.participants.flatMap(({ participantId, tracks: own }) =>
    own.map((track) => ({ participantId, ...track })),
  );
  expect(new Set(tracks.map(nameOf))).toEqual(new Set(sha256s.keys()));
  for (const track of tracks) {
    const bytes = files.get(track.media?.path ?? "") ?? new Uint8Array();
    expect(sha256Of(bytes)).toBe(sha256s.get(nameOf(track)) ?? "");
  }
  expect(files.size).toBe(tracks.length + 1);
}

/** All files of an archive by name; throws when one does not have its checksum. */
async function unzip(archive: Blob): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const zip = new ZipReader(new BlobReader(archive));
  for (const entry of await zip.getEntries()) {
    if (entry.directory) continue;
    const bytes = await entry.getData(new Uint8ArrayWriter(), { checkSignature: true });
    // Nothing that a careless unpacker would write outside of its folder.
    expect(entry.filename).not.toMatch(/^[/\\]|^[a-z]:|(^|[/\\])\.\.([/\\]|$)/i);
    files.set(entry.filename, bytes);
  }
  await zip.close();
  return files;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
