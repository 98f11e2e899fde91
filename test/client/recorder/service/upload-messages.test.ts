import { describe, expect, test } from "bun:test";
import { parseCommand, parseEvent } from "../../../../client/recorder/service/upload-messages.ts";

const chunk = {
  recordingId: "recording",
  participantId: "alice",
  trackId: "camera",
  segmentId: "a",
  sequence: 0,
  mimeType: "",
  beganAtMs: 0.5,
  durationMs: 0,
  marks: [
    { type: "began", atMs: 0.5, reason: "start", pictures: null },
    { type: "frozen", atMs: 1, toMs: 2 },
  ],
  payload: new Blob(["x"]),
};

describe("messages between a page and its upload service", () => {
  test("pass when they are what they say", () => {
    for (const command of [
      { type: "add", runId: "run", chunk },
      { type: "endSegment", runId: "run", segmentId: "a", chunkCount: 3 },
      { type: "resume", callId: 0, serverUrl: null, hasAppFetch: false },
    ]) {
      const parsed: unknown = parseCommand(command);
      expect(parsed).toBe(command);
    }
    const retry = {
      type: "retry",
      runId: "run",
      failures: 1,
      delayMs: 0.5,
      status: 401,
      cause: "sign-in-needed",
      reason: "Sign in.",
      bodyBytes: null,
      bodyBytesAccepted: null,
    };
    const error = { code: "rejected", message: "No.", status: 422, problemCode: null };
    for (const event of [
      { type: "ready" },
      { type: "finished", runId: "run", error: null },
      { type: "finished", runId: "run", error },
      { type: "listed", callId: 7, chunks: [chunk] },
      { type: "pieces", runId: "run", bytesMax: 16_384 },
      retry,
      { ...retry, cause: "body-too-large", bodyBytes: 2_000_000, bodyBytesAccepted: 1_000_000 },
    ]) {
      const parsed: unknown = parseEvent(event);
      expect(parsed).toBe(event);
    }
  });

  test.each([
    [null],
    ["add"],
    [{}],
    [{ type: "constructor" }],
    [{ type: "toString" }],
    [{ type: "add", runId: "run" }],
    [{ type: "add", runId: "run", chunk: { ...chunk, payload: "x" } }],
    [{ type: "add", runId: "run", chunk: { ...chunk, sequence: -1 } }],
    [{ type: "add", runId: "run", chunk: { ...chunk, beganAtMs: Number.NaN } }],
    [{ type: "add", runId: "run", chunk: { ...chunk, marks: undefined } }],
    [{ type: "add", runId: "run", chunk: { ...chunk, marks: [{ type: "frozen", atMs: 1 }] } }],
    [{ type: "add", runId: "run", chunk: { ...chunk, marks: [{ type: "melted", atMs: 1 }] } }],
    [{ type: "resume", callId: 0, serverUrl: undefined, hasAppFetch: false }],
  ])("something else is no command (%#)", (message) => {
    expect(() => parseCommand(message)).toThrow(TypeError);
  });

  test.each([
    [undefined],
    [{ type: "kept", runId: "run", segmentId: "a", sequence: 0, keptIn: "cloud" }],
    [{ type: "finished", runId: "run" }],
    [{ type: "listed", callId: 0, chunks: [chunk, null] }],
  ])("something else is no event (%#)", (message) => {
    expect(() => parseEvent(message)).toThrow(TypeError);
  });
});
