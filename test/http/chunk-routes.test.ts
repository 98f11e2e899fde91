import { afterAll, describe, expect, test } from "bun:test";
import { CHUNKS_PER_REQUEST_MAX, chunkUploadResultSchema } from "../../src/contract/chunks.ts";
import { recordingIdSchema, segmentIdSchema } from "../../src/contract/ids.ts";
import type { Mark } from "../../src/contract/marks.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { badMedia, joinChunks } from "../support/recorded-media.ts";
import { startServer } from "../support/track-capture-server.ts";
import { begunRecording, expectUnchanged } from "./begun-recording.ts";
import { CHUNK_BYTES_MAX, openChunkBed } from "./chunk-bed.ts";
import { chunkFormData, rightFields } from "./chunk-form-data.ts";
import { expectProblem } from "./expect-problem.ts";

const { server, api, vp9, payloadOf, chunksUrl, post } = await openChunkBed();

afterAll(() => server[Symbol.asyncDispose]());

describe("an upload", () => {
  test("is answered with an outcome for each chunk, and its bytes are there", async () => {
    const recordingId = await api.start();
    const segmentId = crypto.randomUUID();
    const response = await post(recordingId, {
      fields: {
        ...rightFields(segmentId),
        sha256_1: vp9.chunks[1]?.sha256.toUpperCase() ?? "",
        capturedAt_0: String(Date.now()),
      },
      chunks: { chunk_0: payloadOf(0), chunk_1: payloadOf(1) },
    });
    expect(response.status).toBe(200);
    expect(chunkUploadResultSchema.parse(await response.json())).toMatchObject({
      segmentId,
      nextSequence: 2,
      missing: [],
      chunks: [
        { sequence: 0, outcome: "accepted" },
        { sequence: 1, outcome: "accepted" },
      ],
    });
    const source = await fetch(
      api.trackUrl({ recordingId, participantId: "ada@example.org", trackId: "camera" }, "source"),
    );
    expect(await source.bytes()).toEqual(joinChunks(vp9.chunks.slice(0, 2)));
  });

  test("is stored with its marks, once, and they are there after a crash", async () => {
    await using crashing = await startServer();
    const recordingId = await new RecordingsApi(crashing.url).start();
    const segmentId = crypto.randomUUID();
    const send = (marks: readonly Mark[]) =>
      fetch(`${crashing.url}/api/recordings/${recordingId}/chunks`, {
        method: "POST",
        body: chunkFormData({
          fields: { ...rightFields(segmentId), marks_0: "", marks_1: JSON.stringify(marks) },
          chunks: { chunk_0: payloadOf(0), chunk_1: payloadOf(1) },
        }),
      });
    const marks: readonly Mark[] = [
      { type: "began", atMs: 1_700_000_000_000.25, reason: "start", pictures: "continuous" },
      { type: "muted", atMs: 1_700_000_000_500, stream: "audio" },
    ];
    expect((await send(marks)).status).toBe(200);
    expect((await send([{ type: "hidden", atMs: 1 }])).status).toBe(200);
    await crashing.kill();
    const layout = new RecordingsLayout(crashing.recordingsDirectory);
    const reader = await new FileChunkStore(layout, () => undefined).read(
      recordingIdSchema.parse(recordingId),
      segmentIdSchema.parse(segmentId),
    );
    expect(await reader?.marks()).toEqual([...marks]);
    await reader?.close();
  });

  test("of as many chunks as a request may hold may name hash, time and marks of each", async () => {
    const recordingId = await api.start();
    const segmentId = crypto.randomUUID();
    const each = Array.from({ length: CHUNKS_PER_REQUEST_MAX }, (_, i) => i);
    const sha256 = new Bun.CryptoHasher("sha256").update("").digest("hex");
    await post(recordingId, { fields: rightFields(segmentId), chunks: { chunk_0: payloadOf(0) } });
    const response = await post(recordingId, {
      fields: {
        ...rightFields(segmentId),
        sequence: "1",
        ...Object.fromEntries(each.map((i) => [`sha256_${i}`, sha256])),
        ...Object.fromEntries(each.map((i) => [`capturedAt_${i}`, "1"])),
        ...Object.fromEntries(each.map((i) => [`marks_${i}`, '[{"type":"hidden","atMs":1}]'])),
      },
      chunks: Object.fromEntries(each.map((i) => [`chunk_${i}`, ""])),
    });
    expect(chunkUploadResultSchema.parse(await response.json()).nextSequence).toBe(257);
  });

  test("that is repeated is acknowledged as a duplicate", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: rightFields(segmentId),
        chunks: { chunk_0: payloadOf(0) },
      });
      expect(await response.json()).toMatchObject({
        chunks: [{ sequence: 0, outcome: "duplicate" }],
      });
    });
  });

  test("in the wrong order reports what is missing, until it comes", async () => {
    const { recordingId, segmentId, track } = await begunRecording(api, vp9);
    const upload = { ...track, segmentId, mimeType: "video/webm" };
    expect(await api.upload({ ...upload, sequence: 4, chunks: [payloadOf(4)] })).toMatchObject({
      nextSequence: 2,
      missing: [{ from: 2, to: 3 }],
    });
    expect(
      await api.upload({ ...upload, sequence: 2, chunks: [payloadOf(2), payloadOf(3)] }),
    ).toMatchObject({ nextSequence: 5, missing: [] });
    expect(await (await fetch(api.trackUrl(track, "source"))).bytes()).toEqual(
      joinChunks(vp9.chunks.slice(0, 5)),
    );
    expect(await api.segmentStatus(recordingId, segmentId)).toMatchObject({ nextSequence: 5 });
  });

  test("of an empty chunk is taken, since a recorder may give one", async () => {
    const { segmentId, track } = await begunRecording(api, vp9);
    const result = await api.upload({
      ...track,
      segmentId,
      sequence: 2,
      mimeType: "video/webm",
      chunks: [new Uint8Array(0)],
    });
    expect(result).toMatchObject({
      nextSequence: 3,
      chunks: [{ sequence: 2, outcome: "accepted" }],
    });
  });

  test("without a track goes to the camera", async () => {
    const recordingId = await api.start();
    const { trackId: _, ...fields } = rightFields(crypto.randomUUID());
    const response = await post(recordingId, { fields, chunks: { chunk_0: payloadOf(0) } });
    expect(response.status).toBe(200);
    const { participants } = await api.show(recordingId);
    expect(participants[0]?.tracks.map(({ trackId }): string => trackId)).toEqual(["camera"]);
  });

  test("by a participant and for a track of any printable words is found under them", async () => {
    const names = [
      "../../etc/passwd",
      "a/b",
      "Zoë 🎥",
      "100% & more?#",
      "con",
      "\u0378",
      "x".repeat(128),
    ];
    const recordingId = await api.start();
    for (const name of names) {
      const track = { recordingId, participantId: name, trackId: name };
      await api.upload({
        ...track,
        segmentId: crypto.randomUUID(),
        sequence: 0,
        mimeType: "video/webm",
        chunks: [payloadOf(0)],
      });
      expect(await (await fetch(api.trackUrl(track, "source"))).bytes()).toEqual(payloadOf(0));
    }
    const { participants } = await api.show(recordingId);
    expect(participants.map(({ participantId }): string => participantId)).toEqual(names);
  });

  test("with a file name that leads elsewhere is stored where it belongs", async () => {
    const recordingId = await api.start();
    const form = new FormData();
    const fields = rightFields(crypto.randomUUID());
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("chunk_0", new Blob([payloadOf(0)]), "../../../../evil\u0000.sh");
    const response = await fetch(chunksUrl(recordingId), { method: "POST", body: form });
    expect(response.status).toBe(200);
    const paths = await Array.fromAsync(
      new Bun.Glob("**/*").scan({ cwd: server.recordingsDirectory, dot: true }),
    );
    expect(paths.filter((path) => path.includes("evil"))).toEqual([]);
  });

  test("may come from a page on another origin", async () => {
    const response = await fetch(chunksUrl(await api.start()), {
      method: "OPTIONS",
      headers: {
        origin: "http://localhost:5173",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-origin")).toBe("http://localhost:5173");
    expect(response.headers.get("access-control-allow-methods")).toContain("POST");
  });
});

describe("refused, without changing anything, is", () => {
  test.each([
    ["an unknown recording", "01a20451-b9a9-775b-bf84-76768d5fe3c6"],
    ["a recording ID that is a path", "..%2F..%2Fetc"],
    ["a recording ID with NUL", "%00"],
    ["a recording ID that is too long", "a".repeat(300)],
    ["a recording ID of other letters", encodeURIComponent("🎥")],
  ])("%s", async (_name, recordingId) => {
    const response = await post(recordingId, {
      fields: rightFields(crypto.randomUUID()),
      chunks: { chunk_0: payloadOf(0) },
    });
    await expectProblem(response, 404, "recording-not-found");
  });

  const notMedia: [name: string, text: string][] = [
    ["nothing at all", ""],
    ["no container", "hello"],
    ["an HLS playlist", "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"],
    ["a DASH manifest", '<?xml version="1.0"?><MPD><Period/></MPD>'],
    ["an ffconcat script", "ffconcat version 1.0\nfile /etc/passwd\n"],
  ];
  test.each(notMedia)("a chunk 0 that is %s", async (_name, text) => {
    await expectUnchanged(api, vp9, async ({ recordingId }) => {
      const segmentId = crypto.randomUUID();
      const response = await post(recordingId, {
        fields: rightFields(segmentId),
        chunks: { chunk_0: text },
      });
      await expectProblem(response, 422, "chunk-malformed");
      await expectProblem(
        await fetch(`${server.url}/api/recordings/${recordingId}/segments/${segmentId}`),
        404,
        "segment-not-found",
      );
    });
  });

  test("a segment of a type that is no recorder's", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId }) => {
      const response = await post(recordingId, {
        fields: { ...rightFields(crypto.randomUUID()), mimeType: "application/x-mpegurl" },
        chunks: { chunk_0: payloadOf(0) },
      });
      await expectProblem(response, 422, "chunk-malformed");
    });
  });

  test("a chunk that is not the one that was hashed", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: {
          ...rightFields(segmentId),
          sequence: "2",
          sha256_0: vp9.chunks[2]?.sha256 ?? "",
          sha256_1: vp9.chunks[2]?.sha256 ?? "",
        },
        // The first is right: it must not be kept either.
        chunks: { chunk_0: payloadOf(2), chunk_1: payloadOf(3) },
      });
      await expectProblem(response, 422, "chunk-hash-mismatch");
    });
  });

  test("another chunk of a sequence that is there", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: { ...rightFields(segmentId), sequence: "1" },
        chunks: { chunk_0: payloadOf(2) },
      });
      await expectProblem(response, 409, "chunk-conflict");
    });
  });

  test("a chunk for a segment of another participant", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: { ...rightFields(segmentId), participantId: "eve", sequence: "2" },
        chunks: { chunk_0: payloadOf(2) },
      });
      await expectProblem(response, 409, "chunk-conflict");
    });
  });

  test("a chunk over the limit of bytes", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: { ...rightFields(segmentId), sequence: "2" },
        chunks: { chunk_0: new Uint8Array(CHUNK_BYTES_MAX + 1) },
      });
      await expectProblem(response, 413, "chunk-too-large");
    });
  });

  test("a chunk for a recording that was deleted", async () => {
    const { recordingId, segmentId } = await begunRecording(api, vp9);
    await api.stop(recordingId);
    const gone = await fetch(`${server.url}/api/recordings/${recordingId}`, { method: "DELETE" });
    expect(gone.status).toBe(204);
    const response = await post(recordingId, {
      fields: { ...rightFields(segmentId), sequence: "2" },
      chunks: { chunk_0: payloadOf(2) },
    });
    await expectProblem(response, 410, "recording-closed");
  });
});

describe("hostile media", () => {
  test("of every kind is stored or refused, and the server goes on", async () => {
    const files = await badMedia();
    expect(files.length).toBeGreaterThan(10);
    for (const { name, bytes } of files) {
      const recordingId = await api.start(name);
      const response = await post(recordingId, {
        fields: { ...rightFields(crypto.randomUUID()), mimeType: "" },
        chunks: { chunk_0: bytes },
      });
      const answer = await response.text();
      expect({ name, status: response.status, answer }).toMatchObject({
        status: bytes[0] === 0x1a ? 200 : 422,
      });
    }
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });
});
