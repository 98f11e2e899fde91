import { afterAll, beforeAll, describe, expect } from "bun:test";
import { mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { manifestSchema } from "../../src/contract/manifest.ts";
import type { Recording } from "../../src/contract/recordings.ts";
import { testUnless } from "../faults/support/system-tools.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { finishedRecording } from "./finished-recording.ts";
import { growMedia } from "./grown-media.ts";

/** Sizes in a ZIP without ZIP64 have 32 bits. */
const ZIP32_BYTES_MAX = 2 ** 32 - 1;

const TRACKS = [
  { participantId: "CON", trackId: "aux.txt" },
  { participantId: "com¹", trackId: "LPT9 " },
  { participantId: "manifest.json", trackId: "camera" },
  { participantId: "Ada.", trackId: "camera" },
  { participantId: "ada", trackId: "camera" },
  { participantId: "Zo\u00eb", trackId: "..." },
  { participantId: "Zoe\u0308", trackId: "a:b?c*" },
  { participantId: "../../etc", trackId: "/../x" },
  { participantId: "👨‍👩‍👧".repeat(25), trackId: "한".repeat(128) },
  { participantId: "한".repeat(127), trackId: "x".repeat(128) },
];

let server: TrackCaptureServer;
let directory: TemporaryDirectory;
let recording: Recording;
let zipPath: string;

beforeAll(async () => {
  server = await startServer();
  directory = await temporaryDirectory();
  recording = await finishedRecording(new RecordingsApi(server.url), "CON", TRACKS);
  zipPath = join(directory.path, "recording.zip");
  await Bun.write(zipPath, await fetch(zipUrl(recording.recordingId)));
}, 120_000);

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const zipUrl = (recordingId: string) => `${server.url}/api/recordings/${recordingId}/download`;

const missing = (tool: string) => (Bun.which(tool) === null ? `there is no ${tool}` : undefined);

/** Runs a program; throws with what it says when it fails, or warns of anything. */
async function run(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, LC_ALL: "C.UTF-8" },
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  expect({ command: command[0], stderr, exitCode }).toEqual({
    command: command[0],
    stderr: "",
    exitCode: 0,
  });
  return stdout;
}

/** Every file of the archive is where the manifest says, with the bytes of its track's MP4. */
async function expectUnpacked(folder: string): Promise<void> {
  const manifest = manifestSchema.parse(await Bun.file(join(folder, "manifest.json")).json());
  const paths: string[] = [];
  for (const { participantId, tracks } of manifest.participants) {
    for (const { trackId, media } of tracks) {
      const path = media?.path ?? "";
      paths.push(path);
      const shown = recording.participants
        .find((participant) => participant.participantId === participantId)
        ?.tracks.find((track) => track.trackId === trackId);
      const served = await (await fetch(`${server.url}${shown?.media?.url}`)).bytes();
      const unpacked = await Bun.file(join(folder, path)).bytes();
      expect(Buffer.compare(unpacked, served)).toBe(0);
    }
  }
  expect(paths).toHaveLength(TRACKS.length);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  expect(files).toHaveLength(TRACKS.length + 1);
}

describe("an archive of names that no system likes is unpacked whole", () => {
  testUnless(missing("unzip"))("by Info-ZIP's unzip", async () => {
    const folder = join(directory.path, "unzip");
    await run(["unzip", "-q", zipPath, "-d", folder]);
    await expectUnpacked(folder);
  });

  testUnless(missing("python3"))(
    "by Python, which finds nothing that Windows reserves",
    async () => {
      const folder = join(directory.path, "python");
      await mkdir(folder);
      const script = `
import sys, zipfile, pathlib
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    for name in archive.namelist():
        path = pathlib.PureWindowsPath(name)
        assert not path.is_absolute() and ".." not in path.parts, name
        for part in path.parts:
            assert not pathlib.PureWindowsPath(part).is_reserved(), name
            assert part.rstrip(". ") == part and len(part.encode("utf-16-le")) <= 510, name
    archive.extractall(sys.argv[2])
`;
      await run(["python3", "-c", script, zipPath, folder]);
      await expectUnpacked(folder);
    },
  );
});

const listedSchema = z.array(z.object({ name: z.string(), bytes: z.number() }));

testUnless(missing("python3"))(
  "an archive of more than 4 GiB is one of ZIP64, whose entries are found",
  async () => {
    const api = new RecordingsApi(server.url);
    const track = { participantId: "Ada", trackId: "camera" };
    const { recordingId } = await finishedRecording(api, "large", [track]);
    const largeBytes = ZIP32_BYTES_MAX + 2 ** 20;
    await growMedia(server.recordingsDirectory, { ...track, recordingId }, largeBytes);
    const path = join(directory.path, "large.zip");
    await downloadSparse(zipUrl(recordingId), path);
    const script = `
import sys, json, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    json.loads(archive.read("manifest.json"))
    assert archive.open("Ada/camera.mp4").read(8)[4:] == b"ftyp"
    print(json.dumps([{"name": i.filename, "bytes": i.file_size} for i in archive.infolist()]))
`;
    const listed = listedSchema.parse(JSON.parse(await run(["python3", "-c", script, path])));
    expect(listed).toEqual([
      { name: "Ada/camera.mp4", bytes: largeBytes },
      { name: "manifest.json", bytes: expect.any(Number) },
    ]);
    expect(Bun.file(path).size).toBeGreaterThan(largeBytes);
  },
  // Four gigabytes take their time on a busy machine.
  300_000,
);

/** Writes what is not zero of a download into a file that has holes elsewhere. */
async function downloadSparse(url: string, path: string): Promise<void> {
  const { body } = await fetch(url);
  const zeros = Buffer.alloc(1024 * 1024);
  const file = await open(path, "w");
  let at = 0;
  for await (const piece of body ?? []) {
    for (let start = 0; start < piece.length; start += zeros.length) {
      const block = piece.subarray(start, start + zeros.length);
      const isHole = zeros.subarray(0, block.length).equals(block);
      if (!isHole) await file.write(block, 0, block.length, at + start);
    }
    at += piece.length;
  }
  await file.truncate(at);
  await file.close();
}
