import { afterAll, describe, expect, test } from "bun:test";
import { CHUNKS_PER_REQUEST_MAX } from "../../src/contract/chunks.ts";
import { MARKS_PER_CHUNK_MAX } from "../../src/contract/marks.ts";
import { expectUnchanged } from "./begun-recording.ts";
import { openChunkBed } from "./chunk-bed.ts";
import { rightFields, type ChunkFormParts } from "./chunk-form-data.ts";
import { expectProblem } from "./expect-problem.ts";

const { server, api, vp9, payloadOf, post } = await openChunkBed();

afterAll(() => server[Symbol.asyncDispose]());

describe("refused, without changing anything, is", () => {
  const badFields: [name: string, fields: Record<string, string>][] = [
    ["no participant", { participantId: "" }],
    ["a participant with NUL", { participantId: "ada\u0000" }],
    ["a participant of 300 characters", { participantId: "a".repeat(300) }],
    ["a participant that no URL can name", { participantId: ".." }],
    ["a track with a line break", { trackId: "a\nb" }],
    ["a segment ID that is a path", { segmentId: "../../evil" }],
    ["a sequence of 2^31", { sequence: String(2 ** 31) }],
    ["a negative sequence", { sequence: "-1" }],
    ["a broken sequence", { sequence: "1.5" }],
    ["an empty sequence", { sequence: "" }],
    ["a sequence in hexadecimal", { sequence: "0x2" }],
    ["a sequence with an exponent", { sequence: "2e0" }],
    ["a sequence with a sign", { sequence: "+2" }],
    ["a sequence with a space", { sequence: " 2" }],
    ["a MIME type with NUL", { mimeType: "video/webm\u0000" }],
    ["a time with an exponent", { capturedAt_0: "1e12" }],
    ["marks that are nested deeply", { marks_0: `${"[".repeat(50_000)}${"]".repeat(50_000)}` }],
    ["marks that are longer than any", { marks_0: `[${" ".repeat(70_000)}]` }],
    ["a hash that is none", { sha256_0: "abc" }],
    ["a time that is none", { capturedAt_0: "yesterday" }],
    ["marks that are no JSON", { marks_0: "[{" }],
    ["marks that are no array", { marks_0: '{"type":"paused","atMs":1}' }],
    [
      "more marks than a chunk may bring",
      {
        marks_0: `[${Array(MARKS_PER_CHUNK_MAX + 1)
          .fill('{"type":"paused","atMs":1}')
          .join()}]`,
      },
    ],
  ];
  test.each(badFields)("%s", async (_name, fields) => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: { ...rightFields(segmentId), sequence: "2", ...fields },
        chunks: { chunk_0: payloadOf(2) },
      });
      const { errors } = await expectProblem(response, 422, "invalid-request");
      expect(errors).toEqual([expect.objectContaining({ path: `body.${Object.keys(fields)[0]}` })]);
    });
  });

  test("a mark that is none, and is told which", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const marks = [
        { type: "paused", atMs: 1 },
        { type: "muted", atMs: -1, stream: "smell" },
        { type: "exploded", atMs: 1 },
      ];
      const response = await post(recordingId, {
        fields: {
          ...rightFields(segmentId),
          sequence: "2",
          marks_1: JSON.stringify(marks),
        },
        chunks: { chunk_0: payloadOf(2), chunk_1: payloadOf(3) },
      });
      const { errors, detail } = await expectProblem(response, 422, "invalid-request");
      expect(errors?.map(({ path }) => path)).toEqual([
        "body.marks_1.1.atMs",
        "body.marks_1.1.stream",
        "body.marks_1.2.type",
      ]);
      expect(detail).toContain("body.marks_1.1.stream");
    });
  });

  test("a list of what are no marks, of which the first are named", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const response = await post(recordingId, {
        fields: {
          ...rightFields(segmentId),
          sequence: "2",
          marks_0: `[${"0,".repeat(60)}0]`,
        },
        chunks: { chunk_0: payloadOf(2) },
      });
      const { errors } = await expectProblem(response, 422, "invalid-request");
      expect(errors).toHaveLength(20);
    });
  });

  const badChunks: [name: string, chunks: ChunkFormParts["chunks"]][] = [
    ["no chunk", {}],
    ["a first chunk that is not chunk_0", { chunk_1: "x" }],
    ["a hole in the numbering", { chunk_0: "x", chunk_2: "x" }],
    ["a number that is written otherwise", { chunk_00: "x" }],
    [
      "more chunks than a request may hold",
      Object.fromEntries(
        Array.from({ length: CHUNKS_PER_REQUEST_MAX + 1 }, (_, i) => [`chunk_${i}`, "x"]),
      ),
    ],
  ];
  test.each(badChunks)("%s", async (_name, chunks) => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const fields = { ...rightFields(segmentId), sequence: "2" };
      await expectProblem(await post(recordingId, { fields, chunks }), 422, "invalid-request");
    });
  });

  test("a chunk that is text and no file", async () => {
    await expectUnchanged(api, vp9, async ({ recordingId, segmentId }) => {
      const fields = { ...rightFields(segmentId), sequence: "2", chunk_0: "text" };
      await expectProblem(await post(recordingId, { fields, chunks: {} }), 422, "invalid-request");
    });
  });
});
