import { describe, expect, test } from "bun:test";
import { open, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { manifestSchema } from "../../src/contract/manifest.ts";
import { firstFrameNumbers } from "../finalize/loose-frames.ts";
import { trackPaths } from "../finalize/recordings-directory.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { type MediaStream, streamsOf } from "../support/media-streams.ts";
import { RecordingsApi, type TrackName, trackOf } from "../support/recordings-api.ts";
import { type RecordedName, recordedSegment } from "../support/recorded-media.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";

const TEST_TIMEOUT_MS = 120_000;
/** MP4 counts in finer ticks than Matroska's milliseconds. */
const ROUNDING_MS = 2;
const CLUSTER = Buffer.from("1f43b675", "hex");
const FRAGMENT = Buffer.from("moof");

/** Where a bit flips: in the middle of the chunk's bytes, or in what stands before them. */
type Place = "payload" | "header";

/** An MP4 recorder's second chunk holds both of its fragments: cut in pieces, as Safari's come. */
const MP4_PIECE_BYTES = 8_000;

async function chunksOf(
  source: RecordedName,
): Promise<{ mimeType: string; chunks: Uint8Array<ArrayBuffer>[] }> {
  const { mimeType, chunks } = await recordedSegment(source);
  const payloads = chunks.map(({ payload }) => payload);
  if (source !== "mp4-vp9-opus") return { mimeType, chunks: payloads };
  const pieces = payloads.flatMap((payload) =>
    Array.from({ length: Math.ceil(payload.length / MP4_PIECE_BYTES) }, (_, i) =>
      payload.slice(i * MP4_PIECE_BYTES, (i + 1) * MP4_PIECE_BYTES),
    ),
  );
  return { mimeType, chunks: pieces };
}

/** Flips one bit of the only chunk file of a recording, at or before where the payload stands. */
async function flipBit(segments: string, payload: Uint8Array, place: Place): Promise<void> {
  const [name = ""] = await readdir(segments);
  const path = join(segments, name);
  const payloadAt = Buffer.from(await Bun.file(path).bytes()).indexOf(payload);
  expect(payloadAt).toBeGreaterThan(0);
  // Shortly before the payload stands its frame's header, in every version of the file's form.
  const at = place === "payload" ? payloadAt + Math.floor(payload.length / 2) : payloadAt - 20;
  const handle = await open(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    byte.writeUInt8(byte.readUInt8(0) ^ 0x10, 0);
    await handle.write(byte, 0, 1, at);
  } finally {
    await handle.close();
  }
}

/**
 * What is left without a chunk, as files that a reader of whole files can read: what comes before
 * it, and the header with the first Cluster or fragment that begins behind it and all that follows.
 */
async function remains(
  chunks: readonly Uint8Array[],
  damaged: number,
  directory: string,
): Promise<{ before: string; behind: string }> {
  const head = Buffer.concat(chunks.slice(0, damaged));
  const rest = Buffer.concat(chunks.slice(damaged + 1));
  const isMp4 = head.toString("latin1", 4, 8) === "ftyp";
  const mark = isMp4 ? FRAGMENT : CLUSTER;
  const shift = isMp4 ? 4 : 0;
  const headerEnd = Buffer.concat(chunks).indexOf(mark) - shift;
  const [before, behind] = [join(directory, "before"), join(directory, "behind")];
  const lastWhole = isMp4 ? head.lastIndexOf(mark) - shift : head.length;
  await writeFile(before, isMp4 ? head.subarray(0, lastWhole) : head);
  const from = rest.indexOf(mark) - shift;
  await writeFile(
    behind,
    Buffer.concat([head.subarray(0, headerEnd), from < 0 ? Buffer.alloc(0) : rest.subarray(from)]),
  );
  return { before, behind };
}

function timesOf(streams: readonly MediaStream[], kind: MediaStream["kind"]): readonly number[] {
  return streams.find((stream) => stream.kind === kind)?.timesMs ?? [];
}

test(
  "a segment whose header is damaged is lost, and named; the track's other segment is delivered",
  async () => {
    await using server = await startServer({ env: { STOP_GRACE_MS: "200" } });
    const api = new RecordingsApi(server.url);
    const { mimeType, chunks } = await chunksOf("h264-opus");
    const record = async (segments: number): Promise<TrackName> => {
      const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
      for (let segment = 0; segment < segments; segment += 1) {
        const segmentId = crypto.randomUUID();
        await api.upload({ ...name, segmentId, mimeType, sequence: 0, chunks });
        await api.endSegment(name.recordingId, segmentId, chunks.length);
        const { recording } = trackPaths(server.recordingsDirectory, name);
        if (segment > 0) continue;
        await flipBit(join(recording, "segments"), chunks[0] ?? new Uint8Array(), "payload");
      }
      await api.stop(name.recordingId);
      return name;
    };
    const alone = await record(1);
    const lost = trackOf(await api.ready(alone.recordingId), alone);
    expect(lost).toMatchObject({ verdict: "lost", media: null });
    expect(lost.reason).toContain("damaged chunk 0");
    const { manifest } = trackPaths(server.recordingsDirectory, alone);
    const { participants } = manifestSchema.parse(await Bun.file(manifest).json());
    expect(participants[0]?.tracks[0]?.segments[0]?.damagedChunks).toEqual([{ from: 0, to: 0 }]);

    const both = await record(2);
    const degraded = trackOf(await api.ready(both.recordingId), both);
    expect(degraded).toMatchObject({ verdict: "degraded", media: { videoPackets: 180 } });
    expect(degraded.reason).toContain("damaged chunk 0");
    const { media } = trackPaths(server.recordingsDirectory, both);
    expect(await decodeFrameNumbers(media)).toHaveLength(180);
  },
  TEST_TIMEOUT_MS,
);

describe.each([
  ["h264-opus", 3, "payload"],
  ["h264-opus", 1, "header"],
  ["vp9-opus", 2, "payload"],
  ["vp9-opus", 4, "header"],
  ["vp8-opus", 1, "payload"],
  ["mp4-vp9-opus", 3, "payload"],
  ["mp4-vp9-opus", 7, "header"],
] as const)("%s with a flipped bit in chunk %d, in the %s", (source, damaged, place) => {
  test(
    "names the chunk, and delivers all that does not need it",
    async () => {
      await using directory: TemporaryDirectory = await temporaryDirectory();
      await using server = await startServer({ env: { STOP_GRACE_MS: "200" } });
      const api = new RecordingsApi(server.url);
      const { mimeType, chunks } = await chunksOf(source);
      const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
      const segmentId = crypto.randomUUID();
      for (const [sequence, chunk] of chunks.entries()) {
        await api.upload({ ...name, segmentId, mimeType, sequence, chunks: [chunk] });
        if (sequence !== chunks.length - 2) continue;
        // The recording goes on: the file is open, and the chunk was acknowledged long ago.
        const { recording } = trackPaths(server.recordingsDirectory, name);
        await flipBit(join(recording, "segments"), chunks[damaged] ?? chunk, place);
      }
      await api.endSegment(name.recordingId, segmentId, chunks.length);
      await api.stop(name.recordingId);
      const track = trackOf(await api.ready(name.recordingId), name);

      expect(track.verdict).toBe("degraded");
      expect(track.reason).toContain(`damaged chunks ${damaged}`);
      const { manifest } = trackPaths(server.recordingsDirectory, name);
      const { participants } = manifestSchema.parse(await Bun.file(manifest).json());
      expect(participants[0]?.tracks[0]).toMatchObject({
        verdict: "degraded",
        segments: [{ segmentId, damagedChunks: [{ from: damaged, to: damaged }], missing: [] }],
      });

      const mp4 = join(directory.path, "media.mp4");
      await api.download(api.trackUrl(name, "media.mp4"), mp4);
      const { before: beforePath, behind } = await remains(chunks, damaged, directory.path);
      const [media, first, last] = [
        await streamsOf(mp4),
        await streamsOf(beforePath),
        await streamsOf(behind),
      ];
      if (track.media?.action === "copy") {
        for (const kind of ["video", "audio"] as const) {
          const times = timesOf(media, kind);
          const firstMs = times[0] ?? 0;
          const [before, after] = [timesOf(first, kind), timesOf(last, kind)];
          const expected = [...before, ...after];
          const originMs = expected[0] ?? 0;
          expect(expected.length).toBeGreaterThan(0);
          const isSame = (own: number, ms: number): boolean =>
            Math.abs(own - firstMs - (ms - originMs)) <= ROUNDING_MS;
          const lost = expected.filter((ms) => !times.some((own) => isSame(own, ms)));
          // The last packet of what comes before the hole may be cut in two by it.
          expect(lost.length).toBeLessThanOrEqual(1);
          // The hole in the sound is filled with silence; a picture stands.
          const added = times.filter((own) => !expected.some((ms) => isSame(own, ms)));
          if (kind === "video") expect(added).toEqual([]);
          for (const own of added) {
            expect(own - firstMs + originMs).toBeWithin(before.at(-1) ?? originMs, after[0] ?? 0);
          }
        }
      } else {
        // No key frame follows the hole in this recording: what a decoder makes of the pictures
        // behind it is its own matter, but each is there.
        const expected = [...timesOf(first, "video"), ...timesOf(last, "video")].length;
        expect(timesOf(media, "video").length).toBeGreaterThanOrEqual(expected - 1);
      }
      const whole = timesOf(first, "video").length - 1;
      // The only piece that has no picture before it is the one in an MP4's first fragment.
      if (source === "mp4-vp9-opus" && whole < 0) return;
      expect(whole).toBeGreaterThan(20);
      expect(await firstFrameNumbers(mp4, whole)).toEqual(
        await firstFrameNumbers(beforePath, whole),
      );
    },
    TEST_TIMEOUT_MS,
  );
});
